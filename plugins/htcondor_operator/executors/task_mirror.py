"""Writes Airflow's own tables, with ``waiting.py`` and ``turns.py``: the only modules that do.

The blackboard's rows are mirrored into ``task_instance`` in bulk. This is not public API of
Airflow; it was written against 3.3.2 and ``tests/integration/test_executor.py`` fails
loudly when the columns or the scheduler's expectations change.

Rules that come from Airflow's scheduler:

- a ``success`` event for a task instance that is not running counts as a mismatch and becomes a
  failure, so running and success are written here, and only failures go through the executor's
  events (where retries, callbacks and propagation happen);
- rows keep ``queued_by_job_id`` and ``last_heartbeat_at`` NULL, so that neither adoption after a
  scheduler's death, nor the heartbeat purge, nor the stuck-in-queued check touches them; a row
  that is about to fail gets the executor's job id, else the event is ignored.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A task instance of this executor that nobody has finished yet, neither mirror nor operator.
_OPEN = """ti.executor = %(executor)s
          AND (ti.state IS NULL OR ti.state IN ('scheduled', 'queued', 'running'))"""

# DAGMan's word counts where the scheduler only propagated something.
_SHOWN_WRONG = """ti.executor = %(executor)s AND (ti.state IS NULL OR ti.state IN
          ('scheduled', 'queued', 'running', 'upstream_failed', 'skipped'))"""

# A task instance that was never scheduled has the try number of its last try (or 0).
NEXT_TRY = """CASE WHEN ti.state IS NULL OR ti.state IN ('upstream_failed', 'skipped')
                   THEN ti.try_number + 1 ELSE ti.try_number END"""


@dataclass(frozen=True)
class Failure:
    """A task instance that must be failed through the executor's events."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    try_number: int
    message: str


def mirror_running(cur: Cursor, executor: str, since: Any) -> int:
    """Show as running what runs (or is held after it ran); return the number of changed rows."""
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET state = 'running', try_number = {NEXT_TRY}, start_date = n.started_at,
            end_date = NULL, duration = NULL, hostname = coalesce(n.host, ''),
            unixname = n.owner, queued_dttm = n.submitted_at,
            external_executor_id = n.cluster || '.' || coalesce(n.proc, 0),
            queued_by_job_id = NULL, last_heartbeat_at = NULL, updated_at = now()
        FROM owl_node n JOIN owl_run r ON r.run_key = n.run_key AND r.mirrored
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.updated_at >= %(since)s
          AND (n.state = 'running' OR (n.state = 'held' AND n.started_at IS NOT NULL))
          AND {_SHOWN_WRONG}
          AND (ti.state IS DISTINCT FROM 'running'
               OR ti.start_date IS DISTINCT FROM n.started_at
               OR ti.hostname IS DISTINCT FROM coalesce(n.host, ''))
        """,  # noqa: S608 - the fragments are constants of this module
        {"executor": executor, "since": since},
    )
    return int(cur.rowcount)


def mirror_requeued(cur: Cursor, executor: str, since: Any) -> int:
    """Show as queued again what was evicted or retried by DAGMan."""
    cur.execute(
        """
        UPDATE task_instance ti SET state = 'queued', updated_at = now()
        FROM owl_node n JOIN owl_run r ON r.run_key = n.run_key AND r.mirrored
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.updated_at >= %(since)s
          AND n.state IN ('unready', 'ready', 'submitted', 'idle') AND ti.state = 'running'
          AND ti.executor = %(executor)s
        """,
        {"executor": executor, "since": since},
    )
    return int(cur.rowcount)


def mirror_success(cur: Cursor, executor: str, since: Any) -> int:
    """Show as successful what is done, with its true times."""
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET state = 'success', try_number = {NEXT_TRY},
            start_date = coalesce(n.started_at, n.ended_at), end_date = n.ended_at,
            duration = extract(epoch FROM n.ended_at - coalesce(n.started_at, n.ended_at)),
            hostname = coalesce(n.host, ''), unixname = n.owner, queued_dttm = n.submitted_at,
            external_executor_id = n.cluster || '.' || coalesce(n.proc, 0),
            queued_by_job_id = NULL, last_heartbeat_at = NULL, updated_at = now()
        FROM owl_node n JOIN owl_run r ON r.run_key = n.run_key AND r.mirrored
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.updated_at >= %(since)s
          AND n.state = 'done' AND {_SHOWN_WRONG}
        """,  # noqa: S608 - the fragments are constants of this module
        {"executor": executor, "since": since},
    )
    return int(cur.rowcount)


