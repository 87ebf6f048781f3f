"""Attempts and runs as the mirror sees them: whose cluster it is, how it lives and how it ended."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from htcondor_operator.blackboard.row_locks import lock_with_runs
from htcondor_operator.vocabulary import AttemptState, ErrorKind

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


class AttemptKey(NamedTuple):
    """Primary key of ``owl_attempt``."""

    run_key: int
    attempt: int


@dataclass
class AttemptNews:
    """What a batch of events says about one DAGMan job."""

    submitted_at: datetime | None = None
    started_at: datetime | None = None
    held: str | None = None
    released: bool = False
    state: AttemptState | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    error_kind: ErrorKind | None = None
    error_message: str | None = None


def claim_clusters(cur: Cursor, schedd: str, claims: Mapping[int, tuple[AttemptKey, str]]) -> None:
    """Record clusters of DAGMan jobs that name an attempt which has no cluster yet.

    `claims` maps a cluster to its attempt and its working folder. An attempt that has a cluster
    keeps it. A job outside the run's folder is somebody else's: an event log outlives blackboards,
    whose run keys begin at 1 again. The gateway writes the folder before it submits.
    """
    open_keys = _without_cluster(cur, {key for key, _ in claims.values()})
    if not open_keys:
        return
    lock_with_runs(cur, open_keys)
    rows = [
        {"cluster": cluster, "run_key": key.run_key, "attempt": key.attempt, "folder": folder}
        for cluster, (key, folder) in claims.items()
        if key in open_keys
    ]
    cur.execute(
        """
        UPDATE owl_attempt AS a
        SET cluster = c.cluster, schedd = COALESCE(a.schedd, %(schedd)s), updated_at = now()
        FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS c(cluster integer, run_key bigint, attempt integer, folder text),
             owl_run AS r
        WHERE (a.run_key, a.attempt) = (c.run_key, c.attempt) AND r.run_key = a.run_key
          AND a.cluster IS NULL AND a.state IN ('wanted', 'clearing', 'submitting', 'live')
          AND r.run_dir IS NOT NULL AND c.folder IN ('', r.run_dir)
        """,
        {"schedd": schedd, "rows": json.dumps(rows)},
    )


def _without_cluster(cur: Cursor, keys: Collection[AttemptKey]) -> set[AttemptKey]:
    """Return those that wait for a cluster: the others need no lock."""
    cur.execute(
        """
        SELECT run_key, attempt FROM owl_attempt WHERE (run_key, attempt) IN
               (SELECT * FROM unnest(%(runs)s::bigint[], %(attempts)s::integer[]))
           AND cluster IS NULL AND state IN ('wanted', 'clearing', 'submitting', 'live')
        """,
        {"runs": [key.run_key for key in keys], "attempts": [key.attempt for key in keys]},
    )
    return {AttemptKey(*row) for row in cur.fetchall()}


def find_attempts(cur: Cursor, schedd: str, clusters: Collection[int]) -> dict[int, AttemptKey]:
    """Return the attempts whose DAGMan job is one of `clusters` of `schedd`."""
    cur.execute(
        """
        SELECT DISTINCT ON (cluster) cluster, run_key, attempt FROM owl_attempt
        WHERE cluster = ANY(%(clusters)s) AND (schedd IS NULL OR schedd = %(schedd)s)
        ORDER BY cluster, requested_at DESC
        """,
        {"clusters": list(clusters), "schedd": schedd},
    )
    return {cluster: AttemptKey(run_key, attempt) for cluster, run_key, attempt in cur.fetchall()}


def save_attempts(cur: Cursor, news: Mapping[AttemptKey, AttemptNews]) -> set[AttemptKey]:
    """Write what is new about attempts; return those that ended by it.

    An attempt that has ended stays as it is. While it lives, ``error_kind`` ``node_held`` says
    that DAGMan's own job is held.
    """
    if not news:
        return set()
    lock_with_runs(cur, news)
    rows = [_row(key, item) for key, item in news.items()]
    cur.execute(
        """
        UPDATE owl_attempt AS a
        SET submitted_at = COALESCE(a.submitted_at, n.submitted_at),
            started_at = COALESCE(a.started_at, n.started_at),
            state = COALESCE(
                n.state,
                CASE WHEN n.started_at IS NOT NULL
                      AND a.state IN ('wanted', 'clearing', 'submitting') THEN 'live' END,
                a.state),
            ended_at = CASE WHEN n.state IS NULL THEN a.ended_at ELSE n.ended_at END,
            exit_code = COALESCE(n.exit_code, a.exit_code),
            exit_signal = COALESCE(n.exit_signal, a.exit_signal),
            error_kind = CASE
                WHEN n.error_kind IS NOT NULL THEN n.error_kind
                WHEN n.released OR (n.state IS NOT NULL AND a.error_kind = 'node_held') THEN NULL
                ELSE a.error_kind END,
            error_message = CASE
                WHEN n.error_kind IS NOT NULL THEN n.error_message
                WHEN n.released OR (n.state IS NOT NULL AND a.error_kind = 'node_held') THEN NULL
                ELSE a.error_message END,
            updated_at = now()
        FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS n(run_key bigint, attempt integer, submitted_at timestamptz,
                    started_at timestamptz, released boolean, state text, ended_at timestamptz,
                    exit_code integer, exit_signal integer, error_kind text, error_message text)
        WHERE (a.run_key, a.attempt) = (n.run_key, n.attempt)
          AND a.state IN ('wanted', 'clearing', 'submitting', 'live')
        RETURNING a.run_key, a.attempt, n.state IS NOT NULL
        """,
        {"rows": json.dumps(rows)},
    )
    return {AttemptKey(row[0], row[1]) for row in cur.fetchall() if row[2]}


def _row(key: AttemptKey, item: AttemptNews) -> dict[str, object]:
    kind = item.error_kind or (ErrorKind.NODE_HELD if item.held else None)
    return {
        "run_key": key.run_key,
        "attempt": key.attempt,
        "submitted_at": _iso(item.submitted_at),
        "started_at": _iso(item.started_at),
        "released": item.released,
        "state": item.state,
        "ended_at": _iso(item.ended_at),
        "exit_code": item.exit_code,
        "exit_signal": item.exit_signal,
        "error_kind": kind,
        "error_message": item.error_message or item.held,
    }


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def follow_runs(cur: Cursor, run_keys: Iterable[int] | None = None) -> int:
    """Let ``owl_run`` follow its latest attempt and that one's nodes; return how many changed.

    Without `run_keys`, all runs that are not at rest.
    """
    cur.execute(
        """
        WITH latest AS (
            SELECT DISTINCT ON (a.run_key) a.* FROM owl_attempt AS a
            JOIN owl_run AS r USING (run_key)
            WHERE (%(keys)s::bigint[] IS NOT NULL AND a.run_key = ANY(%(keys)s::bigint[]))
               OR (%(keys)s::bigint[] IS NULL AND r.state NOT IN ('done', 'removed', 'failed'))
            ORDER BY a.run_key, a.attempt DESC
        ), queued AS (
            SELECT n.run_key, bool_or(n.state = 'held') AS held,
                   bool_or(n.state IN ('running', 'idle', 'submitted')) AS moving
            FROM owl_node AS n JOIN latest AS a USING (run_key, attempt)
            WHERE a.state = 'live' GROUP BY n.run_key
        ), now_is AS (
            SELECT a.run_key, a.ended_at, a.started_at, CASE
                WHEN a.state IN ('wanted', 'clearing', 'submitting')
                    THEN CASE WHEN a.attempt = 1 THEN 'launching' ELSE 'rescued' END
                WHEN a.state = 'live' AND a.error_kind = 'node_held' THEN 'held'
                WHEN a.state = 'live'
                    THEN CASE WHEN q.held AND NOT q.moving THEN 'held' ELSE 'running' END
                WHEN a.state = 'refused' THEN 'failed'
                ELSE a.state END AS state
            FROM latest AS a LEFT JOIN queued AS q USING (run_key)
        )
        UPDATE owl_run AS r
        SET state = s.state, started_at = COALESCE(r.started_at, s.started_at),
            ended_at = CASE WHEN s.state IN ('done', 'failed', 'removed') THEN s.ended_at END,
            updated_at = now()
        FROM now_is AS s
        WHERE r.run_key = s.run_key
          AND (r.state, r.started_at, r.ended_at) IS DISTINCT FROM
              (s.state, COALESCE(r.started_at, s.started_at),
               CASE WHEN s.state IN ('done', 'failed', 'removed') THEN s.ended_at END)
        """,
        {"keys": None if run_keys is None else list(run_keys)},
    )
    return int(cur.rowcount)
