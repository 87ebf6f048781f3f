"""Kills, rotations, replays and lost daemons: the mirror loses nothing and doubles nothing."""

from __future__ import annotations

import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from mirror_support import Board, Gates, Mirror, command, mirror, until, write_dag

from htcondor_operator.blackboard.retention import Retention
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.mirror.janitor import Janitor

pytestmark = [pytest.mark.pool, pytest.mark.database]

NODES = tuple(f"N{i}" for i in range(4))
ORDER = "".join(f"PARENT N{i} CHILD N{i + 1}\n" for i in range(3))
CHAIN = "".join(f"JOB {name} {{\n executable = /bin/true\n}}\n" for name in NODES) + ORDER


def gated_chain(gates: Gates) -> str:
    """Return a chain each of whose jobs waits for the gate of its name."""
    job = "JOB {0} {{\n executable = /bin/sh\n arguments = {1}\n}}\n"
    return "".join(job.format(name, gates.words(name)) for name in NODES) + ORDER


@pytest.fixture(scope="module")
def rotating(pool: PersonalPool, state_dir: Path) -> Iterator[PersonalPool]:
    """The session's HTCondor, in a pool whose event log rotates every few events."""
    extra = {"EVENT_LOG_MAX_SIZE": 12_000, "EVENT_LOG_MAX_ROTATIONS": 200}
    made = PersonalPool(pool.condor, state_dir / "rotating", extra=extra)
    made.start()
    yield made
    made.stop()


def submit_with_tool(pool: PersonalPool, dag: Path, run: int) -> int:
    """Submit without the bindings: they know one pool per process only."""
    lines = ("-append", f"My.OwlRun = {run}", "-append", "My.OwlAttempt = 1")
    done = subprocess.run(
        ["condor_submit_dag", "-f", *lines, dag.name],
        cwd=dag.parent,
        env=pool.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.partition("submitted to cluster ")[2].split(".")[0])


def event_log_texts(pool: PersonalPool) -> list[str]:
    """Read the event log's files; once more if they were rotated meanwhile."""
    while True:
        with suppress(FileNotFoundError):
            return [path.read_text() for path in pool.log.glob("EventLog*")]


def logged(pool: PersonalPool, clusters: set[int]) -> Counter[tuple[int, int]]:
    """Count what the event log's files say, read as plain text: (cluster, event type)."""
    found: Counter[tuple[int, int]] = Counter()
    for text in event_log_texts(pool):
        # What is behind the last mark is not whole yet.
        for block in text.split("\n...\n")[:-1]:
            if block.startswith("028 ("):
                cluster = int(block[5:].split(".")[0])
                trigger = int(block.partition("TriggerEventTypeNumber = ")[2].split()[0])
                if cluster in clusters:
                    found[cluster, trigger] += 1
    return found


def facts(board: Board) -> list[dict[str, Any]]:
    """All that the mirror knows, but for when it wrote it."""
    rows = board.rows("SELECT * FROM owl_node ORDER BY run_key, attempt, node, try")
    rows += board.rows("SELECT * FROM owl_attempt ORDER BY run_key, attempt")
    rows += board.rows("SELECT * FROM owl_run ORDER BY run_key")
    rows += board.rows("SELECT run_key, node, cluster, type, event_at FROM owl_event ORDER BY id")
    return [{k: v for k, v in row.items() if k != "updated_at"} for row in rows]


def test_kills_rotations_and_a_replay(rotating: PersonalPool, board: Board, run_dir: Path) -> None:
    home = run_dir / "home"
    home.mkdir()
    gates = Gates(run_dir / "gates", *NODES)
    daemon = Mirror(rotating, board.url, home)
    runs: dict[int, int] = {}
    heard = 0
    try:
        for number in range(4):
            dag = write_dag(run_dir / str(number), gated_chain(gates))
            run = board.add_run(dag, f"d{number}")
            runs[run] = submit_with_tool(rotating, dag, run)
        for gate in NODES:
            # Four chains write at least twelve events between two gates, and then stand still: each
            # kill has events of its own, however slow the start before it was.
            until(lambda h=heard: len(board.rows("SELECT id FROM owl_event")) > h + 8)  # type: ignore[misc]
            daemon.kill()
            heard = len(board.rows("SELECT id FROM owl_event"))
            gates.open(gate)
            daemon = Mirror(rotating, board.url, home)
        until(
            lambda: all(board.run_state(run) == "done" for run in runs), tell=lambda: facts(board)
        )
        assert daemon.stop() == 0
    finally:
        gates.open()
        if daemon.process.poll() is None:
            daemon.kill()
    assert len(list(rotating.log.glob("EventLog.*"))) >= 5
    for run in runs:
        assert set(board.states(run).values()) == {"done"}
        assert all(row["starts"] == 1 for row in board.nodes(run).values())
    clusters = {row["cluster"] for row in board.rows("SELECT cluster FROM owl_node")}
    written = board.rows("SELECT cluster, type, count(*) AS n FROM owl_event GROUP BY 1, 2")
    expected = logged(rotating, clusters | set(runs.values()))
    assert Counter({(row["cluster"], row["type"]): row["n"] for row in written}) == expected
    assert "is gone" not in daemon.log.read_text()

    known = facts(board)
    board.rows("UPDATE owl_cursor SET inode = NULL, header_id = NULL, events = 0")
    with mirror(rotating, board.url, home) as again:
        total = sum(logged(rotating, clusters | set(runs.values())).values())
        until(lambda: board.rows("SELECT events FROM owl_cursor")[0]["events"] >= total)
        assert again.stop() == 0
    assert facts(board) == known