def _failures(cur: Cursor) -> list[Failure]:
    return [Failure(*row) for row in cur.fetchall()]


_RETURNING_KEY = "RETURNING ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number"


def claim_failed(cur: Cursor, executor: str, since: Any, job_id: int | None) -> list[Failure]:
    """Claim as running, for this executor, what failed; return what must be failed by event."""
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET state = 'running', try_number = {NEXT_TRY},
            start_date = coalesce(n.started_at, n.submitted_at, n.ended_at, now()),
            hostname = coalesce(n.host, ''), unixname = n.owner, queued_dttm = n.submitted_at,
            external_executor_id = n.cluster || '.' || coalesce(n.proc, 0),
            queued_by_job_id = %(job)s, last_heartbeat_at = NULL, updated_at = now()
        FROM owl_node n JOIN owl_run r ON r.run_key = n.run_key AND r.mirrored
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.updated_at >= %(since)s
          AND n.state IN ('failed', 'removed') AND {_OPEN}
          AND (n.try >= n.retries OR EXISTS (
                 SELECT 1 FROM owl_attempt a WHERE a.run_key = n.run_key
                    AND a.attempt = n.attempt AND a.state IN ('done', 'failed', 'removed')))
          AND NOT EXISTS (SELECT 1 FROM owl_node later
                          WHERE later.run_key = n.run_key AND later.attempt = n.attempt
                            AND later.node = n.node AND later.try > n.try)
        {_RETURNING_KEY}, coalesce(n.reason, 'exit code ' || n.exit_code, n.state)
        """,  # noqa: S608 - the fragments are constants of this module
        {"executor": executor, "since": since, "job": job_id},
    )
    return _failures(cur)


def claim_abandoned(
    cur: Cursor, executor: str, job_id: int | None, grace_s: float
) -> list[Failure]:
    """Claim what waits in an attempt that is over: DAGMan ended without a word about it.

    Only what the scheduler itself thinks should run by now; the rest is propagated by it.
    """
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET state = 'running', start_date = coalesce(ti.start_date, a.ended_at),
            queued_by_job_id = %(job)s, last_heartbeat_at = NULL, updated_at = now()
        FROM owl_node n
        JOIN owl_run r ON r.run_key = n.run_key AND r.latest_attempt = n.attempt
                      AND r.mirrored
        JOIN owl_attempt a ON a.run_key = n.run_key AND a.attempt = n.attempt
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL
          AND ti.executor = %(executor)s AND ti.state IN ('scheduled', 'queued', 'running')
          AND n.state NOT IN ('done', 'failed', 'removed')
          AND a.state IN ('done', 'failed', 'removed')
          AND a.ended_at < now() - %(grace)s * interval '1 second'
        {_RETURNING_KEY},
          'DAGMan of attempt ' || a.attempt || ' ended (' || a.state || ') and left this node '
          || n.state || coalesce(': ' || a.error_message, '') || '. Clear it to rescue.'
        """,  # noqa: S608 - the fragments are constants of this module
        {"executor": executor, "job": job_id, "grace": grace_s},
    )
    return _failures(cur)


def true_times_of_failures(cur: Cursor, executor: str, since: Any) -> int:
    """Give failed task instances their job's times (the scheduler stamps the time of the event)."""
    cur.execute(
        """
        UPDATE task_instance ti
        SET start_date = coalesce(n.started_at, n.submitted_at, n.ended_at),
            end_date = n.ended_at, hostname = coalesce(n.host, ''),
            duration = extract(epoch FROM n.ended_at
                               - coalesce(n.started_at, n.submitted_at, n.ended_at))
        FROM owl_node n JOIN owl_run r ON r.run_key = n.run_key AND r.mirrored
        WHERE n.ti_id = ti.id AND n.carried_from IS NULL AND n.updated_at >= %(since)s
          AND n.state IN ('failed', 'removed') AND ti.state = 'failed'
          AND ti.executor = %(executor)s AND n.ended_at IS NOT NULL
          AND ti.end_date IS DISTINCT FROM n.ended_at
        """,
        {"executor": executor, "since": since},
    )
    return int(cur.rowcount)


