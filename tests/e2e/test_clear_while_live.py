"""Clears while DAGMan and jobs of the run are in the queue: what is not concerned goes on."""

from __future__ import annotations

from tests.e2e.conftest import beside
from tests.e2e.drills import Drill
from tests.e2e.live_stack import Stack


@beside
def test_running_node_spares_its_sibling(stack: Stack) -> None:
    drill = Drill(stack, "running")
    drill.will_wait("B", "C")
    drill.start()
    drill.until_started("B", "C")
    drill.clear("B", downstream=True)
    drill.until("B is killed", lambda: "killed" in drill.ran()["B"])
    assert drill.ran()["C"] == ["start"]
    assert drill.nodes()["C"]["spared"]
    drill.let_go("B", "C")
    drill.until_ended("success", 2)
    drill.check_starts(B=2)
    assert drill.ran()["B"] == ["start", "killed", "start", "done"]
    drill.check_grid("success")
    drill.check_rescue(done="AC")


@beside
def test_failed_node_while_another_branch_runs(stack: Stack) -> None:
    drill = Drill(stack, "branch")
    drill.will_fail("B")
    drill.will_wait("C")
    drill.start()
    drill.until_started("C")
    drill.until_shown("B", "failed")
    assert drill.attempts()[0]["state"] == "live"
    drill.mend("B")
    drill.clear("B", downstream=True)
    drill.until("a rescue is asked for", lambda: len(drill.attempts()) == 2)
    drill.let_go("C")
    drill.until_ended("success", 2)
    drill.check_starts(B=2)
    assert drill.ran()["C"] == ["start", "done"]
    drill.check_grid("success")
    drill.check_rescue(done="AC")


@beside
def test_spared_node_that_fails_runs_again(stack: Stack) -> None:
    drill = Drill(stack, "spared")
    drill.will_fail("B")
    drill.will_fail("C", once=True)
    drill.will_wait("C")
    drill.start()
    drill.until_started("C")
    drill.until_shown("B", "failed")
    drill.mend("B")
    drill.clear("B", downstream=True)
    drill.until("a rescue is asked for", lambda: len(drill.attempts()) == 2)
    drill.let_go("C")
    drill.until_ended("success", 2)
    assert drill.ran()["C"] == ["start", "failed", "start", "done"]
    drill.check_starts(B=2, C=2)
    drill.check_grid("success")
    drill.check_rescue(done="A")


@beside
def test_whole_run_while_it_runs(stack: Stack) -> None:
    drill = Drill(stack, "restart")
    drill.will_wait("B")
    drill.start()
    drill.until_started("B")
    drill.until("C has run", lambda: "done" in drill.ran().get("C", ()))
    drill.clear_all()
    drill.until("B is killed", lambda: "killed" in drill.ran()["B"])
    drill.let_go("B")
    drill.until_ended("success", 2)
    drill.check_starts(A=2, B=2, C=2)
    drill.check_grid("success")
    drill.check_rescue(kind="fresh", reason="clear_dag_run")
    assert drill.attempts()[0]["state"] == "removed"


@beside
def test_node_that_has_not_started_needs_no_attempt(stack: Stack) -> None:
    drill = Drill(stack, "ahead")
    drill.will_wait("B")
    drill.start()
    drill.until_started("B")
    drill.clear("E")
    drill.until(
        "the clear is answered",
        lambda: str(drill.nodes()["E"]["ti_id"]) == drill.tasks()["E"]["id"],
    )
    drill.let_go("B")
    drill.until_ended("success", 1)
    drill.check_starts()
    drill.check_grid("success")
    assert len(drill.attempts()) == 1
