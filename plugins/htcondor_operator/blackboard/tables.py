"""All tables of the blackboard. `docs/blackboard.md` is their data dictionary."""

from __future__ import annotations

from htcondor_operator.blackboard import (  # noqa: F401 - they register
    alert_tables,
    flow_tables,
    intake_tables,
    pool_tables,
    queue_tally,
    run_tables,
    target_names,
)
from htcondor_operator.blackboard.columns import metadata
from htcondor_operator.blackboard.comments import COMMENTS

__all__ = ["metadata"]

# A test sees to it that no words are missing.
for _table in metadata.tables.values():
    _words = COMMENTS.get(_table.name, {})
    _table.comment = _words.get("")
    for _column in _table.columns:
        _column.comment = _words.get(_column.name)
