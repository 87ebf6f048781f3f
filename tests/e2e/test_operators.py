"""The operators without the mirroring executor, and what people on call are told."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.e2e.conftest import beside
from tests.e2e.drills import NODES, Drill
from tests.e2e.live_stack import Stack, until

ANY_DAG = """\
SUBMIT-DESCRIPTION step {
  universe = vanilla
  executable = /bin/sh
  transfer_executable = false
  should_transfer_files = NO
  arguments = "-c 'exit $(code)'"
  output = $(JOB).out
  error = $(JOB).err
  log = any.log
}
JOB FIRST step
VARS FIRST code="0"
JOB SECOND step
VARS SECOND code="%d"
PARENT FIRST CHILD SECOND
"""

ANY_FILE_DAG = """\
from airflow.sdk import DAG

from htcondor_operator.operators.dag import HTCondorDagOperator

# Paused: the stack's scheduler takes a run of dag.test() for one of its own if it sees it first.
with DAG("e2e_any_file_%d", schedule=None, is_paused_upon_creation=True) as dag:
    HTCondorDagOperator(
        task_id="run_it",
        dag_file="{{ dag_run.conf['file'] }}",
        wait_for_completion=True,
    )
"""


@pytest.mark.e2e
def test_dag_test_takes_the_same_way_through_the_pool(alone: Stack) -> None:
    stack = alone  # dag.test() starts an API server of its own: half a minute on a busy machine
    drill = Drill(stack, "dagtest")
    conf = {"dataset": drill.dataset, "control": str(stack.control)}
    # Paused, as docs/operations.md says: the scheduler keeps away from runs of paused DAGs only.
    assert stack.owl("--", "airflow", "dags", "pause", "drill").returncode == 0
    try:
        done = stack.owl(
            "--", "airflow", "dags", "test", "drill", "--conf", json.dumps(conf), timeout=300
        )
    finally:
        assert stack.owl("--", "airflow", "dags", "unpause", "drill").returncode == 0
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert drill.ran() == {node: ["start", "done"] for node in NODES}
    # The task ends with the last node; DAGMan itself ends a moment later.
    (run,) = until(
        "the run is done",
        lambda: stack.sql(
            "SELECT * FROM owl_run WHERE dataset = %(name)s AND state = 'done'", name=drill.dataset
        ),
    )
    assert (run["latest_attempt"], run["mirrored"]) == (1, False)


def run_any_file(stack: Stack, code: int) -> tuple[str, str, dict[str, str]]:
    """Run a DAGMan file of somebody's through the generic operator in ``dag.test()``."""
    dataset = f"any-{uuid.uuid4().hex[:6]}"
    # Beside the control folder, which the stack's user may write to.
    folder = stack.control.parent / dataset
    folder.mkdir()
    file = folder / "any.dag"
    file.write_text(ANY_DAG % code)
    (folder / "any_file.py").write_text(ANY_FILE_DAG % code)
    conf = {"dataset": dataset, "file": str(file)}
    done = stack.owl(
        "--",
        "env",
        f"AIRFLOW__CORE__DAGS_FOLDER={folder}",
        *("airflow", "dags", "test", f"e2e_any_file_{code}", "--conf", json.dumps(conf)),
        timeout=300,
    )
    runs = stack.sql("SELECT * FROM owl_run WHERE dataset = %(name)s", name=dataset)
    assert len(runs) == 1, done.stdout[-3000:] + done.stderr[-3000:]
    run = runs[0]
    nodes = stack.sql("SELECT node, state FROM owl_node WHERE run_key = %(k)s", k=run["run_key"])
    told = done.stdout + done.stderr
    return run["state"], told, {row["node"]: row["state"] for row in nodes}


@pytest.mark.e2e
def test_any_dag_file_runs_and_its_end_is_the_tasks_end(alone: Stack) -> None:
    state, told, nodes = run_any_file(alone, 0)
    assert (state, nodes) == ("done", {"FIRST": "done", "SECOND": "done"}), told[-3000:]
    assert "DagRun Finished" in told
    assert "state=success" in told


@pytest.mark.e2e
def test_any_dag_file_that_fails_says_where_to_look(alone: Stack) -> None:
    state, told, nodes = run_any_file(alone, 3)
    assert (state, nodes) == ("failed", {"FIRST": "done", "SECOND": "failed"}), told[-3000:]
    assert "any.dag.dagman.out says why" in told


@beside
def test_people_on_call_are_told_dataset_node_and_meaning(stack: Stack) -> None:
    drill = Drill(stack, "oncall")
    drill.will_fail("B", code=28)
    drill.start()
    drill.until_ended("failed", 1)
    wanted = (f"{drill.dataset}: B failed", "exit code: 28", "meaning", ".err")
    drill.until(
        "the callback has said all", lambda: all(w in spoken(stack, drill.dataset) for w in wanted)
    )


def spoken(stack: Stack, dataset: str) -> str:
    """Return what the notifier wrote about a dataset (callbacks run in the DAG processor)."""
    logs = Path(stack.environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]) / "dag_processor"
    for file in logs.rglob("workflows.py.log"):
        text = file.read_text(errors="replace")
        if f"{dataset}: " in text:
            return text[text.index(f"{dataset}: ") :][:2000]
    return ""
