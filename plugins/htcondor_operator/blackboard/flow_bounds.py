"""What a limit on the creation of runs says about their other times.

A run that was asked for in May has, mostly, been updated in May and has ended in May. So a walk
through the runs in the order of their updates begins near the limit and ends near it, instead of
passing everything that came later. The few runs of which this is not true have an index of their
own, and are walked beside the others.
"""

from __future__ import annotations

from datetime import datetime

from htcondor_operator.blackboard.flow_tables import odd
from htcondor_operator.blackboard.keyset import BEFORE_ALL, Order

_BOUNDED = frozenset({"updated_at", "ended_at", "started_at"})


def arms(order: Order, since: datetime | None, until: datetime | None) -> tuple[str, ...]:
    """Return conditions, each with an index that has the order; every run fits one at the most.

    Parameters
    ----------
    order
        The sort.
    since, until
        Of the creation; the conditions have them as ``since`` and ``until``.
    """
    column = order.columns[0][0]
    limits = []
    near = []
    time = order.expressions[0]
    if since:
        limits.append("created_at >= %(since)s")
        near.append(f"{time} >= %(since)s::timestamptz - interval '24 hours'")
    if until:
        limits.append("created_at < %(until)s")
        near.append(f"{time} < %(until)s::timestamptz + interval '24 hours'")
    if column not in _BOUNDED or not limits:
        return (" AND ".join(limits) or "true",)
    # Both limits say the same; the planner would take them for a coincidence and rather sort all
    # that was created between them than walk in order. No index serves the one that is hidden.
    hidden = [limit.replace("created_at ", "created_at + interval '0' ") for limit in limits]
    far = odd(column)
    found = [[f"NOT ({far})", *near, *hidden], [far, *limits]]
    if order.nullable:  # a time that is not there is neither near nor far
        found.append([f"{time} = {BEFORE_ALL}::timestamptz", f"{column} IS NULL", *limits])
    return tuple(" AND ".join(arm) for arm in found)
