"""Daemons that die while runs are on their way: nothing is lost, nothing runs twice."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.drills import NODES, Drill
from tests.e2e.live_stack import Stack, until

RUNS = 10
VICTIMS = ("gateway", "mirror", "scheduler")


def restarted(stack: Stack, name: str, pid: int) -> bool:
    """Whether the supervisor has brought a service back."""
    word = stack.services()[name]
    return word["healthy"] and word["pid"] != pid and word["restarts"] > 0


@pytest.mark.e2e
@pytest.mark.timeout(600)
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
    until("some job waits", lambda: any("B" in drill.starts() for drill in drills), timeout=90)
    os.kill(before["postgres"]["pid"], signal.SIGKILL)
    for drill in drills[::2]:
        drill.let_go("B")
    time.sleep(1)
    for drill in drills[1::2]:
        drill.let_go("B")
    for name in (*VICTIMS, "postgres"):
        until(f"{name} is back", lambda name=name: restarted(stack, name, before[name]["pid"]), 120)
    for drill in drills:
        drill.until_ended("success", 1)
    for drill in drills:
        drill.check_starts()
        assert set(drill.ran()) == set(NODES)
        drill.check_grid("success")
        (attempt,) = drill.attempts()
        assert attempt["state"] == "done"
    after = stack.services()
    assert all(word["healthy"] for word in after.values()), after
