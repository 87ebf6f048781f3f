"""What must be refused with words that an operator can act on, and leave nothing behind."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.launcher.api import ApiError
from tests.e2e.conftest import beside
from tests.e2e.drills import Drill
from tests.e2e.live_stack import Stack


@beside
def test_conf_that_does_not_fit_is_refused_by_the_api(stack: Stack) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "dataset": {"dataset": "../../etc/passwd"},
        "sleep_s": {"dataset": "fine", "sleep_s": "long"},
        "priority": {"dataset": "fine", "priority": 10**9},
    }
    for number, (field, conf) in enumerate(wrong.items()):
        with pytest.raises(ApiError) as refused:
            stack.operator.trigger("drill", f"refused-{number}", conf)
        assert 400 <= refused.value.status < 500
        assert field in refused.value.message
    with pytest.raises(ApiError) as missing:
        stack.operator.trigger("drill", "refused-empty", {})
    assert 400 <= missing.value.status < 500
    assert "dataset" in missing.value.message
    assert not stack.sql("SELECT 1 FROM owl_run WHERE run_id LIKE 'refused-%%'")


def refused(stack: Stack, drill: Drill, conf: dict[str, object]) -> str:
    """Trigger what cannot be launched; return what the launch task's log says."""
    assert stack.operator.trigger(drill.workflow, drill.dataset, {"dataset": drill.dataset, **conf})
    drill.until_shown("launch", "failed")
    drill.until("the run fails", lambda: drill.dag_run()["state"] == "failed")
    (attempt,) = drill.attempts()
    assert attempt["state"] == "refused"
    assert attempt["cluster"] is None
    log = drill.log("launch")
    assert attempt["error_kind"] in log
    assert attempt["error_message"] in log
    return str(attempt["error_message"])


@beside
def test_value_with_submit_syntax_names_field_value_and_fix(stack: Stack) -> None:
    drill = Drill(stack, "syntax")
    said = refused(stack, drill, {"control": '/tmp/x"; queue 99'})
    assert "params.control" in said
    assert "queue 99" in said
    assert "Use a value without" in said
    folder = Path(stack.environment["OWL_RUNS"]) / "drill" / drill.dataset
    assert not folder.exists()


@beside
def test_missing_executable_is_found_before_anything_is_submitted(stack: Stack) -> None:
    drill = Drill(stack, "missing", workflow="e2e_missing")
    said = refused(stack, drill, {})
    assert "GONE" in said
    assert "/nonexistent/bin/calibrate" in said
    assert drill.attempts()[0]["error_kind"] == "missing_executable"
    assert not (Path(stack.environment["OWL_RUNS"]) / "e2e_missing" / drill.dataset).exists()


@beside
def test_run_folder_that_cannot_be_made_is_mended_and_cleared(stack: Stack) -> None:
    drill = Drill(stack, "readonly")
    blocked = Path(stack.environment["OWL_RUNS"]) / "drill" / drill.dataset
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where the folder of the dataset should be")
    said = refused(stack, drill, {"control": str(stack.control)})
    assert str(blocked) in said
    assert "then clear the launch task" in said
    blocked.unlink()
    drill.clear("launch", downstream=True)
    drill.until_ended("success", 2)
    drill.check_starts()
    drill.check_grid("success")
    assert [row["state"] for row in drill.attempts()] == ["refused", "done"]


@beside
def test_broken_templates_leave_the_other_workflows_alone(stack: Stack) -> None:
    def said(*needed: str) -> bool:
        errors = stack.operator.call("GET", "/importErrors")["import_errors"]
        texts = [e["stack_trace"] for e in errors if e["filename"].endswith("templates.py")]
        return any(all(word in text for word in needed) for text in texts)

    drill = Drill(stack, "others")
    wanted = (
        "e2e_broken/workflow.dag.j2 line 3: ",
        "e2e_undeclared/workflow.dag.j2 line 4: 'datset' is undefined",
        "e2e_same_task: Airflow makes no DAG of it: ",
    )
    drill.until("all three templates are named", lambda: said(*wanted))

    def known() -> dict[str, bool]:
        dags = stack.operator.call("GET", "/dags?limit=100")["dags"]
        return {dag["dag_id"]: dag["has_import_errors"] for dag in dags}

    drill.until(
        "there is no DAG of them", lambda: not {"e2e_broken", "e2e_same_task"} & set(known())
    )
    assert not any(known().values())
    assert {"drill", "e2e_noisy"} <= set(known())
    # The gateway does not stumble over them either.
    drill.start()
    drill.until_ended("success", 1)
    # Mended, it comes without a restart, and its error goes.
    for name in ("e2e_broken", "e2e_undeclared", "e2e_same_task"):
        template = stack.templates / name / "workflow.dag.j2"
        shutil.copy(stack.templates / "e2e_missing" / "workflow.dag.j2", template)
        shutil.copy(stack.templates / "e2e_missing" / "workflow.yaml", template.parent)
    stack.operator.wait_for_dag("e2e_broken")
    drill.until("the error is gone", lambda: not said())


@pytest.mark.e2e
def test_full_disk_is_named_and_leaves_no_half_run_folder(alone: Stack) -> None:
    # The gateway gets no room for files of more than a few bytes: to it the disk is full.
    drill = Drill(alone, "full")
    gateway = alone.services()["gateway"]["pid"]
    soft, hard = resource.prlimit(gateway, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway, resource.RLIMIT_FSIZE, (64, hard))
    try:
        said = refused(alone, drill, {"control": str(alone.control)})
    finally:
        resource.prlimit(gateway, resource.RLIMIT_FSIZE, (soft, hard))
    assert drill.attempts()[0]["error_kind"] == "disk_full"
    folder = Path(alone.environment["OWL_RUNS"]) / "drill" / drill.dataset
    assert str(folder) in said
    assert "Make room" in said
    assert not list(folder.iterdir())
    drill.clear("launch", downstream=True)
    drill.until_ended("success", 2)
    drill.check_starts()
    drill.check_grid("success")
    assert alone.services()["gateway"]["pid"] == gateway
