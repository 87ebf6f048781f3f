"""The tutorial's example is a workflow that works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from htcondor_operator.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-pipeline-engineer.md"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found, language
    return found[1]


def test_example_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "two_looks"
    folder.mkdir()
    (folder / "workflow.yaml").write_text(block("yaml"))
    (folder / "workflow.dag.j2").write_text(block("jinja"))
    words = ["render", "two_looks", "--dataset", "jcdn01abq", "--param", "threshold=5"]
    with pytest.raises(SystemExit) as caught:
        main(["workflow", *words, "--templates", str(tmp_path), "--json"])
    assert not caught.value.code
    rendered = json.loads(capsys.readouterr().out)
    assert rendered["nodes"] == ["LOOK", "LOOK_AGAIN"]
    assert rendered["edges"] == [["LOOK", "LOOK_AGAIN"]]
    assert ' 5"\n' in rendered["text"]
    assert 'VARS LOOK_AGAIN cpus="1" memory="1GB" disk="64MB"' in rendered["text"]
