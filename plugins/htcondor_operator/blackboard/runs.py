"""Runs and attempts: how one is asked for, and what is known of it.

Every function takes a psycopg2 cursor; the caller owns the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.dagman.model import WorkflowGraph
from htcondor_operator.vocabulary import (
    AttemptKind,
    AttemptState,
    ErrorKind,
    NodeState,
    RunState,
    Source,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

UNCLAIMED_STATES = (AttemptState.WANTED, AttemptState.CLEARING)
"""While an attempt is in one of these, a further clear can still be folded into it."""


@dataclass(frozen=True)
class Run:
    """One row of ``owl_run`` with the state of its latest attempt."""

    run_key: int
    dag_id: str
    run_id: str
    workflow: str
    dataset: str
    launch_task_id: str
    launch_ti_id: str | None
    attempt: int
    attempt_state: AttemptState | None
    graph: WorkflowGraph | None


@dataclass(frozen=True)
class NodeRow:
    """What planning needs to know of a node's latest try in one attempt."""

    node: str
    task_id: str
    state: NodeState
    ti_id: str | None
    carried_from: int | None
    spared: bool
    retries: int


def ensure_run(
    cur: Cursor,
    *,
    dag_id: str,
    run_id: str,
    workflow: str,
    dataset: str,
    launch_task_id: str = "launch",
    priority: int = 0,
    params: Mapping[str, Any] | None = None,
) -> int:
    """Return the key of the run of an Airflow DagRun, making the row when it is the first time."""
    cur.execute(
        """
        INSERT INTO owl_run (dag_id, run_id, workflow, dataset, launch_task_id, priority, params)
        VALUES (%(dag_id)s, %(run_id)s, %(workflow)s, %(dataset)s, %(task)s, %(priority)s,
                %(params)s)
        ON CONFLICT (dag_id, run_id) DO UPDATE SET updated_at = now()
        RETURNING run_key
        """,
        {
            "dag_id": dag_id,
            "run_id": run_id,
            "workflow": workflow,
            "dataset": dataset,
            "task": launch_task_id,
            "priority": priority,
            "params": json.dumps(params or {}),
        },
    )
    return int(the_row(cur)[0])


def lock_runs(cur: Cursor, run_keys: Collection[int]) -> dict[int, Run]:
    """Lock and load runs with their latest attempts.

    The attempt's row is locked because the gateway moves it on under the same lock: whoever
    holds it decides whether a clear still folds into that attempt.
    """
    return _load(cur, run_keys, "FOR UPDATE")


def look_at_runs(cur: Cursor, run_keys: Collection[int]) -> dict[int, Run]:
    """Load runs with their latest attempts; they may change at once."""
    return _load(cur, run_keys, "")


def _load(cur: Cursor, run_keys: Collection[int], lock: str) -> dict[int, Run]:
    cur.execute(
        f"""
        SELECT r.run_key, r.dag_id, r.run_id, r.workflow, r.dataset,
               r.launch_task_id, r.launch_ti_id::text AS launch_ti_id,
               r.latest_attempt AS attempt, r.graph
        FROM owl_run r WHERE r.run_key = ANY(%(keys)s) ORDER BY r.run_key {lock}
        """,  # noqa: S608 - a constant of this module
        {"keys": list(run_keys)},
    )
    rows = named_rows(cur)
    cur.execute(
        f"""
        SELECT a.run_key, a.state FROM owl_attempt a
        WHERE (a.run_key, a.attempt) IN
              (SELECT run_key, latest_attempt FROM owl_run WHERE run_key = ANY(%(keys)s))
        ORDER BY a.run_key {lock}
        """,  # noqa: S608 - a constant of this module
        {"keys": list(run_keys)},
    )
    states = {key: AttemptState(state) for key, state in cur.fetchall()}
    return {
        row["run_key"]: Run(
            **{
                **row,
                "attempt_state": states.get(row["run_key"]),
                "graph": WorkflowGraph.from_mapping(row["graph"]) if row["graph"] else None,
            }
        )
        for row in rows
    }


def load_nodes(cur: Cursor, run_key: int, attempt: int) -> dict[str, NodeRow]:
    """Return the latest try of every node of an attempt."""
    cur.execute(
        """
        SELECT DISTINCT ON (node) node, task_id, state, ti_id::text, carried_from, spared,
               retries
        FROM owl_node WHERE run_key = %(run)s AND attempt = %(attempt)s
        ORDER BY node, try DESC
        """,
        {"run": run_key, "attempt": attempt},
    )
    return {row[0]: NodeRow(row[0], row[1], NodeState(row[2]), *row[3:]) for row in cur.fetchall()}


