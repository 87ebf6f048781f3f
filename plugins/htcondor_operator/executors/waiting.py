"""Shows as queued what waits: in HTCondor's queue, or in DAGMan for its next submission.

Airflow's scheduler would come to the same, one task instance at a time, and with a loop without
pause as long as it finds any (3.3.2: 10 to 20 CPU-ms per node).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htcondor_operator.executors.task_mirror import NEXT_TRY

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def mirror_queued(cur: Cursor, executor: str, since: Any) -> int:
    """Show as queued the nodes whose job waits in HTCondor's queue."""
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET state = 'queued', try_number = {NEXT_TRY}, queued_dttm = n.submitted_at,
            external_executor_id = n.cluster || '.' || coalesce(n.proc, 0),
            queued_by_job_id = NULL, last_heartbeat_at = NULL, updated_at = now()
        FROM owl_node n JOIN owl_run r ON r.run_key = n.run_key AND r.mirrored
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.updated_at >= %(since)s
          AND (n.state IN ('submitted', 'idle') OR (n.state = 'held' AND n.started_at IS NULL))
          AND ti.state IS NULL AND ti.executor = %(executor)s
        """,  # noqa: S608 - the fragment is a constant of this package
        {"executor": executor, "since": since},
    )
    return int(cur.rowcount)


def mirror_ready(cur: Cursor, executor: str, since: Any) -> int:
    """Show as queued the nodes that DAGMan is about to submit: all their parents are done.

    These are the children of nodes that were done lately, and the first nodes of an attempt that
    came to life lately.
    """
    cur.execute(
        f"""
        WITH lately AS (
            SELECT n.run_key, n.attempt, n.node FROM owl_node n
            WHERE n.updated_at >= %(since)s AND n.state = 'done'
        ), candidate AS (
            SELECT DISTINCT l.run_key, l.attempt, edge ->> 1 AS node
            FROM lately l JOIN owl_run r ON r.run_key = l.run_key AND r.latest_attempt = l.attempt,
                 jsonb_array_elements(r.graph -> 'edges') AS edge
            WHERE edge ->> 0 = l.node
            UNION
            SELECT a.run_key, a.attempt, first.node
            FROM owl_attempt a JOIN owl_run r
              ON r.run_key = a.run_key AND r.latest_attempt = a.attempt,
                 jsonb_array_elements_text(r.graph -> 'nodes') AS first(node)
            WHERE a.state = 'live' AND a.submitted_at >= %(since)s
              AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(r.graph -> 'edges') AS edge
                              WHERE edge ->> 1 = first.node)
        )
        UPDATE task_instance ti
        SET state = 'queued', try_number = {NEXT_TRY}, queued_dttm = now(),
            queued_by_job_id = NULL, last_heartbeat_at = NULL, updated_at = now()
        FROM candidate c
        JOIN owl_run r ON r.run_key = c.run_key AND r.mirrored
        JOIN owl_attempt a ON a.run_key = c.run_key AND a.attempt = c.attempt AND a.state = 'live'
        JOIN owl_node n ON n.run_key = c.run_key AND n.attempt = c.attempt AND n.node = c.node
                       AND n.try = 0
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.state IN ('unready', 'ready')
          AND ti.state IS NULL AND ti.executor = %(executor)s
          AND NOT EXISTS (
                SELECT 1 FROM jsonb_array_elements(r.graph -> 'edges') AS edge
                WHERE edge ->> 1 = c.node AND NOT EXISTS (
                      SELECT 1 FROM owl_node p
                      WHERE p.run_key = c.run_key AND p.attempt = c.attempt
                        AND p.node = edge ->> 0 AND p.state = 'done'))
        """,  # noqa: S608 - the fragment is a constant of this package
        {"executor": executor, "since": since},
    )
    return int(cur.rowcount)


DAG_TEST_POOL = "dag.test"
"""A pool that does not exist: the scheduler queues nothing of it, ``dag.test()`` does not look."""

DAG_TEST_GRACE_S = 90.0
"""Starting a task takes ``dag.test()`` half a minute on a busy machine (the API server's code is
imported for it): what is given back too early fails."""


def leave_to_dag_test(cur: Cursor, executor: str) -> int:
    """Keep the scheduler away from the runs that ``dag.test()`` drives itself.

    It takes such a run for one of its own (3.3.2), and ``dag.test()`` waits for ever for a task
    instance that somebody else has queued. What was queued before this looked is given back after
    a while: by then ``dag.test()`` has started what it queued itself. Tasks of other executors are
    kept away only: what a worker has taken is not given back.
    """
    values = {"executor": executor, "pool": DAG_TEST_POOL, "grace": DAG_TEST_GRACE_S}
    cur.execute(
        """
        UPDATE task_instance ti SET pool = %(pool)s
        FROM dag_run d
        WHERE d.dag_id = ti.dag_id AND d.run_id = ti.run_id AND d.triggered_by = 'TEST'
          AND d.state = 'running' AND ti.pool <> %(pool)s
        """,
        values,
    )
    cur.execute(
        """
        UPDATE task_instance ti
        SET state = 'scheduled', queued_by_job_id = NULL, queued_dttm = NULL, updated_at = now()
        FROM dag_run d
        WHERE d.dag_id = ti.dag_id AND d.run_id = ti.run_id AND d.triggered_by = 'TEST'
          AND d.state = 'running' AND ti.state = 'queued' AND ti.executor = %(executor)s
          AND ti.queued_dttm < now() - %(grace)s * interval '1 second'
        """,
        values,
    )
    return int(cur.rowcount)


def detach_queued(cur: Cursor, executor: str) -> int:
    """Take queued task instances out of the scheduler's stuck and adoption checks."""
    cur.execute(
        """
        UPDATE task_instance SET queued_by_job_id = NULL, last_heartbeat_at = NULL
        WHERE state = 'queued' AND executor = %(executor)s AND queued_by_job_id IS NOT NULL
        """,
        {"executor": executor},
    )
    return int(cur.rowcount)
