from __future__ import annotations

from pathlib import Path

import pytest

from htcondor_operator.dagman.workflows import (
    Resources,
    check_params,
    declared,
    load_workflow,
    load_workflows,
)
from htcondor_operator.vocabulary import ErrorKind, OwlError

TEMPLATES = Path(__file__).parents[2] / "include" / "templates"
INSTRUMENTS = ("acs", "cos", "stis", "wf3")
MINIMAL = {"description": "d", "type": "T", "sample": {"dataset": "d1"}}


def test_shipped_workflows() -> None:
    workflows = load_workflows(TEMPLATES)
    assert set(workflows) == {
        "bench_true",
        "dan_receipt",
        "drill",
        "eng_jitter",
        "ingest_pvw",
        "reingest_pvw",
        *(f"sdp_prearch_{i}{kind}" for i in INSTRUMENTS for kind in ("", "_asn")),
        *(f"{i}_{kind}_repro" for i in INSTRUMENTS for kind in ("single", "asn")),
    }
    assert workflows["sdp_prearch_wf3"].instrument == "WFC3"
    assert {name for name, w in workflows.items() if "test" in w.tags} == {"bench_true", "drill"}


def test_minimal_declaration(tmp_path: Path) -> None:
    workflow = declared(tmp_path / "small", MINIMAL)
    assert workflow.priority == 0
    assert workflow.resources_of("CA") == Resources(1, "512MB", "512MB")


def test_default_resources_stand_for_unnamed_steps(tmp_path: Path) -> None:
    resources = {"default": {"memory": "1GB"}, "CA": {"cpus": 2, "memory": "2 GB"}}
    workflow = declared(tmp_path / "small", {**MINIMAL, "resources": resources})
    assert workflow.resources_of("RF").memory == "1GB"
    assert workflow.resources_of("CA") == Resources(2, "2 GB", "512MB")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"descripton": "x"}, "unknown field 'descripton'"),
        ({"type": ""}, "type must be a text"),
        ({"tags": "a"}, "tags must be a list"),
        ({"priority": "high"}, "priority 'high' is not valid"),
        ({"params": {"Bad-Name": {}}}, "params.Bad-Name must be lower-case"),
        ({"params": {"a": {"type": "strange"}}}, "params.a is not a JSON schema"),
        ({"params": {"a": 3}}, "params.a must be a mapping"),
        ({"params": {"a": {"type": "string"}}}, "params.a is missing"),
        ({"resources": {"CA": {"memory": "lots"}}}, "resources.CA.memory must be a size"),
        ({"resources": {"CA": {"memory": "1GB\nqueue 5"}}}, "resources.CA.memory must be a size"),
        ({"resources": {"CA": {"cpus": 0}}}, "resources.CA.cpus must be a whole number"),
        ({"resources": {"CA": {"gpus": 1}}}, "resources.CA.gpus is unknown"),
        ({"sample": None}, "sample must be a mapping"),
        ({"sample": {"dataset": "a b"}}, "sample.dataset 'a b' is not valid"),
        ({"sample": {"dataset": "a", "more": 1}}, "sample.more is unknown"),
    ],
)
def test_bad_declaration_names_file_and_field(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    with pytest.raises(OwlError) as caught:
        declared(tmp_path / "small", {**MINIMAL, **change})
    assert caught.value.kind is ErrorKind.BAD_TEMPLATE
    assert caught.value.message.startswith("small/workflow.yaml")
    assert says in caught.value.message


def test_bad_folder_name(tmp_path: Path) -> None:
    with pytest.raises(OwlError, match="Bad-Name"):
        declared(tmp_path / "Bad-Name", MINIMAL)


def test_missing_folder_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(OwlError, match="OWL_TEMPLATES"):
        load_workflows(tmp_path / "nowhere")


def test_both_files_are_needed(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "workflow.dag.j2").write_text("JOB A a.sub\n")
    with pytest.raises(OwlError, match=r"small/workflow.yaml does not exist"):
        load_workflow(tmp_path / "small")


def test_declaration_that_is_not_yaml(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "workflow.dag.j2").write_text("JOB A a.sub\n")
    (tmp_path / "small" / "workflow.yaml").write_text("a: [b\n")
    with pytest.raises(OwlError, match=r"small/workflow.yaml is not YAML"):
        load_workflow(tmp_path / "small")


def test_params_get_their_defaults() -> None:
    drill = load_workflows(TEMPLATES)["drill"]
    assert check_params(drill, {"sleep_s": 2}) == {"control": "", "sleep_s": 2}


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (["a b"], "params.members[0]"),
        (["../x"], "params.members[0]"),
        (["a", "a"], "non-unique"),
        ([f"jcdn01a{k}q" for k in range(9)], "too long"),
        ("jcdn01abq", "is not of type 'array'"),
        ([1], "is not of type 'string'"),
    ],
)
def test_members_are_checked(members: object, says: str) -> None:
    association = load_workflows(TEMPLATES)["sdp_prearch_acs_asn"]
    with pytest.raises(OwlError) as caught:
        check_params(association, {"members": members})
    assert caught.value.kind is ErrorKind.BAD_CONF
    assert says in caught.value.message


def test_missing_and_unknown_params() -> None:
    workflows = load_workflows(TEMPLATES)
    with pytest.raises(OwlError, match=r"params.members is missing"):
        check_params(workflows["sdp_prearch_acs_asn"], {})
    with pytest.raises(OwlError, match=r"params.x is not a parameter"):
        check_params(workflows["sdp_prearch_acs"], {"x": 1})
