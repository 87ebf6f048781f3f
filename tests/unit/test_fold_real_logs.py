"""`owl dag fold` on logs of real runs; the stampede database is an independent oracle."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from htcondor_operator import cli
from htcondor_operator.dagman.offline import Files, fold_files
from htcondor_operator.dagman.parser import read_dag
from htcondor_operator.dagman.sources.node_status import Status, parse_node_status

ENDINGS = {
    "nodes_log": ".dag.nodes.log",
    "node_status": ".node_status",
    "dagman_out": ".dag.dagman.out",
    "rescue": ".dag.rescue001",
}


def texts(folder: Path, stem: str) -> dict[str, str]:
    paths = {key: folder / f"{stem}{ending}" for key, ending in ENDINGS.items()}
    return {key: path.read_text() for key, path in paths.items() if path.exists()}


def states(files: Files) -> dict[str, str]:
    return {name: v.node.state.value for name, v in fold_files(files).nodes.items()}


LSST = {
    "tiny_success": {"done": 4, "removed": 1},
    "tiny_problems": {"done": 3, "failed": 2, "futile": 1, "removed": 1},
    "tiny_prov_no_submit": {"done": 3, "failed": 2},
    "group_failed_1": {"done": 22, "failed": 2, "futile": 2, "removed": 1},
    "noop_running_1": {"done": 9, "running": 10, "idle": 1, "unready": 14},
}


@pytest.mark.parametrize("name", LSST)
def test_whole_runs(shared_data: Path, name: str) -> None:
    folder = shared_data / "dagman_logs" / "lsst" / name
    found = states(Files(dag=read_dag(folder / f"{name}.dag"), **texts(folder, name)))
    assert Counter(found.values()) == LSST[name]


@pytest.mark.parametrize("name", [name for name in LSST if name != "noop_running_1"])
def test_logs_alone_agree_with_dagmans_final_status(shared_data: Path, name: str) -> None:
    folder = shared_data / "dagman_logs" / "lsst" / name
    given = texts(folder, name)
    status = parse_node_status(given.pop("node_status"))
    dag = read_dag(folder / f"{name}.dag")
    words = {Status.DONE: "done", Status.ERROR: "failed", Status.FUTILE: "futile"}
    expected = {node: words[entry.status] for node, entry in status.nodes.items()}
    logs = [key for key in ("nodes_log", "dagman_out") if key in given]
    for count in range(1, len(logs) + 1):
        for chosen in combinations(logs, count):
            found = states(Files(dag=dag, **{key: given[key] for key in chosen}))
            assert {node: found[node] for node in expected} == expected, chosen


def test_a_stale_status_file_does_not_win(shared_data: Path) -> None:
    folder = shared_data / "dagman_logs" / "lsst" / "noop_running_1"
    given = texts(folder, "noop_running_1")
    found = states(Files(node_status=given["node_status"], dagman_out=given["dagman_out"]))
    assert Counter(found.values()) == {"done": 9, "running": 10, "submitted": 1, "unready": 14}


def test_a_service_job_that_never_was_submitted(shared_data: Path) -> None:
    folder = shared_data / "dagman_logs" / "lsst" / "tiny_prov_no_submit"
    outcome = fold_files(Files(dagman_out=texts(folder, "tiny_prov_no_submit")["dagman_out"]))
    service = outcome.nodes["provisioningJob"]
    assert service.type == "SERVICE"
    assert service.node.state.value == "failed"
    assert service.node.reason == "could not be submitted in 6 tries"


def test_the_stampede_database_agrees(shared_data: Path) -> None:
    folder = shared_data / "dagman_logs" / "pegasus_analyzer" / "process_wf_failure"
    files = Files(dag=read_dag(folder / "process-0.dag"), **texts(folder, "process-0"))
    outcome = fold_files(files)
    oracle = sqlite3.connect(f"file:{folder / 'process-0.stampede.db'}?immutable=1", uri=True)
    rows = oracle.execute(
        """SELECT j.exec_job_id, i.sched_id, i.exitcode, s.state FROM job AS j
           LEFT JOIN job_instance AS i ON i.job_id = j.job_id AND i.job_submit_seq = (
             SELECT max(job_submit_seq) FROM job_instance WHERE job_id = j.job_id)
           LEFT JOIN jobstate AS s ON s.job_instance_id = i.job_instance_id
             AND s.jobstate_submit_seq = (SELECT max(jobstate_submit_seq) FROM jobstate
                                          WHERE job_instance_id = i.job_instance_id)"""
    ).fetchall()
    words = {"POST_SCRIPT_SUCCESS": "done", "POST_SCRIPT_FAILED": "failed", None: "futile"}
    assert {n: v.node.state.value for n, v in outcome.nodes.items()} == {
        name: words[state] for name, _, _, state in rows
    }
    for name, job, _, _ in rows:
        node = outcome.nodes[name].node
        assert (None if node.cluster is None else f"{node.cluster}.{node.proc}") == job
    times = oracle.execute(
        """SELECT j.exec_job_id, s.state, s.timestamp FROM job AS j JOIN job_instance USING (job_id)
           JOIN jobstate AS s USING (job_instance_id) WHERE s.state IN ('SUBMIT', 'EXECUTE')
           ORDER BY s.timestamp"""
    ).fetchall()
    last = {(name, state): stamp for name, state, stamp in times}
    offset = {
        round(stamp - outcome.nodes[name].node.started_at.timestamp())  # type: ignore[union-attr]
        for (name, state), stamp in last.items()
        if state == "EXECUTE"
    }
    assert offset == {8 * 3600}, "the log's clock is 8 hours behind UTC"


PEGASUS = {
    "sample1/sample_1_success": ({"done": 17}, True),
    "sample2/sample_2_held": ({"held": 1}, False),
    "sample4/sample_4_removed": ({"done": 4, "removed": 4}, True),
    "sample_started/sample_started": ({}, False),
}


@pytest.mark.parametrize("name", PEGASUS)
def test_dagman_out_alone(shared_data: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared_data / "dagman_logs" / "pegasus_status" / f"{name}.dag.dagman.out"
    with pytest.raises(SystemExit) as end:
        cli.main(["dag", "fold", "--dagman-out", str(path), "--json"])
    assert not end.value.code
    said = json.loads(capsys.readouterr().out)
    expected, ended = PEGASUS[name]
    assert said["states"] == expected
    assert said["dagman"]["ended"] is ended


def test_no_file_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["dag", "fold"])
    assert end.value.code == 2
    assert "--dagman-out" in capsys.readouterr().err
