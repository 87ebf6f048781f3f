"""Held and removed jobs, and job output, as operators see them in Airflow."""

from __future__ import annotations

import pytest

from htcondor_operator.launcher.api import ApiError
from tests.e2e.conftest import beside
from tests.e2e.drills import NODES, Drill
from tests.e2e.live_stack import Stack

WAIT = ("--timeout", "200")
"""The gateway does one thing after the other, and has much to do here."""


@beside
def test_held_job_goes_on_after_its_release(stack: Stack) -> None:
    drill = Drill(stack, "held")
    drill.will_wait("C")
    drill.start()
    drill.until_started("C")
    why = "tape robot is broken"
    words = ("--by", "jo", "--reason", why)
    held = stack.owl("run", "hold", drill.dataset, "--node", "C", *words, *WAIT)
    assert held.returncode == 0, held.stdout + held.stderr
    drill.until("C is held", lambda: drill.nodes()["C"]["state"] == "held")
    assert why in drill.nodes()["C"]["hold_reason"]
    drill.until("the run is held", lambda: drill.run()["state"] == "held")
    assert f"{why} (by jo)" in drill.log("C")
    assert drill.dag_run()["state"] == "running"
    released = stack.owl("run", "release", drill.dataset, "--node", "C", *WAIT)
    assert released.returncode == 0, released.stdout + released.stderr
    drill.until("C starts again", lambda: drill.starts()["C"] == 2)
    drill.let_go("C")
    drill.until_ended("success", 1)
    # HTCondor begins a job again that was held while it ran.
    assert drill.ran()["C"] == ["start", "killed", "start", "done"]
    drill.check_starts(C=2)
    drill.check_grid("success")
    assert len(drill.attempts()) == 1


@beside
def test_job_that_its_own_policy_holds(stack: Stack) -> None:
    drill = Drill(stack, "policy", workflow="e2e_holds")
    drill.will_fail("B", code=7)
    drill.start()
    drill.until("B is held", lambda: "B" in drill.nodes() and drill.nodes()["B"]["state"] == "held")
    drill.until("the run is held", lambda: drill.run()["state"] == "held")
    # The grid comes after the blackboard: before B has begun there, it has no log.
    drill.until_shown("B", "running")
    assert "the calibration database is closed" in drill.log("B")
    drill.mend("B")
    assert stack.owl("run", "release", drill.dataset, *WAIT).returncode == 0
    drill.until_ended("success", 1)
    drill.check_starts(B=2)
    drill.check_grid("success")


@beside
def test_removed_job_fails_its_task_and_can_be_rescued(stack: Stack) -> None:
    drill = Drill(stack, "removed")
    drill.will_wait("C")
    drill.start()
    drill.until_started("C")
    why = ("--by", "jo", "--reason", "wrong input")
    removed = stack.owl("run", "remove", drill.dataset, "--node", "C", *why, *WAIT)
    assert removed.returncode == 0, removed.stdout + removed.stderr
    drill.until_ended("failed", 1)
    assert drill.nodes()["C"]["state"] == "removed"
    drill.check_grid("failed", C="failed", D="upstream_failed", E="upstream_failed")
    assert "wrong input (by jo)" in drill.log("C")
    drill.let_go("C")
    drill.clear("C", downstream=True)
    drill.until_ended("success", 2)
    assert drill.ran()["C"] == ["start", "killed", "start", "done"]
    drill.check_starts(C=2)
    drill.check_grid("success")
    drill.check_rescue(done="AB")


@beside
def test_removed_run_can_be_rescued(stack: Stack) -> None:
    drill = Drill(stack, "stopped")
    drill.will_wait("C")
    drill.start()
    drill.until_started("C")
    drill.until("B is done", lambda: drill.nodes()["B"]["state"] == "done")
    assert stack.owl("run", "remove", drill.dataset, "--by", "jo", *WAIT).returncode == 0
    drill.until_ended("failed", 1)
    assert drill.attempts()[0]["state"] == "removed"
    drill.let_go("C")
    drill.clear("C", downstream=True)
    drill.until_ended("success", 2)
    drill.check_starts(C=2)
    drill.check_grid("success")
    drill.check_rescue(done="AB")


@beside
def test_viewer_cannot_clear(stack: Stack) -> None:
    drill = Drill(stack, "viewer").start()
    drill.until_ended("success", 1)
    with pytest.raises(ApiError) as refused:
        drill.clear("A", by=stack.user("viewer"))
    assert refused.value.status == 403
    assert len(drill.attempts()) == 1


@beside
def test_log_tab_shows_odd_bytes_and_many_lines(stack: Stack) -> None:
    drill = Drill(stack, "noisy", workflow="e2e_noisy")
    assert stack.operator.trigger("e2e_noisy", drill.dataset, {"dataset": drill.dataset})
    drill.until_ended("failed", 1)
    drill.until_shown("MANY", "success")
    odd = drill.log("ODD")
    assert "exit code 4" in odd
    assert "before" in odd
    assert "café red" in odd
    assert "no newline at the end" in odd
    assert "on stderr" in odd
    assert "\0" not in odd
    assert "\x1b" not in odd
    many = drill.log("MANY")
    assert "line 100000 of" in many
    assert "line 1 of" not in many
    assert f"bytes before this are in {drill.run()['run_dir']}/logs/MANY.out)" in many
    assert len(many) < 600_000


@beside
def test_log_tab_of_every_task(stack: Stack) -> None:
    drill = Drill(stack, "logs")
    drill.will_fail("B", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    drill.mend("B")
    drill.clear("B", downstream=True)
    drill.until_ended("success", 2)
    for node in NODES:
        log = drill.log(node)
        assert f"drill: {node} of {drill.dataset}" in log, log
    # The first try is kept, with its own output.
    assert "was told to fail" in drill.log("B", 1)
    assert "was told to fail" not in drill.log("B", 2)
    launch = drill.log("launch")
    assert "asked for by operator" in launch
    assert "kept as done: A, C" in launch
