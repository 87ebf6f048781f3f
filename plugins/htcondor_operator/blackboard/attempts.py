"""SQL of attempts, as the gateway sees them: claim, prepare, submit, refuse."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json, execute_values

from htcondor_operator.blackboard.row_locks import lock_attempts
from htcondor_operator.dagman.model import WorkflowGraph
from htcondor_operator.vocabulary import AttemptKind, AttemptState, OwlError, task_id_for

Key = tuple[int, int]


@dataclass(frozen=True)
class OpenAttempt:
    """An attempt that is not live yet, with what its run says."""

    run_key: int
    attempt: int
    kind: AttemptKind
    state: AttemptState
    requested_at: float
    requested_by: str | None
    dataset: str
    workflow: str
    priority: int
    params: dict[str, Any] = field(default_factory=dict)
    run_dir: str | None = None
    dag_file: str | None = None
    predecessor: int | None = None
    """The latest earlier attempt that got to a cluster."""
    earlier_clusters: tuple[int, ...] = ()
    rescue_file: str | None = None

    @property
    def key(self) -> Key:
        """Run and attempt."""
        return self.run_key, self.attempt


_CLAIM = """
WITH open AS (
  SELECT a.run_key, a.attempt
    FROM owl_attempt a
   WHERE a.state IN ('wanted', 'clearing', 'submitting')
     AND (a.schedd IS NULL OR a.schedd = %(schedd)s)
     AND NOT EXISTS (
       SELECT 1 FROM unnest(%(runs)s::bigint[], %(attempts)s::int[]) AS w(run_key, attempt)
        WHERE w.run_key = a.run_key AND w.attempt = a.attempt)
     -- The attempts of a run go one after the other.
     AND NOT EXISTS (
       SELECT 1 FROM owl_attempt b
        WHERE b.run_key = a.run_key AND b.attempt < a.attempt
          AND b.state IN ('wanted', 'clearing', 'submitting'))
   ORDER BY a.requested_at, a.run_key
   LIMIT %(limit)s
     FOR UPDATE SKIP LOCKED
), claimed AS (
  UPDATE owl_attempt a
     SET claimed_by = %(claimed_by)s, claimed_at = now(), schedd = %(schedd)s
    FROM open
   WHERE a.run_key = open.run_key AND a.attempt = open.attempt
  RETURNING a.run_key, a.attempt, a.kind, a.state, a.requested_at, a.requested_by,
            a.rescue_file
)
SELECT c.run_key, c.attempt, c.kind, c.state, extract(epoch FROM c.requested_at)::float8,
       c.requested_by, r.dataset, r.workflow, r.priority, r.params, r.run_dir, r.dag_file,
       (SELECT max(b.attempt) FROM owl_attempt b
         WHERE b.run_key = c.run_key AND b.attempt < c.attempt AND b.cluster IS NOT NULL),
       (SELECT array_agg(b.cluster) FROM owl_attempt b
         WHERE b.run_key = c.run_key AND b.attempt < c.attempt AND b.cluster IS NOT NULL),
       c.rescue_file
  FROM claimed c JOIN owl_run r ON r.run_key = c.run_key
 ORDER BY c.requested_at, c.run_key
