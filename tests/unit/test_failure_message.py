from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from htcondor_operator.notifications.failure import Failure, HTCondorFailureNotifier

FAILED = Failure(
    "sdp_prearch_wf3",
    "manual__1",
    "CA",
    workflow="sdp_prearch_wf3",
    dataset="idkv02010",
    attempt=2,
    cluster=77,
    run_dir="/runs/r7",
    node="CA",
    state="failed",
    exit_code=127,
    host="slot1@worker",
    out_path="/runs/r7/logs/CA.77.80.out",
    err_path="/runs/r7/logs/CA.77.80.err",
    log_path="/runs/r7/logs/CA.77.80.log",
)


def test_message_of_a_node() -> None:
    assert FAILED.subject == "idkv02010: CA failed (not_found) in sdp_prearch_wf3"
    for part in (
        "dataset: idkv02010",
        "node: CA",
        "exit code: 127",
        "not_found: The program was not found.",
        "output: /runs/r7/logs/CA.77.80.out",
        "error: /runs/r7/logs/CA.77.80.err",
        "job log: /runs/r7/logs/CA.77.80.log",
        "attempt: 2 (DAGMan cluster 77)",
    ):
        assert part in FAILED.text


def test_message_of_a_signal() -> None:
    failure = Failure("d", "r", "CA", exit_signal=9)
    assert failure.exit[0] == "sigkill"


def test_message_of_a_refused_launch() -> None:
    failure = Failure(
        "d", "r", "launch", dataset="x", error_kind="disk_full", error_message="/runs is full."
    )
    assert failure.exit == (
        "disk_full",
        "/runs is full. The disk is full. Make room, then clear the launch task.",
    )
    assert failure.subject == "x: launch failed (disk_full) in d"


def test_message_when_nothing_is_known() -> None:
    assert Failure("d", "r", "CA").subject == "r: CA failed (unknown) in d"


def test_notifier_passes_on_even_when_the_blackboard_is_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OWL_DATABASE_URL", "postgresql://nobody@/none?host=/nowhere")
    seen: list[dict[str, Any]] = []
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="CA")
    with caplog.at_level(logging.ERROR):
        HTCondorFailureNotifier(then=seen.append)({"ti": ti, "dag": None})
    assert seen[0]["htcondor"].task_id == "CA"
    assert "the blackboard does not answer" in caplog.text
