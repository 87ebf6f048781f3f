"""What every table and column of the blackboard means, in one sentence each.

They become the comments in PostgreSQL and ``docs/blackboard.md``; the key ``""`` is the table's.
"""

from __future__ import annotations

from htcondor_operator.blackboard.alert_comments import ALERT_COMMENTS
from htcondor_operator.blackboard.flow_comments import FLOW_COMMENTS
from htcondor_operator.blackboard.intake_comments import INTAKE_COMMENTS
from htcondor_operator.blackboard.run_comments import RUN_COMMENTS

COMMENTS: dict[str, dict[str, str]] = {
    **RUN_COMMENTS,
    **INTAKE_COMMENTS,
    **FLOW_COMMENTS,
    **ALERT_COMMENTS,
}
