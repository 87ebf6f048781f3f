"""SQL of the shoveler: what waits, what runs, and how entries leave the queue for Airflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.rows import named_rows, the_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_CENSUS = """
WITH RECURSIVE
-- One step per (type, instrument) along the index, instead of reading all entries.
pair AS (
    (SELECT type, coalesce(instrument, '') AS instrument FROM owl_queue
     WHERE state = 'waiting' ORDER BY type, coalesce(instrument, '') LIMIT 1)
    UNION ALL
    SELECT further.type, further.instrument FROM pair, LATERAL (
        SELECT q.type, coalesce(q.instrument, '') AS instrument FROM owl_queue AS q
        WHERE q.state = 'waiting'
          AND (q.type, coalesce(q.instrument, '')) > (pair.type, pair.instrument)
        ORDER BY q.type, coalesce(q.instrument, '') LIMIT 1) AS further),
blocked AS (
    SELECT q.type, coalesce(q.instrument, '') AS instrument, q.priority, count(*) AS n
    FROM owl_queue_history AS h JOIN owl_queue AS q ON q.fileset = h.fileset AND q.type = h.type
    WHERE h.outcome = 'shoveled' AND q.state = 'waiting' GROUP BY 1, 2, 3),
blocked_pair AS (SELECT type, instrument, sum(n)::bigint AS n FROM blocked GROUP BY 1, 2),
head AS (
    SELECT pair.type, pair.instrument, best.priority, count(*) AS n, min(best.id) AS oldest
    FROM pair LEFT JOIN blocked_pair USING (type, instrument) CROSS JOIN LATERAL (
        SELECT q.priority, q.id FROM owl_queue AS q
        WHERE q.state = 'waiting' AND q.type = pair.type
          AND coalesce(q.instrument, '') = pair.instrument
        ORDER BY q.priority DESC, q.id
        LIMIT %(depth)s + coalesce(blocked_pair.n, 0)) AS best
    GROUP BY 1, 2, 3)
SELECT head.type, head.instrument, head.priority,
       greatest(head.n - coalesce(blocked.n, 0), 0)::bigint AS waiting, head.oldest,
       coalesce(blocked.n, 0) AS blocked
FROM head LEFT JOIN blocked USING (type, instrument, priority)
"""


def census(cur: Cursor, depth: int) -> list[dict[str, Any]]:
    """Count the waiting entries by type, instrument and priority.

    Of each type and instrument only the best `depth` are counted, so that the time does not
    depend on how many wait; those whose fileset is in Airflow in the same type (``blocked``) come
    on top.
    """
    cur.execute(_CENSUS, {"depth": depth})
    return named_rows(cur)


def anything_waits(cur: Cursor) -> bool:
    """Whether any entry waits."""
    cur.execute("SELECT EXISTS (SELECT FROM owl_queue WHERE state = 'waiting')")
    return bool(the_row(cur)[0])


_RUNNING = """
WITH of_workflows AS (
    SELECT unnest(%(types)s::text[]) AS dag_id
    UNION SELECT dag_id FROM owl_queue_history WHERE outcome = 'shoveled'
    UNION SELECT dag_id FROM owl_run WHERE state IN ('queued', 'launching', 'running', 'held')),
-- Two statements, because Airflow has one partial index for each of the states.
alive AS (
    SELECT dag_id, 'running' AS state, count(*) AS n FROM dag_run
    WHERE state = 'running' GROUP BY dag_id
    UNION ALL
    SELECT dag_id, 'queued', count(*) FROM dag_run WHERE state = 'queued' GROUP BY dag_id)
SELECT dag_id, sum(n)::bigint AS running,
       coalesce(sum(n) FILTER (WHERE state = 'queued'), 0)::bigint AS queued
FROM alive JOIN of_workflows USING (dag_id) LEFT JOIN dag USING (dag_id)
-- A queued run of a paused DAG does not start: it must not keep others out.
WHERE state = 'running' OR (NOT dag.is_paused AND NOT dag.is_stale)
GROUP BY dag_id
"""


def running(cur: Cursor, types: Sequence[str]) -> list[dict[str, Any]]:
    """Count the DAG runs in Airflow of `types` and of all other workflows that have some.

    Runs that people triggered count as well; the pollers' and campaigns' own DAGs do not.
    """
    cur.execute(_RUNNING, {"types": list(types)})
    return named_rows(cur)


def running_instruments(cur: Cursor) -> dict[str, int]:
    """Count the shoveled entries that are in Airflow, by instrument; see :func:`running`."""
    cur.execute(
        """
        SELECT h.instrument, count(*)
        FROM owl_queue_history AS h LEFT JOIN dag USING (dag_id)
        WHERE h.outcome = 'shoveled' AND h.instrument IS NOT NULL
          AND (NOT coalesce(dag.is_paused OR dag.is_stale, true)
               OR EXISTS (SELECT FROM dag_run AS r WHERE r.dag_id = h.dag_id
                          AND r.run_id = h.run_id AND r.state = 'running'))
        GROUP BY h.instrument
        """
    )
    return dict(cur.fetchall())


def recent_starts(cur: Cursor) -> tuple[dict[str, int], float | None]:
    """Return the DAG runs that the shoveler made in the last minute, and the last one's age."""
    cur.execute(
        r"""
        SELECT dag_id, count(*), extract(epoch FROM clock_timestamp() - max(run_after))::float8
        FROM dag_run
        WHERE run_after > now() - interval '1 minute' AND run_id LIKE 'dpq\_\_%' GROUP BY dag_id
        """
    )
    found = cur.fetchall()
    return {dag_id: n for dag_id, n, _ in found}, min((age for _, _, age in found), default=None)


