"""SQL of what became of shoveled entries: Airflow's word about their DAG runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htcondor_operator.blackboard.removals import ON_PURPOSE

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_ENDED = f"""
UPDATE owl_queue_history AS h
SET outcome = CASE WHEN r.state = 'success' THEN 'done'
                   WHEN {ON_PURPOSE.format(dag_id="r.dag_id", run_id="r.run_id")} THEN 'removed'
                   ELSE 'failed' END,
    ended_at = coalesce(r.end_date, now())
FROM dag_run AS r
WHERE h.outcome = 'shoveled' AND r.dag_id = h.dag_id AND r.run_id = h.run_id
  AND r.state IN ('success', 'failed')
RETURNING h.outcome
"""  # noqa: S608

_DELETED = """
UPDATE owl_queue_history AS h
SET outcome = 'removed', ended_at = now(), reason = 'Its DAG run was deleted in Airflow.'
WHERE h.outcome = 'shoveled' AND NOT EXISTS (
    SELECT FROM dag_run AS r WHERE r.dag_id = h.dag_id AND r.run_id = h.run_id)
"""

# From the side of the runs that are alive: they are few, and the history is long.
_ALIVE_AGAIN = r"""
WITH alive AS (
    SELECT dag_id, run_id FROM dag_run WHERE state = 'running' AND run_id LIKE 'dpq\_\_%'
    UNION ALL
    SELECT dag_id, run_id FROM dag_run WHERE state = 'queued' AND run_id LIKE 'dpq\_\_%')
UPDATE owl_queue_history AS h SET outcome = 'shoveled', ended_at = NULL
FROM alive
WHERE h.dag_id = alive.dag_id AND h.run_id = alive.run_id AND h.outcome <> 'shoveled'
"""


def sweep_outcomes(cur: Cursor) -> dict[str, int]:
    """Bring the history up to Airflow's word; return how many rows changed, by what they became.

    A run that is over makes its entry ``done`` or ``failed``, one that was deleted or that
    somebody took out of HTCondor ``removed``, and one that runs again (a rescue) ``shoveled``.
    """
    cur.execute(_ENDED)
    ended = [outcome for (outcome,) in cur.fetchall()]
    counts = {"done": ended.count("done"), "failed": ended.count("failed")}
    cur.execute(_DELETED)
    counts["removed"] = cur.rowcount + ended.count("removed")
    cur.execute(_ALIVE_AGAIN)
    counts["again"] = cur.rowcount
    return counts
