"""Node tries in ``owl_node``: load those that a batch touches, write them back in one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from htcondor_operator.blackboard.attempt_rows import AttemptKey
from htcondor_operator.dagman.folding import POST_RUNNING, STATE_RANK
from htcondor_operator.dagman.node_try import NodeTry, ProcState
from htcondor_operator.vocabulary import NodeState, Source, task_id_for

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


class TryKey(NamedTuple):
    """Primary key of ``owl_node``."""

    run_key: int
    attempt: int
    node: str
    retry: int


# What the mirror writes. Everything else (ti_id, spared, carried_from) belongs to others.
_COLUMNS: Mapping[str, str] = {
    "state": "text",
    "reason": "text",
    "cluster": "integer",
    "proc": "integer",
    "priority": "integer",
    "owner": "text",
    "host": "text",
    "slot": "text",
    "exit_code": "integer",
    "exit_signal": "integer",
    "hold_code": "integer",
    "hold_subcode": "integer",
    "hold_reason": "text",
    "starts": "integer",
    "idle_s": "double precision",
    "cpu_user_s": "double precision",
    "cpu_system_s": "double precision",
    "memory_request_mb": "double precision",
    "memory_peak_mb": "double precision",
    "disk_mb": "double precision",
    "telemetry": "jsonb",
    "out_path": "text",
    "err_path": "text",
    "log_path": "text",
    "submitted_at": "timestamptz",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
    "source": "text",
    "event_at": "timestamptz",
    "lag_s": "double precision",
    "executions": "jsonb",
}
_NAMES = ", ".join(_COLUMNS)
_TYPED = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
_KEY_TYPES = "run_key bigint, attempt integer, node text, try integer"
_UPSERT = f"""
    INSERT INTO owl_node (run_key, attempt, node, try, task_id, ti_id, retries, updated_at,
                          {_NAMES})
    SELECT r.run_key, r.attempt, r.node, r.try, r.task_id, first.ti_id,
           COALESCE(first.retries, 0), clock_timestamp(),
           {", ".join("r." + name for name in _COLUMNS)}
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS r({_KEY_TYPES}, task_id text, {_TYPED})
    LEFT JOIN owl_node AS first
      ON (first.run_key, first.attempt, first.node, first.try) = (r.run_key, r.attempt, r.node, 0)
    ON CONFLICT (run_key, attempt, node, try) DO UPDATE
    SET updated_at = clock_timestamp(),
        {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
    WHERE owl_node.carried_from IS NULL
"""  # noqa: S608 (only constants of this module are put in)


def load_tries(cur: Cursor, keys: Iterable[TryKey]) -> dict[TryKey, NodeTry]:
    """Return the rows of `keys` that exist, locked until the end of the transaction."""
    wanted = json.dumps(
        [{"run_key": k.run_key, "attempt": k.attempt, "node": k.node, "try": k.retry} for k in keys]
    )
    cur.execute(
        f"""
        SELECT n.run_key, n.attempt, n.node, n.try, {", ".join("n." + c for c in _COLUMNS)}
        FROM owl_node AS n
        JOIN jsonb_to_recordset(%(keys)s::jsonb) AS k({_KEY_TYPES})
          USING (run_key, attempt, node, try)
        ORDER BY n.run_key, n.attempt, n.node, n.try
        FOR UPDATE OF n
        """,  # noqa: S608
        {"keys": wanted},
    )
    return {TryKey(*row[:4]): _try(row[2], row[3], row[4:]) for row in cur.fetchall()}


def _try(node: str, retry: int, values: tuple[object, ...]) -> NodeTry:
    facts = dict(zip(_COLUMNS, values, strict=True))
    facts["state"] = NodeState(str(facts["state"]))
    facts["source"] = Source(str(facts["source"]))
    known = NodeTry(node, retry, **facts)  # type: ignore[arg-type]
    if known.source is Source.NODE_STATUS and known.state in {NodeState.DONE, NodeState.FAILED}:
        known.verdict = known.state
    known.procs = _load_procs(known)
    return known


def _load_procs(known: NodeTry) -> dict[int, ProcState]:
    kept = (known.telemetry or {}).pop("procs", None)
    if isinstance(kept, dict):
        return {
            int(proc): ProcState(NodeState(state), datetime.fromisoformat(at), rank)
            for proc, (state, at, rank) in kept.items()
        }
    if known.proc is None or known.event_at is None or known.source is Source.PLAN:
        return {}
    rank = STATE_RANK.get(known.state, 0)
    return {known.proc: ProcState(known.state, known.event_at, rank)}


def save_tries(cur: Cursor, tries: Mapping[TryKey, NodeTry]) -> None:
    """Write all `tries`; a new try is bound to the task instance of the node's first one."""
    if tries:
        cur.execute(_UPSERT, {"rows": json.dumps([_row(k, tries[k]) for k in sorted(tries)])})


def _row(key: TryKey, known: NodeTry) -> dict[str, object]:
    row: dict[str, object] = {
        "run_key": key.run_key,
        "attempt": key.attempt,
        "node": key.node,
        "try": key.retry,
        "task_id": task_id_for(key.node),
    }
    for name in _COLUMNS:
        value = getattr(known, name)
        row[name] = value.isoformat() if isinstance(value, datetime) else value
    row["telemetry"] = _telemetry(known)
    return row


def _telemetry(known: NodeTry) -> dict[str, object] | None:
    """Return the telemetry; with several procs the state of each of them is kept in it."""
    if len(known.procs) <= 1:
        return known.telemetry
    states = {
        str(proc): [state.state.value, state.at.isoformat(), state.rank]
        for proc, state in sorted(known.procs.items())
    }
    return {**(known.telemetry or {}), "procs": states}


def find_jobs(cur: Cursor, schedd: str, clusters: Collection[int]) -> dict[int, TryKey]:
    """Return the tries whose job is one of `clusters`, for events that name no node."""
    if not clusters:
        return {}
    cur.execute(
        """
        SELECT n.cluster, n.run_key, n.attempt, n.node, n.try
        FROM owl_node AS n JOIN owl_attempt AS a USING (run_key, attempt)
        WHERE n.cluster = ANY(%(clusters)s) AND a.schedd = %(schedd)s AND n.carried_from IS NULL
        """,
        {"clusters": list(clusters), "schedd": schedd},
    )
    return {row[0]: TryKey(*row[1:]) for row in cur.fetchall()}


def end_earlier_tries(cur: Cursor, keys: Iterable[TryKey]) -> None:
    """Fail the tries before those of `keys`: DAGMan tries again only what failed.

    Their own jobs may have ended well (then the POST script failed) or never existed (then the
    PRE script or the submission failed).
    """
    rows = [
        {"run_key": k.run_key, "attempt": k.attempt, "node": k.node, "try": k.retry} for k in keys
    ]
    if not rows:
        return
    cur.execute(
        f"""
        UPDATE owl_node AS n
        SET state = 'failed', updated_at = clock_timestamp(), reason = CASE n.state
            WHEN 'done' THEN 'the job ended well but DAGMan ran the node again: POST script failed'
            WHEN 'running' THEN 'DAGMan ran the node again: POST script failed'
            ELSE 'no job ran in this try: PRE script or submission failed' END
        FROM jsonb_to_recordset(%(rows)s::jsonb) AS k({_KEY_TYPES})
        WHERE (n.run_key, n.attempt, n.node) = (k.run_key, k.attempt, k.node) AND n.try < k.try
          AND (n.state IN ('unready', 'ready', 'done', 'futile')
               OR (n.state = 'running' AND n.reason = %(post)s))
          AND n.carried_from IS NULL
        """,  # noqa: S608
        {"rows": json.dumps(rows), "post": POST_RUNNING},
    )


class Settlement(NamedTuple):
    """DAGMan's own word about a node of an attempt."""

    run_key: int
    attempt: int
    node: str
    retry: int
    state: NodeState
    details: str | None
    at: datetime | None


class AttemptFile(NamedTuple):
    """The DAG file of an attempt, and between which moments its DAGMan may have written."""

    key: AttemptKey
    dag_file: str | None
    since: datetime | None
    until: datetime | None


def dag_files(cur: Cursor, attempts: Collection[AttemptKey]) -> list[AttemptFile]:
    """Return the DAG file, the start (or submission, before that) and the end of each attempt."""
    cur.execute(
        """
        SELECT a.run_key, a.attempt, r.dag_file, COALESCE(a.started_at, a.submitted_at), a.ended_at
        FROM owl_attempt AS a JOIN owl_run AS r USING (run_key)
        JOIN jsonb_to_recordset(%(keys)s::jsonb) AS k(run_key bigint, attempt integer)
          USING (run_key, attempt)
        """,
        {"keys": _attempt_rows(attempts)},
    )
    return [AttemptFile(AttemptKey(row[0], row[1]), *row[2:]) for row in cur.fetchall()]


def _attempt_rows(attempts: Iterable[AttemptKey]) -> str:
    return json.dumps([{"run_key": key.run_key, "attempt": key.attempt} for key in attempts])


def save_verdicts(cur: Cursor, verdicts: Iterable[Settlement]) -> int:
    """Let DAGMan's words decide about latest tries that are not in the queue.

    A job in the queue has its own events to come; a removed one is not called failed.
    """
    rows = [
        {
            "run_key": v.run_key,
            "attempt": v.attempt,
            "node": v.node,
            "state": v.state.value,
            "details": v.details,
            "at": v.at.isoformat() if v.at else None,
        }
        for v in verdicts
    ]
    if not rows:
        return 0
    cur.execute(
        """
        UPDATE owl_node AS n
        SET state = v.state, source = 'node_status', updated_at = clock_timestamp(),
            reason = CASE WHEN v.state = 'done' THEN NULL ELSE COALESCE(v.details, n.reason) END,
            ended_at = CASE WHEN v.state = 'futile' THEN n.ended_at
                            ELSE COALESCE(n.ended_at, v.at) END
        FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS v(run_key bigint, attempt integer, node text, state text, details text,
                    at timestamptz)
        WHERE (n.run_key, n.attempt, n.node) = (v.run_key, v.attempt, v.node)
          AND n.carried_from IS NULL AND n.state <> v.state
          AND (n.state NOT IN ('submitted', 'idle', 'running', 'held')
               OR (n.state = 'running' AND n.reason = %(post)s))
          AND NOT (v.state = 'failed' AND n.state = 'removed')
          AND NOT (v.state = 'futile' AND n.state NOT IN ('unready', 'ready', 'unknown'))
          AND n.try = (SELECT max(l.try) FROM owl_node AS l
                       WHERE (l.run_key, l.attempt, l.node) = (n.run_key, n.attempt, n.node))
        """,
        {"rows": json.dumps(rows), "post": POST_RUNNING},
    )
    return int(cur.rowcount)


def end_unreached(cur: Cursor, attempts: Collection[AttemptKey]) -> int:
    """End the nodes that DAGMan's end left open and that no job will tell about any more.

    What was not reached is futile (done, if all went well: a NOOP node); where only the POST
    script's word is missing, the job's own end counts.
    """
    cur.execute(
        """
        UPDATE owl_node AS n
        SET updated_at = clock_timestamp(), ended_at = COALESCE(n.ended_at, a.ended_at),
            state = CASE
                WHEN a.state = 'done' THEN 'done'
                WHEN n.state = 'running' AND n.exit_code = 0 THEN 'done'
                WHEN n.state = 'running' AND n.exit_code IS NULL AND n.exit_signal IS NULL
                    THEN 'removed'
                WHEN n.state = 'running' THEN 'failed'
                ELSE 'futile' END,
            reason = CASE
                WHEN n.state = 'running' THEN 'DAGMan ended; its POST script''s word is not known'
                WHEN a.state = 'done' THEN 'DAGMan ended well; the node ran no job'
                WHEN a.state = 'removed' THEN 'not reached: DAGMan was removed'
                ELSE 'not reached: DAGMan ended before' END
        FROM owl_attempt AS a
        JOIN jsonb_to_recordset(%(keys)s::jsonb) AS k(run_key bigint, attempt integer)
          USING (run_key, attempt)
        WHERE (n.run_key, n.attempt) = (a.run_key, a.attempt)
          AND a.state IN ('done', 'failed', 'removed') AND n.carried_from IS NULL
          AND (n.state IN ('unready', 'ready')
               OR (n.state = 'running' AND n.reason = %(post)s))
        """,
        {"keys": _attempt_rows(attempts), "post": POST_RUNNING},
    )
    return int(cur.rowcount)