"""


def claim(
    cursor: Cursor, *, schedd: str, claimed_by: str, waiting: Collection[Key], limit: int
) -> list[OpenAttempt]:
    """Claim open attempts for the gateway of `schedd`, but those that it lets wait."""
    cursor.execute(
        _CLAIM,
        {
            "schedd": schedd,
            "claimed_by": claimed_by,
            "runs": [run for run, _ in waiting],
            "attempts": [attempt for _, attempt in waiting],
            "limit": limit,
        },
    )
    return [
        OpenAttempt(
            run_key=row[0],
            attempt=row[1],
            kind=AttemptKind(row[2]),
            state=AttemptState(row[3]),
            requested_at=row[4],
            requested_by=row[5],
            dataset=row[6],
            workflow=row[7],
            priority=row[8],
            params=row[9],
            run_dir=row[10],
            dag_file=row[11],
            predecessor=row[12],
            earlier_clusters=tuple(sorted(row[13] or ())),
            rescue_file=row[14],
        )
        for row in cursor.fetchall()
    ]


@dataclass(frozen=True)
class Prepared:
    """What is known of a run as soon as its DAG file is there."""

    key: Key
    run_dir: str
    dag_file: str
    graph: WorkflowGraph
    template_hash: str | None
    nodes: Mapping[str, int]
    """All nodes of the file, also those that are not part of the graph, and how often DAGMan tries
    each of them again."""


def record_prepared(cursor: Cursor, prepared: Sequence[Prepared]) -> None:
    """Write runs' files and graphs, and the first try of each of their nodes."""
    if not prepared:
        return
    execute_values(
        cursor,
        """
        UPDATE owl_run r
           SET run_dir = v.run_dir, dag_file = v.dag_file, graph = v.graph::jsonb,
               template_hash = v.template_hash, updated_at = now()
          FROM (VALUES %s) AS v(run_key, run_dir, dag_file, graph, template_hash)
         WHERE r.run_key = v.run_key
        """,
        [
            (p.key[0], p.run_dir, p.dag_file, Json(p.graph.as_mapping()), p.template_hash)
            for p in prepared
        ],
        template="(%s::bigint, %s::text, %s::text, %s, %s::text)",
    )
    rows = [
        (*p.key, node, task_id_for(node), retries)
        for p in prepared
        for node, retries in p.nodes.items()
    ]
    if rows:
        execute_values(
            cursor,
            "INSERT INTO owl_node (run_key, attempt, node, task_id, retries) VALUES %s "
            "ON CONFLICT DO NOTHING",
            rows,
            page_size=1000,
        )


def move(
    cursor: Cursor, keys: Collection[Key], expected: AttemptState, state: AttemptState
) -> set[Key]:
    """Move attempts from `expected` to `state`; return those that were (still) in `expected`.

    A note that the attempt is waiting for something is wiped: it goes on.
    """
    if not keys:
        return set()
    lock_attempts(cursor, keys)
    found = execute_values(
        cursor,
        f"""
        UPDATE owl_attempt a
           SET state = '{state.value}', error_kind = NULL, error_message = NULL, updated_at = now()
          FROM (VALUES %s) AS v(run_key, attempt)
         WHERE a.run_key = v.run_key AND a.attempt = v.attempt AND a.state = '{expected.value}'
        RETURNING a.run_key, a.attempt
        """,  # noqa: S608
        list(keys),
        template="(%s::bigint, %s::int)",
        fetch=True,
    )
    return {(row[0], row[1]) for row in found}


def lock_attempt(cursor: Cursor, key: Key) -> tuple[AttemptKind, AttemptState]:
    """Lock an attempt until the transaction ends and return its kind and state as they are now.

    Whoever asks for runs widens an attempt that is not submitted yet under the same lock.
    """
    cursor.execute(
        "SELECT kind, state FROM owl_attempt "
        "WHERE run_key = %(run_key)s AND attempt = %(attempt)s FOR UPDATE",
        {"run_key": key[0], "attempt": key[1]},
    )
    row = cursor.fetchone()
    assert row is not None
    return AttemptKind(row[0]), AttemptState(row[1])


