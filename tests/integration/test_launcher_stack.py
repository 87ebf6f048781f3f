from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from owl_site import Owl

pytestmark = [pytest.mark.pool, pytest.mark.database, pytest.mark.timeout(900)]


def _until(what, seconds: float = 60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.25)
    return None


@pytest.fixture(scope="module")
def owl(state_dir: Path) -> Iterator[Owl]:
    runner = Owl(state_dir / "owl")
    try:
        runner("up")
        yield runner
    finally:
        runner("down", "--purge", code=None)


def test_every_service_is_healthy(owl: Owl):
    # A probe that the machine kept from answering in time is asked again.
    told = _until(lambda: (told := owl.status())["healthy"] and told)
    assert told, owl.status()
    names = {"postgres", "condor", "gateway", "mirror", "scheduler", "api-server", "triggerer"}
    assert names <= told["services"].keys()
    assert told["lost"] == 0


def test_a_second_up_starts_nothing(owl: Owl):
    before = {n: s["pid"] for n, s in owl.status()["services"].items()}
    owl("up")
    assert {n: s["pid"] for n, s in owl.status()["services"].items()} == before


def test_nothing_listens_beyond_the_loopback(owl: Owl):
    pids = [s["pid"] for s in owl.status()["services"].values() if s["pid"]]
    family = [c for pid in pids for c in [psutil.Process(pid), *psutil.Process(pid).children(True)]]
    listening = [ip for process in family for ip in _listening(process)]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def _listening(process: psutil.Process) -> list[str]:
    """The addresses at which a process listens; none if it has ended meanwhile."""
    try:
        links = process.net_connections(kind="inet")
    except psutil.Error:
        if _gone(process):
            return []
        raise
    return [link.laddr.ip for link in links if link.status == psutil.CONN_LISTEN]


def test_a_killed_service_comes_back(owl: Owl):
    before = owl.status()["services"]["mirror"]
    pid = before["pid"]
    os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        mirror = owl.status()["services"]["mirror"]
        return (
            mirror["healthy"] and mirror["pid"] != pid and mirror["restarts"] > before["restarts"]
        )

    assert _until(back, 180), owl("logs", "mirror")


def _gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_scheduler_leaves_no_workers(owl: Owl):
    scheduler = owl.status()["services"]["scheduler"]["pid"]
    workers = _until(lambda: psutil.Process(scheduler).children(recursive=True))
    assert workers
    os.kill(scheduler, signal.SIGKILL)
    assert _until(lambda: all(_gone(worker) for worker in workers), 120)
    assert _until(lambda: owl.status()["services"]["scheduler"]["healthy"], 240)


def test_commands_run_in_the_environment(owl: Owl):
    out = owl("--", "sh", "-c", 'echo "$CONDOR_CONFIG" && condor_version && airflow version')
    assert str(owl.home / "pool" / "condor_config") in out
    assert "25." in out


def test_an_unknown_log_names_those_that_exist(owl: Owl):
    assert "scheduler" in owl("logs", "nonsense", code=1)
    assert owl("logs", "gateway", "-n", "5")


def test_a_killed_supervisor_leaves_nothing_that_down_does_not_find(owl: Owl):
    told = json.loads((owl.home / "run" / "supervisor.json").read_text())
    os.kill(told["pid"], signal.SIGKILL)
    assert _until(lambda: not owl.status()["up"], 60)
    owl("down")
    assert _until(lambda: not owl.processes(), 60), owl.processes()


def test_a_failing_service_is_named_with_its_last_words(owl: Owl):
    """A damaged pool configuration must not look like anything else."""
    owl("down", code=None)
    version = owl.home / "postgres" / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("1\n")
    try:
        told = owl("up", code=1)
        assert "postgres is failed" in told
        assert "postgres.log" in told
    finally:
        version.write_text(right)
        owl("down", code=None)


def test_a_purge_removes_everything(owl: Owl):
    owl("down", "--purge")
    assert not owl.home.exists()
    assert not owl.processes()