def test_a_crashed_gateway_and_a_foreign_dag(
    rotating: PersonalPool, board: Board, run_dir: Path
) -> None:
    dag = write_dag(run_dir / "ours", CHAIN)
    run = board.add_run(dag, "ours")
    elsewhere = write_dag(run_dir / "elsewhere", CHAIN)
    with mirror(rotating, board.url, run_dir / "home"):
        # Somebody else's DAG that carries our numbers, but runs in another folder.
        stranger = submit_with_tool(rotating, elsewhere, run)
        until(lambda: logged(rotating, {stranger})[stranger, 5] == 1)
        cluster = submit_with_tool(rotating, dag, run)
        until(lambda: board.run_state(run) == "done", tell=lambda: board.states(run))
    attempt = board.attempt(run)
    assert attempt["cluster"] == cluster
    assert attempt["schedd"]
    assert board.rows("SELECT 1 FROM owl_event WHERE cluster = %(c)s", c=stranger) == []


def test_a_second_mirror_waits_and_takes_over(
    rotating: PersonalPool, board: Board, run_dir: Path
) -> None:
    with mirror(rotating, board.url, run_dir / "one") as first:
        until(lambda: bool(board.rows("SELECT 1 FROM owl_cursor WHERE lease_by IS NOT NULL")))
        with mirror(rotating, board.url, run_dir / "two") as second:
            until(lambda: bool(board.rows("SELECT 1 FROM owl_daemon WHERE state = 'stand-by'")))
            first.kill()
            holder = f"{socket.gethostname()}:{second.process.pid}"
            until(
                lambda: board.rows("SELECT lease_by FROM owl_cursor")[0]["lease_by"] == holder, 60
            )
            # It has not waited for the end of the lease.
            until(lambda: "is dead: taking its lease over" in second.log.read_text())


def fresh_starts(daemon: Mirror) -> int:
    return daemon.log.read_text().count("starting over")


def test_the_database_goes_away(rotating: PersonalPool, board: Board, run_dir: Path) -> None:
    gates = Gates(run_dir / "gates", "N1")
    dag = write_dag(run_dir / "ours", gated_chain(gates))
    run = board.add_run(dag, "ours")
    with mirror(rotating, board.url, run_dir / "home") as daemon:
        try:
            submit_with_tool(rotating, dag, run)
            until(lambda: board.states(run)["N1/0"] == "running", tell=lambda: board.states(run))
            kill = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'owl mirror'"
            )
            for number in range(1, 4):
                # Between two connections there is nothing to kill, or one that is dying.
                until(lambda n=number: (board.rows(kill), fresh_starts(daemon) >= n)[1])  # type: ignore[misc]
        finally:
            gates.open()
        until(lambda: board.run_state(run) == "done", tell=lambda: board.states(run))
        assert daemon.process.poll() is None


def test_a_dagman_that_vanished_without_an_event(
    rotating: PersonalPool, board: Board, run_dir: Path
) -> None:
    dag = write_dag(run_dir / "ours", CHAIN)
    run = board.add_run(dag, "lost")
    board.rows(
        "UPDATE owl_attempt SET state = 'live', cluster = 999999, schedd = %(schedd)s,"
        " started_at = now() WHERE run_key = %(run)s",
        run=run,
        schedd=command(rotating, "condor_status", "-schedd", "-af", "Name").strip(),
    )
    with mirror(rotating, board.url, run_dir / "home", "--reconcile", "1"):
        until(lambda: board.run_state(run) == "failed", tell=lambda: board.attempt(run))
    attempt = board.attempt(run)
    assert attempt["error_kind"] == "dagman_died"
    assert "neither in the schedd's queue nor in its history" in attempt["error_message"]
    assert set(board.states(run).values()) == {"futile"}


