"""The mirror daemon against a real pool and a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mirror_support import Board, Gates, command, mirror, submit, until, write_dag

from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool

pytestmark = [pytest.mark.pool, pytest.mark.database]

JOB = """JOB {name} {{
  executable = {program}
  arguments = "{arguments}"
  output = {name}.out
  error = {name}.err
  {more}
}}
"""


def job(name: str, program: str = "/bin/true", arguments: str = "", more: str = "") -> str:
    return JOB.format(name=name, program=program, arguments=arguments, more=more)


def test_a_chain_becomes_true_rows(
    pool: PersonalPool, bindings: Bindings, board: Board, run_dir: Path
) -> None:
    text = (
        job("A", "/bin/sleep", "2") + job("B") + job("C") + "PARENT A CHILD B\nPARENT B CHILD C\n"
    )
    dag = write_dag(run_dir, text)
    run = board.add_run(dag, "chain")
    with mirror(pool, board.url, run_dir / "home") as daemon:
        begin = datetime.now(UTC)
        cluster = submit(bindings, dag, run)
        until(lambda: board.run_state(run) == "done", tell=lambda: board.states(run))
        end = datetime.now(UTC)
        assert daemon.stop() == 0
    attempt = board.attempt(run)
    assert (attempt["state"], attempt["cluster"], attempt["exit_code"]) == ("done", cluster, 0)
    assert attempt["submitted_at"] <= attempt["started_at"] < attempt["ended_at"]
    rows = board.nodes(run)
    assert board.states(run) == {"A/0": "done", "B/0": "done", "C/0": "done"}
    first = rows["A", 0]
    assert first["exit_code"] == 0
    assert first["host"]
    assert first["slot"].startswith("slot1_")
    assert first["starts"] == 1
    assert first["source"] == "event_log"
    assert first["out_path"] == str(run_dir / "A.out")
    assert first["submitted_at"] <= first["started_at"] < first["ended_at"]
    # By the test's own clock: the log may cut off fractions of a second.
    second = timedelta(seconds=1)
    assert begin - second <= first["submitted_at"]
    assert rows["C", 0]["ended_at"] <= end + second
    assert first["ended_at"] < rows["B", 0]["started_at"] < rows["C", 0]["started_at"]
    assert attempt["started_at"] <= first["submitted_at"]
    cursor = board.rows("SELECT * FROM owl_cursor")[0]
    assert cursor["lease_by"] is None
    # A wrong time zone (the mirror's is not the pool's) is hours, a machine that rests is seconds.
    assert cursor["lag_p99_s"] < 900
    assert board.rows("SELECT state FROM owl_daemon WHERE name = 'mirror'") == [
        {"state": "stopped"}
    ]


def test_failure_retry_and_futility(
    pool: PersonalPool, bindings: Bindings, board: Board, run_dir: Path
) -> None:
    text = (
        job("A")
        + job("B", "/bin/false")
        + job("C")
        + job("D")
        + "RETRY B 1\nPARENT A CHILD B\nPARENT B CHILD C\nPARENT C CHILD D\n"
        + "NODE_STATUS_FILE nodes.status 1 ALWAYS-UPDATE\n"
    )
    dag = write_dag(run_dir, text)
    run = board.add_run(dag, "failing")
    with mirror(pool, board.url, run_dir / "home"):
        submit(bindings, dag, run)
        until(lambda: board.run_state(run) == "failed", tell=lambda: board.states(run))
    assert board.states(run) == {
        "A/0": "done",
        "B/0": "failed",
        "B/1": "failed",
        "C/0": "futile",
        "D/0": "futile",
    }
    rows = board.nodes(run)
    assert rows["B", 1]["exit_code"] == 1
    assert rows["B", 1]["reason"] == "exit code 1"
    assert rows["C", 0]["reason"]
    assert board.attempt(run)["exit_code"] == 1


def test_a_held_job_shows_its_reason(
    pool: PersonalPool, bindings: Bindings, board: Board, run_dir: Path
) -> None:
    dag = write_dag(run_dir, job("A", "/bin/sleep", "300") + job("H", more="hold = true"))
    run = board.add_run(dag, "held")
    with mirror(pool, board.url, run_dir / "home"):
        cluster = submit(bindings, dag, run)
        until(lambda: board.nodes(run)["H", 0]["state"] == "held", tell=lambda: board.states(run))
        assert "hold" in board.nodes(run)["H", 0]["hold_reason"]
        until(lambda: board.nodes(run)["A", 0]["state"] == "running")
        assert board.run_state(run) == "running"
        running = board.nodes(run)["A", 0]["cluster"]
        command(pool, "condor_hold", "-reason", "to look at it", str(running))
        until(lambda: board.run_state(run) == "held", tell=lambda: board.states(run))
        row = board.nodes(run)["A", 0]
        assert (row["state"], row["hold_code"], row["hold_reason"]) == ("held", 1, row["reason"])
        assert "to look at it" in row["hold_reason"]
        command(pool, "condor_release", str(running))
        until(lambda: board.run_state(run) == "running")
        assert board.nodes(run)["A", 0]["hold_reason"] is None
        command(pool, "condor_hold", str(cluster))
        until(lambda: board.run_state(run) == "held")
        assert "DAGMan's own job is held" in board.attempt(run)["error_message"]
        command(pool, "condor_release", str(cluster))
        until(lambda: board.run_state(run) == "running")
        command(pool, "condor_rm", str(cluster))
        until(lambda: board.run_state(run) == "removed", tell=lambda: board.states(run))
        until(
            lambda: set(board.states(run).values()) == {"removed"}, tell=lambda: board.states(run)
        )


def test_scripts_and_nodes_without_jobs(
    pool: PersonalPool, bindings: Bindings, board: Board, run_dir: Path
) -> None:
    gates = Gates(run_dir / "gates", "saved", "long")
    text = (
        job("SAVED", "/bin/false")
        + f"SCRIPT POST SAVED /bin/sh {gates.words('saved')}\n"
        + job("SPOILT")
        + "SCRIPT POST SPOILT /bin/false\nRETRY SPOILT 1\n"
        + job("PRE")
        + "SCRIPT PRE PRE /bin/false\n"
        + job("BELOW")
        + "JOB NOTHING nothing.sub NOOP\n"
        + job("LONG", "/bin/sh", gates.words("long"))
        + "PARENT PRE CHILD BELOW\nPARENT NOTHING CHILD LONG\n"
        + "NODE_STATUS_FILE nodes.status 1 ALWAYS-UPDATE\n"
    )
    dag = write_dag(run_dir, text)
    run = board.add_run(dag, "scripts")
    seen: set[str] = set()

    def saved() -> str:
        row = board.nodes(run)["SAVED", 0]
        seen.add(f"{row['state']}: {row['reason']}")
        return str(row["state"])

    with mirror(pool, board.url, run_dir / "home"):
        try:
            submit(bindings, dag, run)
            until(lambda: bool(saved()) and "running: POST script running" in seen)
            gates.open("saved")
            until(lambda: saved() == "done", tell=lambda: board.states(run))
            assert not any(word.startswith("failed") for word in seen)
            until(lambda: board.nodes(run)["NOTHING", 0]["state"] == "done")
            until(lambda: board.nodes(run)["BELOW", 0]["state"] == "futile")
            assert board.attempt(run)["state"] == "live"
        finally:
            gates.open()
        until(lambda: board.run_state(run) == "failed", tell=lambda: board.states(run))
    assert board.states(run) == {
        "BELOW/0": "futile",
        "LONG/0": "done",
        "NOTHING/0": "done",
        "PRE/0": "failed",
        "SAVED/0": "done",
        "SPOILT/0": "failed",
        "SPOILT/1": "failed",
    }
    rows = board.nodes(run)
    assert rows["PRE", 0]["reason"] == "PRE Script failed with status 1"
    assert rows["SPOILT", 0]["reason"].endswith("POST script failed")
    assert "POST Script failed with status 1" in rows["SPOILT", 1]["reason"]
    assert rows["SAVED", 0]["exit_code"] == 1
    assert rows["SAVED", 0]["source"] == "node_status"
