"""All attempts of a run write one node status file: each believes only its own words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from mirror_support import Board, command, mirror, until, write_dag

from htcondor_operator.blackboard import runs
from htcondor_operator.blackboard.attempts import record_submitted
from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.vocabulary import AttemptKind

pytestmark = [pytest.mark.pool, pytest.mark.database]

NODES = ("A", "B", "C")


def failing_chain(run_dir: Path, more: str = "") -> Path:
    """Write A, B, C; B fails until there is a file ``mended``."""
    job = "JOB {0} {{\n executable = /bin/sh\n arguments = \"-c '{1}'\"\n}}\n"
    return write_dag(
        run_dir,
        job.format("A", "true")
        + job.format("B", f"test -e {run_dir / 'mended'}")
        + job.format("C", "true")
        + "PARENT A CHILD B\nPARENT B CHILD C\n"
        + f"NODE_STATUS_FILE nodes.status 1 ALWAYS-UPDATE\n{more}",
    )


def submit(bindings: Bindings, dag: Path, run: int, attempt: int, **lines: str) -> int:
    ours = {"My.OwlRun": str(run), "My.OwlAttempt": str(attempt), "initialdir": str(dag.parent)}
    return bindings.submit_dag(dag, {"Force": True}, {**ours, **lines})


@contextmanager
def rescued(bindings: Bindings, board: Board, dag: Path, run: int) -> Iterator[tuple[int, int]]:
    """Run every node again as the gateway does, with a DAGMan that waits to be released."""
    connection = psycopg2.connect(board.url)
    with connection, connection.cursor() as cur:
        attempt = runs.request_attempt(cur, run, kind=AttemptKind.RESCUE, cleared=NODES)
        plan = [runs.PlannedNode(name, name, None, False, None) for name in NODES]
        runs.write_plan(cur, run, attempt, plan)
        cur.execute("UPDATE owl_attempt SET state = 'submitting' WHERE attempt = %s", (attempt,))
    cluster = submit(bindings, dag, run, attempt, hold="true")
    with connection, connection.cursor() as cur:
        schedd = board.rows("SELECT schedd FROM owl_attempt WHERE attempt = 1")[0]["schedd"]
        record_submitted(cur, [((run, attempt), cluster)], schedd)
    connection.close()
    try:
        yield attempt, cluster
    finally:
        bindings.act(
            "Remove", f"ClusterId == {cluster} || DAGManJobId == {cluster}", "test is over"
        )


def rows(board: Board, run: int, attempt: int) -> dict[str, tuple[str, str, int | None]]:
    found = board.rows(
        "SELECT * FROM owl_node WHERE run_key = %(r)s AND attempt = %(a)s", r=run, a=attempt
    )
    return {row["node"]: (row["state"], row["source"], row["exit_code"]) for row in found}


def first_attempt(bindings: Bindings, board: Board, dag: Path, run: int) -> None:
    submit(bindings, dag, run, 1)
    until(lambda: board.run_state(run) == "failed", tell=lambda: board.states(run))
    assert board.states(run) == {"A/0": "done", "B/0": "failed", "C/0": "futile"}
    # The moments of the file are whole seconds.
    time.sleep(1.1)


def test_a_rescue_that_is_removed_before_it_starts_has_done_nothing(
    pool: PersonalPool, bindings: Bindings, board: Board, run_dir: Path
) -> None:
    dag = failing_chain(run_dir)
    run = board.add_run(dag, "unstarted")
    with mirror(pool, board.url, run_dir / "home"):
        first_attempt(bindings, board, dag, run)
        with rescued(bindings, board, dag, run) as (attempt, cluster):
            until(lambda: "held" in (board.attempt(run)["error_message"] or ""))
            command(pool, "condor_rm", str(cluster))
            until(lambda: board.run_state(run) == "removed", tell=lambda: board.attempt(run))
    assert rows(board, run, attempt) == dict.fromkeys(NODES, ("futile", "plan", None))


def test_a_rescue_with_a_script_waits_for_its_own_words(
    pool: PersonalPool, bindings: Bindings, board: Board, run_dir: Path
) -> None:
    dag = failing_chain(run_dir, "SCRIPT POST C /bin/true\n")
    run = board.add_run(dag, "scripted")
    with mirror(pool, board.url, run_dir / "home"):
        first_attempt(bindings, board, dag, run)
        with rescued(bindings, board, dag, run) as (attempt, cluster):
            # The mirror looks at the status files of live DAGs with scripts every two seconds.
            time.sleep(6)
            assert {state for state, _, _ in rows(board, run, attempt).values()} == {"unready"}
            (run_dir / "mended").touch()
            command(pool, "condor_release", str(cluster))
            until(lambda: board.run_state(run) == "done", tell=lambda: board.states(run))
    assert rows(board, run, attempt)["A"] == ("done", "event_log", 0)
    assert rows(board, run, attempt)["B"] == ("done", "event_log", 0)
    assert rows(board, run, attempt)["C"][0] == "done"