def test_the_history_tells_what_no_event_told(
    rotating: PersonalPool, board: Board, run_dir: Path
) -> None:
    """With an event log that stays empty, only the schedd's answers are left."""
    text = "JOB A {\n executable = /bin/false\n}\nJOB B {\n executable = /bin/true\n}\n"
    dag = write_dag(run_dir / "ours", text + "PARENT A CHILD B\n")
    run = board.add_run(dag, "unheard")
    cluster = submit_with_tool(rotating, dag, run)
    until(lambda: logged(rotating, {cluster})[cluster, 5] == 1)
    schedd = command(rotating, "condor_status", "-schedd", "-af", "Name").strip()
    board.rows(
        "UPDATE owl_attempt SET state = 'live', cluster = %(cluster)s, schedd = %(schedd)s,"
        " started_at = now() - interval '1 minute' WHERE run_key = %(run)s",
        run=run,
        cluster=cluster,
        schedd=schedd,
    )
    words = ("-constraint", f"DAGManJobId=={cluster}", "-af", "ClusterId")
    until(lambda: bool(command(rotating, "condor_history", *words).strip()))
    job = command(rotating, "condor_history", *words)
    board.rows(
        "UPDATE owl_node SET state = 'running', source = 'event_log', cluster = %(job)s, proc = 0,"
        " event_at = now() - interval '1 minute' WHERE run_key = %(run)s AND node = 'A'",
        run=run,
        job=int(job.split()[0]),
    )
    silent = run_dir / "EventLog"
    silent.touch()
    with mirror(
        rotating, board.url, run_dir / "home", "--reconcile", "1", "--event-log", str(silent)
    ):
        until(lambda: board.run_state(run) == "failed", tell=lambda: board.attempt(run))
        until(lambda: board.states(run) == {"A/0": "failed", "B/0": "futile"})
    row = board.nodes(run)["A", 0]
    assert (row["exit_code"], row["source"], row["reason"]) == (1, "history", "exit code 1")
    assert row["ended_at"] is not None
    attempt = board.attempt(run)
    assert (attempt["state"], attempt["exit_code"]) == ("failed", 1)


def test_a_silent_schedd_fails_nothing(rotating: PersonalPool, board: Board, run_dir: Path) -> None:
    text = "JOB A {\n executable = /bin/sleep\n arguments = 600\n}\n"
    dag = write_dag(run_dir / "ours", text)
    run = board.add_run(dag, "silent")
    with mirror(rotating, board.url, run_dir / "home", "--reconcile", "1") as daemon:
        cluster = submit_with_tool(rotating, dag, run)
        until(lambda: board.states(run) == {"A/0": "running"}, tell=lambda: board.states(run))
        until(lambda: "reconciled_at" in str(board.rows("SELECT detail FROM owl_daemon")))
        command(rotating, "condor_off", "-fast", "-daemon", "schedd")
        until(lambda: daemon.log.read_text().count("no reconciliation") >= 3)
        assert board.run_state(run) == "running"
        assert board.attempt(run)["state"] == "live"
        command(rotating, "condor_on", "-daemon", "schedd")
        until(lambda: "ClusterId" in _queue(rotating, cluster))
        command(rotating, "condor_rm", str(cluster))
        until(lambda: board.run_state(run) == "removed", tell=lambda: board.attempt(run))
        until(lambda: board.states(run) == {"A/0": "removed"}, tell=lambda: board.states(run))


def _queue(pool: PersonalPool, cluster: int) -> str:
    done = subprocess.run(
        ["condor_q", "-long", str(cluster)],
        env=pool.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_the_journal_is_forgotten_in_time(board: Board) -> None:
    board.rows(
        "INSERT INTO owl_event (schedd, cluster, proc, type, event_at, digest, recorded_at)"
        " SELECT 's', 1, 0, 0, now(), n::text, now() - n * interval '40 days'"
        " FROM generate_series(1, 4) AS n"
    )
    janitor = Janitor(lambda: psycopg2.connect(board.url), Retention())
    assert janitor.forget()["owl_event"] == 2
    assert len(board.rows("SELECT id FROM owl_event")) == 2
