"""A status file that came before the event of the job's end is not forgotten."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg2
import pytest
from mirror_support import Board, write_dag

from htcondor_operator.blackboard.attempt_rows import AttemptKey
from htcondor_operator.dagman.folding import POST_RUNNING
from htcondor_operator.mirror.settle import LiveSettler

pytestmark = pytest.mark.database

JOB = "JOB A {\n executable = /bin/true\n}\n"
DAG = JOB + "SCRIPT POST A /bin/true\nNODE_STATUS_FILE nodes.status 1 ALWAYS-UPDATE\n"
A_IS_DONE = """[
  Type = "DagStatus";
  Timestamp = {now};
  DagStatus = 3;
]
[
  Type = "NodeStatus";
  Node = "A";
  NodeStatus = 5;
]
"""


@pytest.mark.parametrize(
    ("age", "state"),
    [
        pytest.param(0.0, "done", id="just written: read again"),
        pytest.param(3600.0, "running", id="old: its words are known already"),
    ],
)
def test_a_job_that_ends_after_dagmans_word(
    board: Board, run_dir: Path, age: float, state: str
) -> None:
    dag = write_dag(run_dir, DAG)
    run = board.add_run(dag, "x")
    board.rows("UPDATE owl_attempt SET state = 'running', started_at = now() - interval '2 hours'")
    board.rows("UPDATE owl_node SET state = 'running'")
    status = run_dir / "nodes.status"
    now = time.time()
    status.write_text(A_IS_DONE.format(now=int(now - age)))
    os.utime(status, (now - age, now - age))

    settler = LiveSettler()
    with psycopg2.connect(board.url) as connection, connection.cursor() as cur:
        assert settler.settle(cur, [AttemptKey(run, 1)]) == 0, "its job is in the queue"
        cur.execute("UPDATE owl_node SET reason = %s", (POST_RUNNING,))  # the job's end is read
        settler.settle(cur, [AttemptKey(run, 1)])
    connection.close()

    assert board.states(run) == {"A/0": state}