_WORKFLOWS = """
SELECT dag_id, max_active_runs,
       CASE WHEN is_stale THEN 'is gone from the DAG files (or has an import error)'
            WHEN is_paused THEN 'is paused in Airflow'
            WHEN allowed_run_types IS NOT NULL AND allowed_run_types::text <> 'null'
                 AND NOT allowed_run_types::jsonb ? 'manual' THEN 'does not allow manual runs'
            WHEN NOT EXISTS (SELECT FROM dag_version AS v WHERE v.dag_id = dag.dag_id)
                 THEN 'is not serialized yet' END AS obstacle
FROM dag WHERE dag_id = ANY(%(types)s)
"""


def workflows(cur: Cursor, types: Sequence[str]) -> list[dict[str, Any]]:
    """Return what Airflow says about the DAGs of `types`; a missing one is not there."""
    cur.execute(_WORKFLOWS, {"types": list(types)})
    return named_rows(cur)


def pool_idle_jobs(cur: Cursor, max_age_s: float) -> int | None:
    """Return the idle jobs of all schedds, as the gateways say; None if they do not."""
    cur.execute(
        """
        SELECT sum((detail #>> '{pool,idle}')::bigint) FROM owl_daemon
        WHERE name = 'gateway'
          AND (detail #>> '{pool,at}')::timestamptz > now() - make_interval(secs => %(age)s)
        """,
        {"age": max_age_s},
    )
    idle = the_row(cur)[0]
    return None if idle is None else int(idle)


_LOCK = 0x6F776C7368
"""Advisory lock: one shoveling transaction at a time, so that caps hold."""


def lock_shoveling(cur: Cursor) -> bool:
    """Become the only one who shovels, up to the transaction's end; False if another one is."""
    cur.execute("SELECT pg_try_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})
    return bool(the_row(cur)[0])


_CLAIM = """
SELECT best.id
FROM unnest(%(types)s::text[], %(instruments)s::text[], %(numbers)s::bigint[])
         AS share(type, instrument, n)
CROSS JOIN LATERAL (
    SELECT q.id FROM owl_queue AS q
    WHERE q.state = 'waiting' AND q.type = share.type
      AND coalesce(q.instrument, '') = share.instrument
      AND NOT EXISTS (SELECT FROM owl_queue_history AS h WHERE h.outcome = 'shoveled'
                      AND h.fileset = q.fileset AND h.type = q.type)
      -- Runs that people triggered, and rescues that the history does not know of yet.
      AND NOT EXISTS (SELECT FROM owl_run AS r JOIN dag_run AS d USING (dag_id, run_id)
                      WHERE r.dataset = q.fileset AND r.workflow = q.type
                        AND d.state IN ('queued', 'running'))
    ORDER BY q.priority DESC, q.id LIMIT share.n
    FOR UPDATE OF q SKIP LOCKED) AS best
"""


def claim(cur: Cursor, shares: Mapping[tuple[str, str], int]) -> list[int]:
    """Lock the best entries of each (type, instrument); those that others hold are passed over."""
    cur.execute(
        _CLAIM,
        {
            "types": [type_ for type_, _ in shares],
            "instruments": [instrument for _, instrument in shares],
            "numbers": list(shares.values()),
        },
    )
    return [number for (number,) in cur.fetchall()]


def move_to_history(cur: Cursor, ids: Sequence[int]) -> int:
    """Take claimed entries out of the queue: their DAG runs are in the same transaction."""
    cur.execute(
        """
        WITH gone AS (DELETE FROM owl_queue WHERE id = ANY(%(ids)s) RETURNING *)
        INSERT INTO owl_queue_history
            (id, fileset, type, instrument, priority, payload, reason, campaign, requested_by,
             inserted_at, dag_id, run_id, outcome)
        SELECT id, fileset, type, instrument, priority, payload, reason, campaign, requested_by,
               inserted_at, type, 'dpq__' || fileset || '__' || id, 'shoveled'
        FROM gone
        """,
        {"ids": list(ids)},
    )
    return cur.rowcount
