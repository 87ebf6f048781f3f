from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from htcondor_operator.dagman.node_names import node_names
from htcondor_operator.dagman.workflows import TEMPLATE

TEMPLATES = Path(__file__).resolve().parents[2] / "include" / "templates"


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    for name in ("_shared", "drill", "bench_true"):
        shutil.copytree(TEMPLATES / name, tmp_path / name)
    return tmp_path


def test_the_nodes_of_the_named_workflows_are_told(templates: Path) -> None:
    assert node_names(templates, ["drill"]) == ["A", "B", "C", "D", "E"]
    assert node_names(templates, ["drill", "poll_acs"]) == ["A", "B", "C", "D", "E"]
    assert node_names(templates, []) == []
    assert node_names(templates / "nowhere", ["drill"]) == []


def test_a_template_that_changes_is_read_again(templates: Path) -> None:
    assert "E" in node_names(templates, ["drill"])
    (templates / "drill" / TEMPLATE).write_text("{{ nothing.such }}")
    assert node_names(templates, ["drill", "bench_true"]) == node_names(templates, ["bench_true"])
    assert node_names(templates, ["drill"]) == []
