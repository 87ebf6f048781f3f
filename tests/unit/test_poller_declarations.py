"""The file of pollers: what is right, and what an operator is told about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.queue.pollers.declarations import (
    Completeness,
    load_declarations,
    parse_declaration,
    parse_declarations,
)
from htcondor_operator.vocabulary import OwlError

ROOT = Path(__file__).parents[2]
GOOD = {"name": "DP_ACS", "kind": "telemetry", "interval": 5}


def test_the_shipped_file_is_right() -> None:
    found = load_declarations(ROOT / "include" / "pollers.yaml")
    assert found.errors == ()
    assert {"poll_dp_acs", "poll_dp_wf3", "poll_dp_cos", "poll_dp_sti"} <= {
        d.dag_id for d in found.pollers
    }


def test_everything_is_taken() -> None:
    found = parse_declaration(
        GOOD
        | {
            "directory": "acs/night",
            "pattern": ["j*.fits", "*.tlm"],
            "instrument": "ACS",
            "priority": 7,
            "workflow": {"single": "a", "association": "a_asn"},
            "complete": {"rule": "marker"},
            "options": {"needs": ["jit"]},
        }
    )
    assert found.directory == "acs/night"
    assert found.patterns == ("j*.fits", "*.tlm")
    assert found.complete == Completeness("marker", 5.0, ".done")
    assert found.workflow == {"single": "a", "association": "a_asn"}
    assert found.options == {"needs": ["jit"]}
    assert (found.interval_s, found.priority, found.dag_id) == (5.0, 7, "poll_dp_acs")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "DP ACS"}, "number 1: name 'DP ACS'"),
        ({"kind": "telemetri"}, "kind 'telemetri' is not known. Use one of: alerts, checksum"),
        ({"interval": "5s"}, "interval '5s' is not right: write a number of seconds"),
        ({"interval": True}, "interval True"),
        ({"interval": 0}, "interval 0 is not right: write 0.2 to 86400 seconds"),
        ({"directory": "../elsewhere"}, "name a folder below OWL_INCOMING"),
        ({"directory": "/srv/x"}, "name a folder below OWL_INCOMING"),
        ({"directory": "."}, "name a folder below OWL_INCOMING"),
        ({"pattern": []}, "pattern []"),
        ({"pattern": "a/b"}, "pattern 'a/b'"),
        ({"priority": 20_000}, "priority 20000 is not right: write a whole number"),
        ({"workflow": {"twin": "x"}}, "workflow {'twin': 'x'}"),
        ({"workflow": "Not A Name"}, "workflow 'Not A Name'"),
        ({"complete": {"rule": "hope"}}, "write {rule: one of settled, marker, checksum}"),
        ({"complete": {"rule": "settled", "second": 1}}, "complete.second 1"),
        ({"options": ["a"]}, "options ['a'] is not right: write a mapping"),
        ({"patern": "x"}, "patern 'x' is not right: remove it; known are"),
    ],
)
def test_an_error_names_poller_field_value_and_fix(change: dict[str, Any], words: str) -> None:
    with pytest.raises(OwlError) as error:
        parse_declaration(GOOD | change)
    assert words in error.value.message
    assert error.value.message.startswith("Poller ")


def test_one_that_is_wrong_does_not_concern_the_others() -> None:
    found = parse_declarations([GOOD, GOOD | {"name": "B", "kind": "no"}, 7, GOOD])
    assert [d.name for d in found.pollers] == ["DP_ACS"]
    assert len(found.errors) == 3
    assert "give each its own name" in found.errors[2].message
    with pytest.raises(OwlError, match="kind 'no' is not known"):
        found.get("B")
    with pytest.raises(OwlError, match="'C' is not declared"):
        found.get("C")


@pytest.mark.parametrize("text", ["a: [", "{}", "\x00"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pollers.yaml"
    path.write_text(text)
    found = load_declarations(path)
    assert found.pollers == ()
    assert len(found.errors) == 1
    assert load_declarations(tmp_path / "none.yaml").errors


def test_a_folder_has_one_poller() -> None:
    one = {"name": "ONE", "kind": "jitter", "directory": "jit", "interval": 5}
    found = parse_declarations([one, one | {"name": "TWO", "directory": "./jit/"}])
    assert [d.name for d in found.pollers] == ["ONE"]
    assert "ONE watches it" in found.errors[0].message
