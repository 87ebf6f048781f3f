"""Clears of ended runs through Airflow's REST API: one new attempt, nothing run twice."""

from __future__ import annotations

from tests.e2e.conftest import beside
from tests.e2e.drills import CLEARED, Drill
from tests.e2e.live_stack import Stack


def failed_run(stack: Stack, name: str, *nodes: str) -> Drill:
    """Return a run in which `nodes` have failed and nothing goes on any more."""
    drill = Drill(stack, name)
    drill.will_fail(*nodes)
    drill.start()
    drill.until_ended("failed", 1)
    drill.check_grid(
        "failed", **dict.fromkeys(nodes, "failed"), D="upstream_failed", E="upstream_failed"
    )
    drill.check_starts(D=0, E=0)
    drill.mend(*nodes)
    return drill


@beside
def test_failed_node_with_downstream(stack: Stack) -> None:
    drill = failed_run(stack, "downstream", "B")
    assert drill.nodes()["B"]["exit_code"] == 3
    drill.clear("B", downstream=True)
    drill.until_ended("success", 2)
    drill.check_starts(B=2)
    drill.check_grid("success")
    drill.check_rescue(done="AC")
    old = drill.nodes(1)
    assert (old["B"]["state"], old["B"]["exit_code"]) == ("failed", 3)
    assert [row["state"] for row in drill.tries("B")] == ["failed", "success"]


@beside
def test_failed_node_without_downstream(stack: Stack) -> None:
    drill = failed_run(stack, "single", "B")
    assert "D" not in drill.clear("B")
    drill.until_ended("success", 2)
    drill.check_starts(B=2)
    drill.check_grid("success")
    drill.check_rescue(done="AC")


@beside
def test_several_failed_nodes_at_once(stack: Stack) -> None:
    drill = failed_run(stack, "several", "B", "C")
    drill.clear("B", "C", downstream=True)
    drill.until_ended("success", 2)
    drill.check_starts(B=2, C=2)
    drill.check_grid("success")
    latest = drill.check_rescue(done="A")
    assert latest["cleared_nodes"] == ["B", "C", "D", "E"]


@beside
def test_clears_in_quick_succession_make_one_rescue(stack: Stack) -> None:
    for _ in range(3):
        drill = failed_run(stack, "quick", "B", "C")
        drill.clear("B", downstream=True)
        drill.clear("C", downstream=True)
        drill.until_ended("success", 2)
        if len(drill.attempts()) == 2:
            break
        # Something stood still between the two, and DAGMan had submitted C again: that was slow.
        assert drill.nodes(2)["C"]["submitted_at"] < drill.attempts()[2]["requested_at"]
    drill.check_starts(B=2, C=2)
    drill.check_grid("success")
    drill.check_rescue(done="A")


@beside
def test_node_that_succeeded(stack: Stack) -> None:
    drill = Drill(stack, "again").start()
    drill.until_ended("success", 1)
    drill.check_starts()
    drill.check_grid("success")
    drill.clear("B", downstream=True)
    drill.until_ended("success", 2)
    drill.check_starts(B=2, D=2, E=2)
    drill.check_grid("success")
    drill.check_rescue(done="AC")
    assert {row["state"] for row in drill.nodes(1).values()} == {"done"}


@beside
def test_node_that_succeeded_without_downstream_brings_its_children_along(stack: Stack) -> None:
    # DAGMan cannot run B alone: D and E have used what B made.
    drill = Drill(stack, "alone").start()
    drill.until_ended("success", 1)
    drill.clear("B")
    drill.until_ended("success", 2)
    drill.check_starts(B=2, D=2, E=2)
    drill.check_grid("success")
    drill.check_rescue(done="AC")


@beside
def test_whole_run_is_a_fresh_attempt(stack: Stack) -> None:
    drill = failed_run(stack, "whole", "B")
    drill.clear_all()
    drill.until_ended("success", 2)
    drill.check_starts(A=2, B=2, C=2)
    drill.check_grid("success")
    drill.check_rescue(kind="fresh", reason="clear_dag_run")
    assert drill.nodes(1)["B"]["state"] == "failed"


@beside
def test_second_rescue_after_a_second_failure(stack: Stack) -> None:
    drill = failed_run(stack, "twice", "B")
    drill.will_fail("D", code=30)
    drill.clear("B", downstream=True)
    drill.until_ended("failed", 2)
    drill.check_grid("failed", D="failed", E="upstream_failed")
    drill.mend("D")
    drill.clear("D", downstream=True, by=stack.user("admin"))
    drill.until_ended("success", 3)
    drill.check_starts(B=2, D=2)
    drill.check_grid("success")
    drill.check_rescue(3, by="admin", done="ABC")
    # What was carried twice still tells where and when it was done.
    assert drill.nodes()["A"]["carried_from"] == 1


@beside
def test_failed_node_marked_as_successful(stack: Stack) -> None:
    drill = failed_run(stack, "marked", "B")
    drill.mark("B")
    drill.until_ended("success", 2)
    drill.check_starts()
    drill.check_grid("success")
    drill.check_rescue(reason="patch_task_instance", done="ABC")
    assert drill.nodes()["B"]["reason"] == "marked as successful by operator"
    assert drill.nodes()["B"]["source"] == "operator"


@beside
def test_several_failed_nodes_marked_and_cleared(stack: Stack) -> None:
    for _ in range(3):
        drill = failed_run(stack, "mixed", "B", "C")
        drill.mark("B")
        drill.clear("C", downstream=True)
        drill.until_ended("success", 2)
        if len(drill.attempts()) == 2:
            break
        # The mark alone was answered, and DAGMan had submitted C before it was cleared.
        assert drill.nodes(2)["C"]["submitted_at"] < drill.attempts()[2]["requested_at"]
    drill.check_starts(C=2)
    drill.check_grid("success")
    # Marks alone are answered once a minute: that minute may be over just between the two.
    reason = drill.attempts()[-1]["reason"]
    assert reason in {CLEARED, "patch_task_instance"}
    drill.check_rescue(done="AB", reason=reason)


@beside
def test_last_node_marked_as_successful_needs_no_attempt(stack: Stack) -> None:
    drill = Drill(stack, "last")
    drill.will_fail("E")
    drill.start()
    drill.until_ended("failed", 1)
    drill.mark("E")
    drill.until("the run is done", lambda: drill.run()["state"] == "done")
    assert drill.nodes()["E"]["reason"] == "marked as successful by operator"
    assert drill.tasks()["E"]["state"] == "success"
    assert len(drill.attempts()) == 1
    drill.check_starts()


@beside
def test_clear_of_the_launch_alone_runs_nothing(stack: Stack) -> None:
    drill = Drill(stack, "launch").start()
    drill.until_ended("success", 1)
    assert drill.clear("launch") == ["launch"]
    drill.until("the launch ends again", lambda: drill.tasks()["launch"]["try_number"] == 2)
    drill.until_shown("launch", "success")
    drill.until_ended("success", 1)
    drill.check_starts()
    drill.check_grid("success")
    assert len(drill.attempts()) == 1
