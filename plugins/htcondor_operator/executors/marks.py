"""An operator who marks a waiting or running task (or the whole run) ends its job.

Airflow kills a task that is marked while it runs. Here the job is HTCondor's, so the mark becomes
a command to the gateway: for one node, or for the run when the DAG run itself was ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_MARKED = """
    SELECT r.run_key, n.node, ti.state AS mark,
           d.state IN ('failed', 'success') AS run_ended,
           n.state IN ('submitted', 'idle', 'running', 'held') AS in_queue, r.dag_id, r.run_id
    FROM owl_run r
    JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
                      AND a.state = 'live'
    JOIN owl_node n ON n.run_key = a.run_key AND n.attempt = a.attempt
                   AND n.carried_from IS NULL AND NOT n.spared
    JOIN task_instance ti ON ti.id = n.ti_id AND ti.state IN ('success', 'failed', 'skipped')
    JOIN dag_run d ON d.dag_id = r.dag_id AND d.run_id = r.run_id
    WHERE r.mirrored AND r.state IN ('running', 'held')
      AND n.state IN ('unready', 'ready', 'submitted', 'idle', 'running', 'held')
"""


def end_marked_jobs(cur: Cursor) -> int:
    """Ask for the end of jobs whose task was marked; return the number of new commands."""
    cur.execute(
        f"""
        WITH marked AS ({_MARKED}),
        wanted AS (
            SELECT run_key, NULL AS node, 'the run was ended in Airflow' AS reason, dag_id, run_id
            FROM marked WHERE run_ended GROUP BY run_key, dag_id, run_id
            UNION ALL
            SELECT run_key, node, 'the task was marked as ' || mark, dag_id, run_id
            FROM marked WHERE NOT run_ended AND in_queue
        )
        INSERT INTO owl_command (verb, run_key, node, reason, requested_by)
        SELECT 'remove', w.run_key, w.node, w.reason,
               (SELECT l.owner FROM log l
                 WHERE l.dttm > now() - interval '10 minutes' AND l.dag_id = w.dag_id
                   AND (l.run_id = w.run_id OR l.run_id IS NULL) AND l.event LIKE 'patch%%'
                 ORDER BY l.dttm DESC LIMIT 1)
        FROM wanted w
        WHERE NOT EXISTS (
            SELECT 1 FROM owl_command c
             WHERE c.run_key = w.run_key AND c.node IS NOT DISTINCT FROM w.node
               AND c.verb = 'remove' AND c.requested_at > now() - interval '1 minute')
        """  # noqa: S608 - a constant of this module
    )
    if cur.rowcount:
        cur.execute("NOTIFY owl_command")
    return int(cur.rowcount)