def request_attempt(
    cur: Cursor,
    run_key: int,
    *,
    kind: AttemptKind,
    cleared: Collection[str] = (),
    done: Collection[str] = (),
    by: str | None = None,
    reason: str | None = None,
) -> int:
    """Ask for a new attempt of a run and wake the gateway; return the attempt's number."""
    cur.execute(
        """
        UPDATE owl_run SET latest_attempt = latest_attempt + 1, updated_at = now(),
               ended_at = NULL, state = CASE WHEN latest_attempt = 0 THEN %(launching)s
                                             ELSE %(rescued)s END
        WHERE run_key = %(run)s RETURNING latest_attempt
        """,
        {"run": run_key, "launching": RunState.LAUNCHING, "rescued": RunState.RESCUED},
    )
    attempt = int(the_row(cur)[0])
    cur.execute(
        """
        INSERT INTO owl_attempt (run_key, attempt, kind, cleared_nodes, done_nodes, requested_by,
                                 reason)
        VALUES (%(run)s, %(attempt)s, %(kind)s, %(cleared)s, %(done)s, %(by)s, %(reason)s)
        """,
        {
            "run": run_key,
            "attempt": attempt,
            "kind": kind,
            "cleared": sorted(cleared),
            "done": sorted(done),
            "by": by,
            "reason": reason,
        },
    )
    cur.execute("NOTIFY owl_attempt")
    return attempt


def fold_into_attempt(
    cur: Cursor,
    run_key: int,
    attempt: int,
    *,
    kind: AttemptKind,
    cleared: Collection[str],
    done: Collection[str],
) -> None:
    """Widen an attempt that the gateway has not yet submitted by further cleared nodes."""
    cur.execute(
        """
        UPDATE owl_attempt SET cleared_nodes = %(cleared)s, done_nodes = %(done)s, kind = %(kind)s,
               updated_at = now()
        WHERE run_key = %(run)s AND attempt = %(attempt)s
        """,
        {
            "run": run_key,
            "attempt": attempt,
            "kind": kind,
            "cleared": sorted(cleared),
            "done": sorted(done),
        },
    )


def refuse_run(cur: Cursor, run_key: int, error: ErrorKind, message: str) -> int:
    """Record an attempt that was refused before anything was written or submitted."""
    attempt = request_attempt(cur, run_key, kind=AttemptKind.FIRST)
    cur.execute(
        """
        UPDATE owl_attempt SET state = %(refused)s, error_kind = %(error)s,
               error_message = %(message)s, ended_at = now(), updated_at = now()
        WHERE run_key = %(run)s AND attempt = %(attempt)s
        """,
        {
            "run": run_key,
            "attempt": attempt,
            "refused": AttemptState.REFUSED,
            "error": error,
            "message": message,
        },
    )
    cur.execute(
        "UPDATE owl_run SET state = %(failed)s, ended_at = now() WHERE run_key = %(run)s",
        {"run": run_key, "failed": RunState.FAILED},
    )
    return attempt


@dataclass(frozen=True)
class PlannedNode:
    """One node's row of an attempt that is about to be asked for."""

    node: str
    task_id: str
    carried_from: int | None
    spared: bool
    ti_id: str | None
    retries: int = 0
    reason: str | None = None
    source: Source = Source.PLAN


def write_plan(cur: Cursor, run_key: int, attempt: int, nodes: Collection[PlannedNode]) -> None:
    """Write one row per node of a rescue attempt (replacing those of a plan that was widened).

    A carried row keeps the times, host and exit code of the try that did the work.
    """
    from psycopg2.extras import execute_values

    cur.execute(
        "DELETE FROM owl_node WHERE run_key = %(run)s AND attempt = %(attempt)s",
        {"run": run_key, "attempt": attempt},
    )
    execute_values(
        cur,
        """
        INSERT INTO owl_node (run_key, attempt, node, try, task_id, ti_id, state, carried_from,
                              spared, retries, source, reason)
        VALUES %s
        """,
        [
            (
                run_key,
                attempt,
                node.node,
                0,
                node.task_id,
                node.ti_id,
                NodeState.UNREADY if node.carried_from is None else NodeState.DONE,
                node.carried_from,
                node.spared,
                node.retries,
                node.source,
                node.reason,
            )
            for node in nodes
        ],
    )
    cur.execute(
        """
        UPDATE owl_node n SET cluster = o.cluster, proc = o.proc, owner = o.owner, host = o.host,
               slot = o.slot, exit_code = o.exit_code, submitted_at = o.submitted_at,
               started_at = o.started_at, ended_at = o.ended_at, cpu_user_s = o.cpu_user_s,
               cpu_system_s = o.cpu_system_s, memory_peak_mb = o.memory_peak_mb,
               out_path = o.out_path, err_path = o.err_path, log_path = o.log_path
        FROM (SELECT DISTINCT ON (attempt, node) * FROM owl_node WHERE run_key = %(run)s
              ORDER BY attempt, node, try DESC) o
        WHERE n.run_key = %(run)s AND n.attempt = %(attempt)s AND n.carried_from = o.attempt
          AND o.node = n.node
        """,
        {"run": run_key, "attempt": attempt},
    )
