from __future__ import annotations

import json
from pathlib import Path

import pytest

from htcondor_operator.cli import main


def owl(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["workflow", *words])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = owl(capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["sdp_prearch_acs_asn"]["nodes"] == 46
    assert rows["sdp_prearch_cos"]["type"] == "SCI"
    assert "  9 nodes  SCI   Calibrate one WFC3" in owl(capsys, "list")[1]


def test_list_tells_a_broken_one_from_the_rest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    code, out, _ = owl(capsys, "list", "--templates", str(tmp_path))
    assert code == 1
    assert "broken    INVALID" in out
    assert "broken/workflow.yaml does not exist" in out


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = owl(capsys, "show", "drill", "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown["nodes"][0] == "A"
    assert ["B", "D"] in shown["edges"]
    assert set(shown["params"]) == {"control", "sleep_s"}
    assert "A -> B" in owl(capsys, "show", "drill")[1]


def test_render(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("render", "sdp_prearch_acs_asn", "--dataset", "jcdn01010")
    code, out, _ = owl(capsys, *words, "--param", "members=[jcdn01abq]", "--json")
    assert code == 0
    rendered = json.loads(out)
    assert "CA_1" in rendered["nodes"]
    assert "CA_2" not in rendered["nodes"]
    assert rendered["priorities"]["CRCOMB"] == 50
    code, out, _ = owl(capsys, *words, "--param", "members=[jcdn01abq, jcdn01acq]")
    assert "JOB CA_2 calibration" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", "drill", "--dataset", "a b"], "bad_name: dataset 'a b'"),
        (["render", "drill", "--dataset", "a", "--param", "x=1"], "bad_conf: params.x"),
        (["render", "drill", "--dataset", "a", "--param", "x"], "bad_conf: --param 'x' is not"),
        (["render", "drill", "--dataset", "a", "--param", "x=["], "bad_conf: --param x"),
        (["show", "nothing"], "bad_name: There is no workflow 'nothing'"),
        (["show", "../drill"], "bad_name: workflow '../drill'"),
        (["list", "--templates", "/nowhere"], "bad_conf: /nowhere is not a folder"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    code, out, err = owl(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"owl: {says}")
    assert err.count("\n") == 1
