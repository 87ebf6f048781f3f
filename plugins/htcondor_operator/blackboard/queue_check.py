"""What the blackboard believes to be in a schedd's queue, and corrections from asking it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from htcondor_operator.blackboard.attempt_rows import AttemptKey
from htcondor_operator.blackboard.node_rows import TryKey
from htcondor_operator.dagman.folding import POST_RUNNING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Believed:
    """A job that should be in the queue: a node's (`node` set) or a DAGMan's."""

    cluster: int
    proc: int
    attempt: AttemptKey
    state: str
    node: TryKey | None = None
    event_at: datetime | None = None


def believed_jobs(cur: Cursor, schedd: str) -> list[Believed]:
    """Return the jobs of `schedd` that have not ended as far as the blackboard knows."""
    cur.execute(
        """
        SELECT cluster, 0, run_key, attempt, state, NULL, NULL,
               COALESCE(started_at, submitted_at)
        FROM owl_attempt WHERE state = 'live' AND cluster IS NOT NULL AND schedd = %(schedd)s
        UNION ALL
        SELECT n.cluster, n.proc, n.run_key, n.attempt, n.state, n.node, n.try, n.event_at
        FROM owl_node AS n JOIN owl_attempt AS a USING (run_key, attempt)
        WHERE a.schedd = %(schedd)s AND n.cluster IS NOT NULL AND n.proc IS NOT NULL
          AND n.state IN ('submitted', 'idle', 'running', 'held', 'unknown')
          AND n.reason IS DISTINCT FROM %(post)s
          AND n.carried_from IS NULL AND NOT COALESCE(n.telemetry ? 'procs', false)
        """,
        {"schedd": schedd, "post": POST_RUNNING},
    )
    return [
        Believed(
            cluster=row[0],
            proc=row[1],
            attempt=AttemptKey(row[2], row[3]),
            state=row[4],
            node=None if row[5] is None else TryKey(row[2], row[3], row[5], row[6]),
            event_at=row[7],
        )
        for row in cur.fetchall()
    ]


def unrecorded_attempts(cur: Cursor) -> bool:
    """Whether some attempt may have a DAGMan job that nobody has written down."""
    cur.execute(
        "SELECT EXISTS (SELECT 1 FROM owl_attempt"
        " WHERE cluster IS NULL AND state IN ('submitting', 'live'))"
    )
    row = cur.fetchone()
    return bool(row and row[0])


def live_attempts(cur: Cursor, schedd: str) -> list[AttemptKey]:
    """Return the attempts of `schedd` whose DAGMan is in the queue."""
    cur.execute(
        "SELECT run_key, attempt FROM owl_attempt WHERE state = 'live' AND schedd = %(schedd)s",
        {"schedd": schedd},
    )
    return [AttemptKey(*row) for row in cur.fetchall()]


def unsettled_attempts(cur: Cursor, schedd: str) -> list[AttemptKey]:
    """Return attempts that ended while some of their nodes still wait to be reached."""
    cur.execute(
        """
        SELECT DISTINCT a.run_key, a.attempt FROM owl_attempt AS a
        JOIN owl_node AS n USING (run_key, attempt)
        WHERE a.state IN ('done', 'failed', 'removed') AND a.schedd = %(schedd)s
          AND (n.state IN ('unready', 'ready')
               OR (n.state = 'running' AND n.reason = %(post)s))
          AND n.carried_from IS NULL
        """,
        {"schedd": schedd, "post": POST_RUNNING},
    )
    return [AttemptKey(*row) for row in cur.fetchall()]


def correct(cur: Cursor, changes: Iterable[tuple[Believed, Mapping[str, object]]]) -> int:
    """Write `changes` to nodes that are still as they were believed to be.

    Each change names ``state``, ``reason``, ``source`` and what is known of the end.
    """
    rows = [
        {
            "run_key": job.node.run_key,
            "attempt": job.node.attempt,
            "node": job.node.node,
            "try": job.node.retry,
            "cluster": job.cluster,
            "believed": job.state,
            **change,
        }
        for job, change in changes
        if job.node is not None
    ]
    if not rows:
        return 0
    cur.execute(
        """
        UPDATE owl_node AS n
        SET state = c.state, reason = c.reason, source = c.source, updated_at = clock_timestamp(),
            exit_code = COALESCE(c.exit_code, n.exit_code),
            exit_signal = COALESCE(c.exit_signal, n.exit_signal),
            hold_code = c.hold_code, hold_subcode = c.hold_subcode, hold_reason = c.hold_reason,
            ended_at = COALESCE(c.ended_at, n.ended_at),
            event_at = COALESCE(c.event_at, n.event_at)
        FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS c(run_key bigint, attempt integer, node text, try integer, cluster integer,
                    believed text, state text, reason text, source text, exit_code integer,
                    exit_signal integer, hold_code integer, hold_subcode integer,
                    hold_reason text, ended_at timestamptz, event_at timestamptz)
        WHERE (n.run_key, n.attempt, n.node, n.try) = (c.run_key, c.attempt, c.node, c.try)
          AND n.cluster = c.cluster AND n.state = c.believed AND n.carried_from IS NULL
        """,
        {"rows": json.dumps(rows)},
    )
    return int(cur.rowcount)