def claim_foreign(
    cur: Cursor, executor: str, job_id: int | None, operators: Collection[str]
) -> list[Failure]:
    """Claim queued task instances of operators that this executor cannot run."""
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET queued_by_job_id = %(job)s, last_heartbeat_at = NULL, updated_at = now()
        WHERE ti.state = 'queued' AND ti.executor = %(executor)s
          AND ti.operator <> ALL(%(operators)s)
        {_RETURNING_KEY},
          'operator ' || ti.operator || ' cannot run on HTCondorExecutor, which only mirrors the '
          'nodes of DAGMan workflows: take executor= off the task'
        """,  # noqa: S608 - the fragments are constants of this module
        {"executor": executor, "job": job_id, "operators": list(operators)},
    )
    return _failures(cur)


def start_launches(cur: Cursor, ti_ids: Collection[str]) -> int:
    """Show launch task instances as running while the gateway works on them."""
    cur.execute(
        """
        UPDATE task_instance SET state = 'running', start_date = now(), end_date = NULL,
               duration = NULL, queued_by_job_id = NULL, last_heartbeat_at = NULL,
               updated_at = now()
        WHERE id = ANY(%(ids)s::uuid[]) AND state = 'queued'
        """,
        {"ids": list(ti_ids)},
    )
    return int(cur.rowcount)


def finish_launches(cur: Cursor) -> int:
    """Show launches as successful whose attempt DAGMan has taken over."""
    cur.execute(
        """
        UPDATE task_instance ti
        SET state = 'success', end_date = now(),
            duration = extract(epoch FROM now() - ti.start_date),
            hostname = coalesce(a.schedd, ''),
            external_executor_id = a.cluster::text, updated_at = now()
        FROM owl_run r JOIN owl_attempt a
          ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
        WHERE r.launch_ti_id = ti.id AND r.mirrored AND ti.state = 'running'
          AND a.state IN ('live', 'done', 'failed', 'removed')
        """
    )
    return int(cur.rowcount)


def claim_refused_launches(cur: Cursor, job_id: int | None) -> list[Failure]:
    """Claim launches whose attempt was refused; return what must be failed by event."""
    cur.execute(
        f"""
        UPDATE task_instance ti
        SET queued_by_job_id = %(job)s, last_heartbeat_at = NULL, updated_at = now()
        FROM owl_run r JOIN owl_attempt a
          ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
        WHERE r.launch_ti_id = ti.id AND r.mirrored AND ti.state = 'running' AND a.state = 'refused'
        {_RETURNING_KEY}, coalesce(a.error_kind || ': ' || a.error_message, 'refused')
        """,  # noqa: S608 - the fragments are constants of this module
        {"job": job_id},
    )
    return _failures(cur)


def bind_new_rows(cur: Cursor, executor: str) -> int:
    """Bind the rows of first attempts to the task instances that show them.

    Also of a run that has ended meanwhile: HTCondor does not wait for a scheduler that is away.
    """
    cur.execute(
        """
        UPDATE owl_node n SET ti_id = ti.id, updated_at = now()
        FROM owl_run r, task_instance ti
        WHERE r.run_key = n.run_key AND r.latest_attempt = n.attempt AND r.mirrored
          AND n.ti_id IS NULL AND NOT n.spared
          AND (r.state IN ('launching', 'rescued', 'running', 'held') OR EXISTS (
                 SELECT 1 FROM dag_run d WHERE d.dag_id = r.dag_id AND d.run_id = r.run_id
                    AND d.state IN ('queued', 'running')))
          AND ti.dag_id = r.dag_id AND ti.run_id = r.run_id
          AND ti.task_id = n.task_id AND ti.map_index = -1 AND ti.executor = %(executor)s
        """,
        {"executor": executor},
    )
    return int(cur.rowcount)


def shown_for_predecessor(cur: Cursor, since: Any) -> list[tuple[int, int, str, str]]:
    """Return the nodes that run again although nobody cleared them: spared ones that failed.

    Their task instance has ended with the predecessor's job and has to show another one. So have
    those that the scheduler gave up because of it: they look like an end of the DagRun.

    Returns
    -------
    list
        (run, attempt, node, task instance).
    """
    cur.execute(
        """
        WITH failed AS (
          SELECT DISTINCT n.run_key, n.attempt
          FROM owl_node n
          JOIN owl_run r ON r.run_key = n.run_key AND r.latest_attempt = n.attempt
          JOIN task_instance ti ON ti.id = n.ti_id
          WHERE n.updated_at >= %(since)s AND n.attempt > 1 AND n.try = 0
            AND n.carried_from IS NULL AND ti.state IN ('failed', 'success')
            AND NOT EXISTS (
              SELECT FROM owl_node s WHERE s.run_key = n.run_key AND s.attempt = n.attempt
                 AND s.node = n.node
                 AND s.cluster || '.' || coalesce(s.proc, 0) = ti.external_executor_id)
            AND EXISTS (SELECT 1 FROM owl_node o WHERE o.run_key = n.run_key AND o.ti_id = n.ti_id
                          AND o.attempt < n.attempt AND o.state IN ('failed', 'removed', 'done')))
        SELECT n.run_key, n.attempt, n.node, ti.id::text
        FROM failed JOIN owl_node n USING (run_key, attempt)
        JOIN task_instance ti ON ti.id = n.ti_id
        WHERE n.try = 0 AND n.carried_from IS NULL
          AND (ti.state = 'upstream_failed' OR (ti.state IN ('failed', 'success')
            -- Not one that shows this attempt's own job already.
            AND NOT EXISTS (
              SELECT FROM owl_node s WHERE s.run_key = n.run_key AND s.attempt = n.attempt
                 AND s.node = n.node
                 AND s.cluster || '.' || coalesce(s.proc, 0) = ti.external_executor_id)
            AND EXISTS (SELECT 1 FROM owl_node o WHERE o.run_key = n.run_key AND o.ti_id = n.ti_id
                          AND o.attempt < n.attempt AND o.state IN ('failed', 'removed', 'done'))))
        """,
        {"since": since},
    )
    return [(row[0], row[1], row[2], row[3]) for row in cur.fetchall()]


def reopen_dag_runs(cur: Cursor, run_keys: Collection[int]) -> int:
    """Let the scheduler look again at DagRuns that it took for ended."""
    cur.execute(
        """
        UPDATE dag_run d SET state = 'running', end_date = NULL, updated_at = now()
        FROM owl_run r
        WHERE r.run_key = ANY(%(runs)s) AND d.dag_id = r.dag_id AND d.run_id = r.run_id
          AND d.state IN ('failed', 'success')
        """,
        {"runs": list(run_keys)},
    )
    return int(cur.rowcount)


def skip_absent(cur: Cursor) -> int:
    """Skip the tasks that a run does not have (unused member slots of an association)."""
    cur.execute(
        """
        UPDATE task_instance ti
        SET state = 'skipped', start_date = now(), end_date = now(), duration = 0,
            try_number = greatest(ti.try_number, 1), updated_at = now()
        FROM owl_run r
        JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
        JOIN task_instance launch ON launch.id = r.launch_ti_id AND launch.state = 'running'
        WHERE ti.dag_id = r.dag_id AND ti.run_id = r.run_id AND r.mirrored
          AND a.state IN ('live', 'done', 'failed', 'removed')
          AND ti.task_id <> r.launch_task_id
          AND ti.operator = 'HTCondorNodeOperator'
          AND (ti.state IS NULL OR ti.state IN ('scheduled', 'queued'))
          AND NOT EXISTS (SELECT 1 FROM owl_node n WHERE n.run_key = r.run_key
                            AND n.attempt = a.attempt AND n.task_id = ti.task_id)
        """
    )
    return int(cur.rowcount)


def reset_task_instances(session: Any, ti_ids: Collection[str]) -> dict[str, str]:
    """Make task instances ready for another try, keeping the old one in Airflow's history.

    Returns
    -------
    dict
        Old identity -> new identity.
    """
    from uuid import UUID

    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    # Locked, because an operator may clear it at the same time: who comes second finds it gone.
    found = session.scalars(
        select(TaskInstance)
        .where(TaskInstance.id.in_([UUID(str(ti)) for ti in ti_ids]))
        .with_for_update(of=TaskInstance)
    ).all()
    renamed: dict[str, str] = {}
    for ti in found:
        old = str(ti.id)
        ti.prepare_db_for_next_try(session)
        ti.state = None
        ti.max_tries = max(ti.max_tries, ti.try_number)
        ti.external_executor_id = None
        ti.queued_by_job_id = None
        ti.last_heartbeat_at = None
        renamed[old] = str(ti.id)
    session.flush()
    return renamed


def release_restarting(cur: Cursor, ti_ids: Collection[str]) -> int:
    """Let cleared running task instances be scheduled again.

    Airflow has already recorded the old try and given a new identity when it set ``restarting``.
    """
    cur.execute(
        """
        UPDATE task_instance SET state = NULL, external_executor_id = NULL, end_date = NULL,
               queued_by_job_id = NULL, last_heartbeat_at = NULL,
               max_tries = greatest(max_tries, try_number), updated_at = now()
        WHERE id = ANY(%(ids)s::uuid[]) AND state = 'restarting'
        """,
        {"ids": list(ti_ids)},
    )
    return int(cur.rowcount)
