"""Daemons that die while runs are on their way: nothing is lost, nothing runs twice."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from playwright.sync_api import expect

from htcondor_operator.blackboard.health import FRESH_S
from tests.e2e.browser import Console, console
from tests.e2e.conftest import beside
from tests.e2e.drills import NODES, Drill
from tests.e2e.live_stack import Stack, until

RUNS = 10
SILENT = timedelta(seconds=FRESH_S)
VICTIMS = ("gateway", "mirror", "scheduler")


def restarted(stack: Stack, name: str, pid: int) -> bool:
    """Whether the supervisor has brought a service back."""
    word = stack.services()[name]
    return bool(word["healthy"] and word["pid"] != pid and word["restarts"] > 0)


def dagman_of(drill: Drill) -> psutil.Process | None:
    """Return the process of a run's DAGMan, if there is one now."""
    name = f"{drill.workflow}_{drill.dataset}.dag"
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == "condor_dagman" and name in " ".join(words):
            return process
    return None


def as_of(seen: Console) -> datetime:
    """Return of when the data flow says to be."""
    _, flow = seen.ask("GET", "flow?limit=1")
    return datetime.fromisoformat(flow["as_of"])


@beside
def test_killed_dagman_takes_its_jobs_up_again(stack: Stack) -> None:
    drill = Drill(stack, "dagman")
    drill.will_wait("B")
    drill.start()
    drill.until_started("B")
    first = dagman_of(drill)
    assert first is not None
    first.kill()
    drill.until("DAGMan comes again", lambda: dagman_of(drill) not in {None, first})
    drill.let_go("B")
    drill.until_ended("success", 1)
    drill.check_starts()
    drill.check_grid("success")
    assert len(drill.attempts()) == 1


@pytest.mark.e2e
def test_a_silent_mirror_is_said_on_every_page(alone: Stack) -> None:
    stack = alone
    mirror = psutil.Process(stack.services()["mirror"]["pid"])
    with console(stack) as seen:
        seen.open("queue")
        expect(seen.page.get_by_role("table", name="Queue")).to_be_visible()
        words = seen.page.get_by_role("alert").filter(has_text="The mirror has been silent")
        expect(words).to_have_count(0)
        mirror.suspend()
        try:
            expect(words).to_be_visible()
            # Not the time of the answer: what is shown is as old as the mirror's last word.
            assert as_of(seen) == as_of(seen) < datetime.now(UTC) - SILENT
            seen.page.goto(f"{seen.address}/")
            expect(seen.page.get_by_role("region", name="OWL").locator(words)).to_be_visible()
        finally:
            mirror.resume()
        expect(words).to_have_count(0)


@pytest.mark.e2e
def test_all_runs_end_and_every_job_runs_once(alone: Stack) -> None:
    stack = alone
    drills = [Drill(stack, f"chaos{number}") for number in range(RUNS)]
    for drill in drills:
        # Something is under way at every kill, and something starts after the last one.
        drill.will_wait("B")
    before = stack.services()
    for drill in drills:
        drill.start(sleep_s=0.5)
        if drill is drills[2]:
            os.kill(before["gateway"]["pid"], signal.SIGKILL)
        if drill is drills[5]:
            os.kill(before["scheduler"]["pid"], signal.SIGKILL)
        if drill is drills[7]:
            os.kill(before["mirror"]["pid"], signal.SIGKILL)
    # PostgreSQL's own crash restart: every connection breaks, every daemon has to come again.
    until("some job waits", lambda: any("B" in drill.starts() for drill in drills))
    os.kill(before["postgres"]["pid"], signal.SIGKILL)
    for drill in drills[::2]:
        drill.let_go("B")
    time.sleep(1)
    for drill in drills[1::2]:
        drill.let_go("B")
    killed = {name: before[name]["pid"] for name in (*VICTIMS, "postgres")}
    until(
        "all are back",
        lambda: all(restarted(stack, name, pid) for name, pid in killed.items()),
        every=1,
    )
    for drill in drills:
        drill.until_ended("success", 1)
    for drill in drills:
        drill.check_starts()
        assert set(drill.ran()) == set(NODES)
        drill.check_grid("success")
        (attempt,) = drill.attempts()
        assert attempt["state"] == "done"
    until("every service is healthy", stack.is_healthy, every=1)
