"""Too little memory: a job runs again with more; DAGMan and the mirror see one that succeeds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mirror_support import Board, mirror, submit, until

from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.dagman.render import render, sample_context
from htcondor_operator.dagman.workflows import load_workflow

pytestmark = [pytest.mark.pool, pytest.mark.database]

TEMPLATES = Path(__file__).parents[2] / "include" / "templates"

# Stands for Python: eats as many MB as the node's name says, or gives up below a request.
PAYLOAD = """#!{python}
import os, re, sys, time
step = sys.argv[3]
ad = open(os.environ["_CONDOR_JOB_AD"]).read()
request = int(re.search(r"^RequestMemory = (\\d+)", ad, re.M)[1])
print("request", request, flush=True)
word, number = step.split("-")
if word == "EAT":  # pages are touched: only these count
    block = bytearray(b"x") * (int(number) << 20)
    time.sleep(600 if request < int(number) else 0.1)
elif word == "WANT":
    sys.exit(0 if request >= int(number) else 32)
elif word == "NEVER":
    sys.exit(int(number))
"""
WORKFLOW = """\
description: Jobs that need more memory than they ask for.
type: TEST
resources:
  default: {cpus: 1, memory: 128MB, disk: 1MB}
sample: {dataset: mem001}
"""
TEMPLATE = """\
{% from "_shared/calibration.j2" import header, step with context %}
{{ header() }}
{{ step("EAT-190", 10, node="EAT") }}
{{ step("WANT-400", 10, node="WANT") }}
{{ step("NEVER-33", 10, node="NEVER") }}
{{ step("NEVER-23", 10, node="OTHER") }}
"""


@pytest.fixture
def dag(run_dir: Path) -> Path:
    """The workflow, rendered with the shared macros as they are shipped."""
    folder = run_dir / "templates"
    (folder / "hungry").mkdir(parents=True)
    (folder / "_shared").symlink_to(TEMPLATES / "_shared")
    (folder / "hungry" / "workflow.yaml").write_text(WORKFLOW)
    (folder / "hungry" / "workflow.dag.j2").write_text(TEMPLATE)
    payload = run_dir / "payload"
    payload.write_text(PAYLOAD.format(python=sys.executable))
    payload.chmod(0o755)
    (run_dir / "logs").mkdir()
    workflow = load_workflow(folder / "hungry")
    given = {**sample_context(workflow), "run_dir": str(run_dir), "python": str(payload)}
    path = run_dir / "hungry.dag"
    path.write_text(render(workflow, given).text)
    return path


def outputs(folder: Path, node: str) -> list[str]:
    return [p.read_text().strip() for p in sorted((folder / "logs").glob(f"{node}.*.out"))]


@pytest.mark.timeout(600)
def test_more_memory_after_too_little(
    pool: PersonalPool, bindings: Bindings, board: Board, dag: Path, run_dir: Path
) -> None:
    run = board.add_run(dag, "mem001")
    dag.write_text(dag.read_text().replace("My.OwlRun = 0", f"My.OwlRun = {run}"))
    with mirror(pool, board.url, run_dir / "home", "--reconcile", "1"):
        submit(bindings, dag, run)
        until(lambda: board.run_state(run) in ("done", "failed"), 480, lambda: board.states(run))
    nodes = board.nodes(run)
    # One try of each node: DAGMan has seen no failure of those that ran again.
    assert set(nodes) == {(n, 0) for n in ("EAT", "WANT", "NEVER", "OTHER")}
    assert {name: row["state"] for (name, _), row in nodes.items()} == {
        "EAT": "done", "WANT": "done", "NEVER": "failed", "OTHER": "failed",
    }  # fmt: skip
    # Stopped by the machine at 128 MB, and again with 256.
    assert outputs(run_dir, "EAT") == ["request 256"]
    assert nodes["EAT", 0]["memory_request_mb"] == 256
    assert nodes["EAT", 0]["memory_peak_mb"] > 190
    assert nodes["EAT", 0]["starts"] == 2
    # Its own exit code said so, twice.
    assert outputs(run_dir, "WANT") == ["request 512"]
    assert nodes["WANT", 0]["memory_request_mb"] == 512
    assert nodes["WANT", 0]["starts"] == 3
    # Bounded: the third time the code is the node's end.
    assert outputs(run_dir, "NEVER") == ["request 512"]
    assert (nodes["NEVER", 0]["exit_code"], nodes["NEVER", 0]["starts"]) == (33, 3)
    # Other codes end at once.
    assert outputs(run_dir, "OTHER") == ["request 128"]
    assert (nodes["OTHER", 0]["exit_code"], nodes["OTHER", 0]["starts"]) == (23, 1)
    log = dag.with_name(f"{dag.name}.dagman.out").read_text()
    assert "Node EAT job proc" in log
    assert "completed successfully" in log
    assert "Node EAT job(s) failed" not in log
