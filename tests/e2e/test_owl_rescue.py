"""``owl rescue`` against the live stack."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.e2e.conftest import beside
from tests.e2e.drills import Drill
from tests.e2e.live_stack import ROOT, Stack


def owl(stack: Stack, *words: str) -> str:
    """Run it; again where somebody else had the run's lock for all its tries, as it asks to."""
    words = ("rescue", *words, "--timeout", "250")
    done = stack.owl(*words)
    for _ in range(3):
        if "try again in a moment" not in done.stderr:
            break
        done = stack.owl(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@beside
def test_what_failed_runs_again(stack: Stack) -> None:
    drill = Drill(stack, "owlrescue")
    drill.will_fail("B")
    drill.start()
    drill.until_ended("failed", 1)
    drill.mend("B")
    told = owl(stack, drill.dataset, "--dry-run")
    assert "runs again: B, D, E\n" in told
    assert "kept as done: A, C\n" in told
    assert len(drill.attempts()) == 1
    told = owl(stack, drill.dataset, "--by", "jo")
    assert "attempt 2 is " in told
    assert f"DAGMan {drill.attempts()[1]['cluster']} at" in told
    drill.until_ended("success", 2)
    drill.check_starts(B=2)
    drill.check_grid("success")
    drill.check_rescue(by="jo", reason="owl_rescue", done="AC")
    entries = stack.user("admin").call("GET", f"/eventLogs?run_id={drill.dataset}&event=owl_rescue")
    assert [e["owner"] for e in entries["event_logs"]] == ["jo"]


@beside
def test_from_a_node_that_succeeded(stack: Stack) -> None:
    drill = Drill(stack, "owlfrom").start()
    drill.until_ended("success", 1)
    refused = stack.owl("rescue", drill.dataset)
    assert refused.returncode == 2
    assert "No node of" in refused.stderr
    assert "Name the node to begin with" in refused.stderr
    unknown = stack.owl("rescue", drill.dataset, "--from", "Z")
    assert unknown.returncode == 2
    assert "choose one of A, B, C, D, E" in unknown.stderr
    told = owl(stack, drill.dataset, "--from", "D", "--run", drill.dataset, "--by", "jo")
    assert "runs again: D, E\n" in told
    drill.until_ended("success", 2)
    drill.check_starts(D=2, E=2)
    drill.check_grid("success")
    drill.check_rescue(by="jo", reason="owl_rescue", done="ABC")


@beside
def test_while_another_branch_runs(stack: Stack) -> None:
    drill = Drill(stack, "owllive")
    drill.will_fail("B")
    drill.will_wait("C")
    drill.start()
    drill.until_started("C")
    drill.until_shown("B", "failed")
    drill.mend("B")
    told = owl(stack, drill.dataset, "--dry-run")
    assert "runs again: B, D, E\n" in told
    assert "goes on running: C\n" in told
    drill.let_go("C")
    owl(stack, drill.dataset, "--by", "jo")
    drill.until_ended("success", 2)
    drill.check_starts(B=2)
    drill.check_grid("success")
    drill.check_rescue(by="jo", reason="owl_rescue", done="AC")


@beside
def test_without_airflow_it_says_so(stack: Stack) -> None:
    drill = Drill(stack, "owlalone").start()
    drill.until_ended("success", 1)
    env = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    env |= {
        "AIRFLOW_HOME": str(stack.control / "nowhere"),
        "OWL_DATABASE_URL": stack.environment["OWL_DATABASE_URL"],
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    command = "from htcondor_operator.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "rescue", drill.dataset, "--from", "A"],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert "Airflow is not in reach" in done.stderr
    assert not (stack.control / "nowhere").exists()
    assert len(drill.attempts()) == 1
