"""DAGMan itself runs a DAG by a rescue file of ours: exactly the planned nodes run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mirror_support import until

from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.parser import read_dag
from htcondor_operator.dagman.rescue import plan_rescue, rescue_text
from htcondor_operator.vocabulary import NodeState

pytestmark = pytest.mark.pool

# Several parents with several children: DAGMan puts a join node of its own between them.
DAG = """\
SUBMIT-DESCRIPTION touch {
  universe = local
  executable = /usr/bin/touch
  arguments = ran.$(JOB)
  log = nodes.log
}
JOB NODE_A touch
JOB NODE_B touch
JOB C touch
JOB D touch
SPLICE S lower.dag
PARENT NODE_A NODE_B CHILD C D
PARENT C CHILD S
FINAL F touch
"""
LOWER = "JOB E touch\nJOB DONE touch\nPARENT E CHILD DONE\n"

SUBMIT = """
import htcondor2, sys
sub = htcondor2.Submit.from_dag("x.dag", {"AutoRescue": 1, "UpdateSubmit": True})
sub["initialdir"] = sys.argv[1]
sub["My.DisableCoolDown"] = "True"
print(htcondor2.Schedd().submit(sub).cluster())
"""


@pytest.mark.parametrize(
    ("states", "cleared", "ran"),
    [
        ({}, {"D"}, {"D"}),
        ({}, {"C"}, {"C", "S+E", "S+DONE"}),
        ({"S+E": NodeState.FAILED, "S+DONE": NodeState.FUTILE}, (), {"S+E", "S+DONE"}),
    ],
    ids=["below a join node", "above a splice", "inside a splice"],
)
def test_only_the_planned_nodes_run(pool: PersonalPool, run_dir: Path, states, cleared, ran):
    (run_dir / "lower.dag").write_text(LOWER)
    path = run_dir / "x.dag"
    path.write_text(DAG)
    graph = workflow_graph(read_dag(path))
    known = {**dict.fromkeys(graph.nodes, NodeState.DONE), **states}
    plan = plan_rescue(graph, known, cleared)
    assert set(plan.rerun) == ran
    (run_dir / "x.dag.rescue001").write_text(rescue_text(plan, dag_file="x.dag"))
    subprocess.run(
        [sys.executable, "-c", SUBMIT, str(run_dir)],
        cwd=run_dir,
        env=pool.environment(),
        check=True,
        timeout=180,
    )
    out = run_dir / "x.dag.dagman.out"
    until(
        lambda: out.exists() and "EXITING WITH STATUS" in out.read_text(),
        tell=lambda: out.read_text() if out.exists() else "DAGMan did not start",
    )
    assert "EXITING WITH STATUS 0" in out.read_text()
    assert {file.name.removeprefix("ran.") for file in run_dir.glob("ran.*")} == ran | {"F"}