def record_submitted(cursor: Cursor, clusters: Sequence[tuple[Key, int]], schedd: str) -> None:
    """Write the clusters. The mirror may have been faster: what it wrote stays."""
    if not clusters:
        return
    lock_attempts(cursor, [key for key, _ in clusters])
    execute_values(
        cursor,
        """
        UPDATE owl_attempt a
           SET cluster = coalesce(a.cluster, v.cluster), schedd = v.schedd,
               submitted_at = coalesce(a.submitted_at, now()),
               state = CASE WHEN a.state = 'submitting' THEN 'live' ELSE a.state END,
               error_kind = CASE WHEN a.state = 'submitting' THEN NULL ELSE a.error_kind END,
               error_message = CASE WHEN a.state = 'submitting' THEN NULL
                                    ELSE a.error_message END,
               updated_at = now()
          FROM (VALUES %s) AS v(run_key, attempt, cluster, schedd)
         WHERE a.run_key = v.run_key AND a.attempt = v.attempt
        """,
        [(*key, cluster, schedd) for key, cluster in clusters],
        template="(%s::bigint, %s::int, %s::int, %s)",
    )
    cursor.execute("SELECT pg_notify('owl_node', '')")


def record_refused(cursor: Cursor, key: Key, error: OwlError) -> None:
    """Write that nothing was submitted, and why."""
    _end_unsubmitted(cursor, key, AttemptState.REFUSED, error.kind.value, error.message)


def record_cancelled(cursor: Cursor, run_key: int, message: str) -> bool:
    """Take back the run's attempt that is not submitted yet; return whether there was one."""
    cursor.execute(
        """
        UPDATE owl_attempt SET state = 'removed', error_message = %(message)s,
               ended_at = now(), updated_at = now()
         WHERE run_key = %(run_key)s AND state IN ('wanted', 'clearing')
        RETURNING attempt
        """,
        {"run_key": run_key, "message": message},
    )
    cancelled = bool(cursor.fetchall())
    cursor.execute("SELECT pg_notify('owl_node', '')")
    return cancelled


def _end_unsubmitted(
    cursor: Cursor, key: Key, state: AttemptState, kind: str, message: str
) -> None:
    cursor.execute(
        """
        UPDATE owl_attempt SET state = %(state)s, error_kind = %(kind)s,
               error_message = %(message)s, ended_at = now(), updated_at = now()
         WHERE run_key = %(run_key)s AND attempt = %(attempt)s
           AND state IN ('wanted', 'clearing', 'submitting')
        """,
        {
            "state": state.value,
            "kind": kind,
            "message": message,
            "run_key": key[0],
            "attempt": key[1],
        },
    )
    cursor.execute("SELECT pg_notify('owl_node', '')")


def note(cursor: Cursor, keys: Collection[Key], error: OwlError) -> None:
    """Write what open attempts wait for; their state does not change."""
    if not keys:
        return
    lock_attempts(cursor, keys)
    execute_values(
        cursor,
        """
        UPDATE owl_attempt a SET error_kind = v.kind, error_message = v.message, updated_at = now()
          FROM (VALUES %s) AS v(run_key, attempt, kind, message)
         WHERE a.run_key = v.run_key AND a.attempt = v.attempt
           AND a.state IN ('wanted', 'clearing', 'submitting')
           AND a.error_message IS DISTINCT FROM v.message
        """,
        [(*key, error.kind.value, error.message) for key in keys],
        template="(%s::bigint, %s::int, %s, %s)",
    )


def note_all(cursor: Cursor, schedd: str, error: OwlError) -> None:
    """Write the same note to every attempt that the gateway of `schedd` has to bring to life."""
    cursor.execute(
        """
        WITH waiting AS (
          SELECT run_key, attempt FROM owl_attempt
           WHERE state IN ('wanted', 'clearing', 'submitting')
             AND (schedd IS NULL OR schedd = %(schedd)s)
             AND error_message IS DISTINCT FROM %(message)s
           ORDER BY run_key, attempt FOR NO KEY UPDATE)
        UPDATE owl_attempt a SET error_kind = %(kind)s, error_message = %(message)s,
               updated_at = now()
          FROM waiting w WHERE a.run_key = w.run_key AND a.attempt = w.attempt
        """,
        {"kind": error.kind.value, "message": error.message, "schedd": schedd},
    )
