from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.dagman.render import (
    quoted_argument,
    render,
    sample_context,
    sample_graph,
    template_hash,
)
from htcondor_operator.dagman.workflows import Workflow, load_workflow, load_workflows
from htcondor_operator.vocabulary import ErrorKind, OwlError

TEMPLATES = Path(__file__).parents[2] / "include" / "templates"
WORKFLOWS = load_workflows(TEMPLATES)
NINE = ("2FITS", "RF", "BC", "CA", "MD", "AC", "INGEST_SCI", "PVW", "CL")
EIGHT = tuple(name for name in NINE if name != "MD")
CONTEXT: dict[str, Any] = {
    "dataset": "idkv02010",
    "run": 7,
    "run_dir": "/runs/r7",
    "work_dir": "/data/work",
    "archive_dir": "/data/archive",
    "incoming_dir": "/data/incoming",
    "references_dir": "/data/references",
    "python": "/opt/python",
}

MakeWorkflow = Callable[..., Workflow]


@pytest.fixture
def make_workflow(tmp_path: Path) -> MakeWorkflow:
    def make(template: str, **declaration: object) -> Workflow:
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        (folder / "workflow.dag.j2").write_text(template)
        content = {"description": "d", "type": "T", "sample": {"dataset": "d1"}, **declaration}
        (folder / "workflow.yaml").write_text(yaml.safe_dump(content))
        return load_workflow(folder)

    return make


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("sdp_prearch_acs", NINE),
        ("sdp_prearch_wf3", NINE),
        ("sdp_prearch_stis", EIGHT),
        ("sdp_prearch_cos", EIGHT),
    ],
)
def test_prearchive_chains(name: str, nodes: tuple[str, ...]) -> None:
    rendered = render(WORKFLOWS[name], CONTEXT)
    assert rendered.graph.nodes == nodes
    assert set(rendered.graph.edges) == set(pairwise(nodes))
    assert rendered.graph == sample_graph(WORKFLOWS[name])
    priorities = [rendered.dag.nodes[node].priority or 0 for node in nodes]
    assert priorities == sorted(set(priorities))
    assert all(node.retries == 0 for node in rendered.dag.nodes.values())
    assert rendered.dag.nodes["CA"].vars["step"] == "CA"
    assert rendered.dag.nodes["CA"].vars["data"] == "idkv02010"
    assert rendered.dag.node_status_file == f"{name}_idkv02010.dag.status"


def test_submit_description_of_the_payload() -> None:
    rendered = render(WORKFLOWS["sdp_prearch_wf3"], {**CONTEXT, "incoming_dir": "/in coming"})
    description = rendered.dag.descriptions["calibration"]
    lines = {line.strip() for line in description.splitlines()}
    assert "executable = /opt/python" in lines
    assert (
        "arguments = \"-m calibration $(step) --dataset $(data) --incoming '/in coming' "
        '--work /data/work --archive /data/archive --references /data/references $(options)"'
    ) in lines
    assert "should_transfer_files = NO" in lines
    assert "want_io_proxy = true" in lines
    assert 'environment = "OPENBLAS_NUM_THREADS=1"' in lines
    assert "My.OwlRun = 7" in lines


def test_pythonpath_only_when_given() -> None:
    rendered = render(WORKFLOWS["sdp_prearch_wf3"], {**CONTEXT, "pythonpath": "/a b:/c"})
    assert "OPENBLAS_NUM_THREADS=1 PYTHONPATH='/a b:/c'\"" in rendered.text


def test_run_priority_is_not_in_the_file() -> None:
    # DAGMan adds it, and a rescue of the same file may have another one.
    rendered = render(WORKFLOWS["sdp_prearch_wf3"], {**CONTEXT, "priority": 500})
    assert rendered.dag.nodes["2FITS"].priority == 10


@pytest.mark.parametrize("count", [1, 3, 8])
def test_association_uses_one_slot_per_member(count: int) -> None:
    workflow = WORKFLOWS["sdp_prearch_acs_asn"]
    members = [f"jcdn01a{k}q" for k in range(count)]
    rendered = render(workflow, {**CONTEXT, "params": {"members": members}})
    assert len(rendered.graph.nodes) == 4 * count + 6
    assert set(rendered.graph.parents("CRCOMB")) == {f"CA_{k}" for k in range(1, count + 1)}
    assert rendered.dag.nodes[f"RF_{count}"].vars["data"] == members[-1]
    assert rendered.dag.nodes["CRCOMB"].vars["data"] == "idkv02010"
    assert rendered.dag.nodes["CL"].vars["options"] == f"--members {','.join(members)}"
    assert "options" not in rendered.dag.nodes["CA_1"].vars
    static = sample_graph(workflow)
    assert set(rendered.graph.nodes) <= set(static.nodes)
    assert set(rendered.graph.edges) <= set(static.edges)
    assert len(static.nodes) == 4 * 8 + 8 + 6


@pytest.mark.parametrize("name", sorted(n for n in WORKFLOWS if "_asn" in n))
def test_archived_members_are_reused_and_not_calibrated(name: str) -> None:
    workflow = WORKFLOWS[name]
    params = {"members": ["aa03"], "archived": ["aa02", "aa03", "aa01"]}
    rendered = render(workflow, {**CONTEXT, "params": params})
    nodes = rendered.dag.nodes
    first = "FETCH" if name.endswith("repro") else "2FITS"
    own = {n for n in rendered.graph.nodes if n[-2] == "_"}
    assert own == {f"{first}_1", "RF_1", "BC_1", "CA_1", "REUSE_1", "REUSE_2"}
    join = next(n for n in rendered.graph.nodes if n not in own)
    assert set(rendered.graph.parents(join)) == {"CA_1", "REUSE_1", "REUSE_2"}
    assert [nodes[f"REUSE_{k}"].vars["data"] for k in (1, 2)] == ["aa02", "aa01"]
    assert nodes["REUSE_1"].vars["options"] == "--association idkv02010"
    assert ("options" in nodes[f"{first}_1"].vars) is (first == "FETCH")
    # Sums of floats depend on the order: it must not depend on which members are reused.
    assert nodes[join].vars["options"] == "--members aa01,aa02,aa03"
    assert len(sample_graph(workflow).nodes) == 5 * 8 + len(rendered.graph.nodes) - 6


def test_drill_is_a_diamond_with_a_tail() -> None:
    assert set(sample_graph(WORKFLOWS["drill"]).edges) == {
        ("A", "B"),
        ("A", "C"),
        ("B", "D"),
        ("C", "D"),
        ("D", "E"),
    }


def test_rendering_is_repeatable() -> None:
    first, second = (render(WORKFLOWS["sdp_prearch_acs"], CONTEXT) for _ in range(2))
    assert first.text == second.text
    assert (
        first.template_hash == second.template_hash == template_hash(WORKFLOWS["sdp_prearch_acs"])
    )


def test_hash_follows_shared_parts(make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow("{% include '_shared/job.j2' %}\n")
    shared = workflow.folder.parent / "_shared" / "job.j2"
    shared.parent.mkdir()
    shared.write_text("JOB A a.sub\n")
    before = template_hash(workflow)
    shared.write_text("JOB A b.sub\n")
    assert template_hash(workflow) != before


@pytest.mark.parametrize(
    ("template", "line", "says"),
    [
        ("JOB A a.sub\n# {{ datset }}\n", 2, "'datset' is undefined"),
        ("JOB A a.sub\n\n# {{ params.member }}\n", 3, "no attribute 'member'"),
        ("JOB A a.sub\n{% fro x in y %}\n", 2, "unknown tag 'fro'"),
        ("{% include '_shared/none.j2' %}\n", 1, "no template '_shared/none.j2'"),
        ("{% include '../../etc/passwd' %}\n", 1, "no template"),
        ("# {{ 1 / 0 }}\n", 1, "division by zero"),
        ("# {{ dataset.__class__.__mro__ }}\n", 1, "unsafe"),
        ("\n# {{ resources.__globals__ }}\n", 2, "unsafe"),
    ],
)
def test_template_errors_name_template_line_and_cause(
    make_workflow: MakeWorkflow, template: str, line: int, says: str
) -> None:
    with pytest.raises(OwlError) as caught:
        sample_graph(make_workflow(template))
    assert caught.value.kind is ErrorKind.BAD_TEMPLATE
    assert caught.value.message.startswith(f"small/workflow.dag.j2 line {line}: ")
    assert says in caught.value.message


def test_error_in_a_shared_part_names_that_part(make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow("{% from '_shared/m.j2' import job with context %}\n{{ job() }}\n")
    shared = workflow.folder.parent / "_shared" / "m.j2"
    shared.parent.mkdir()
    shared.write_text("{% macro job() %}\nJOB A {{ nothing }}\n{% endmacro %}\n")
    with pytest.raises(OwlError, match=r"^_shared/m.j2 line 2: 'nothing' is undefined"):
        sample_graph(workflow)


def test_result_that_is_not_dagman(make_workflow: MakeWorkflow) -> None:
    with pytest.raises(OwlError) as caught:
        sample_graph(make_workflow("JOB A a.sub\nPARENT A CHILD\n"))
    assert caught.value.kind is ErrorKind.BAD_DAG_FILE
    assert "small/workflow.dag.j2" in caught.value.message


def test_node_outside_the_sample_is_refused(make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow("JOB A a.sub\n{% if dataset != 'd1' %}\nJOB B a.sub\n{% endif %}\n")
    with pytest.raises(OwlError, match="'B', which its sample does not have"):
        render(workflow, CONTEXT)


@pytest.mark.parametrize(
    "value",
    ['a"b', "a'b", "a\nJOB X /bin/rm", "a\rb", "$(ENV)", "$$(x)", "a\\", "}", "a\x00", "a\u2028b"],
)
@pytest.mark.parametrize("field", ["control", "python", "run_dir"])
def test_syntax_in_values_is_refused(field: str, value: str) -> None:
    change = {"params": {field: value}} if field == "control" else {field: value}
    with pytest.raises(OwlError) as caught:
        render(WORKFLOWS["drill"], {**CONTEXT, **change})
    assert caught.value.kind is ErrorKind.BAD_CONF
    assert field in caught.value.message


def test_syntax_deep_in_a_parameter_is_refused(make_workflow: MakeWorkflow) -> None:
    workflow = make_workflow("JOB A a.sub\n", params={"deep": {"default": {}}})
    for deep in ({"x": ["ok", "a\nb"]}, {"a\nb": 1}, [["$(x)"]]):
        with pytest.raises(OwlError, match=r"params\.deep"):
            render(workflow, {**CONTEXT, "params": {"deep": deep}})


@given(st.text())
def test_a_text_changes_no_line_but_its_own(value: str) -> None:
    plain = render(WORKFLOWS["drill"], CONTEXT)
    try:
        rendered = render(WORKFLOWS["drill"], {**CONTEXT, "params": {"control": value}})
    except OwlError:
        return
    assert rendered.graph == plain.graph
    changed = [
        new
        for old, new in zip(plain.text.splitlines(), rendered.text.splitlines(), strict=True)
        if old != new
    ]
    assert all(line.strip().startswith("arguments = ") for line in changed)


@pytest.mark.parametrize("field", ["dataset", "priority"])
def test_names_are_checked(field: str) -> None:
    with pytest.raises(OwlError) as caught:
        render(WORKFLOWS["drill"], {**CONTEXT, field: "a b"})
    assert caught.value.kind is ErrorKind.BAD_NAME


def test_sample_context_is_complete() -> None:
    for workflow in WORKFLOWS.values():
        assert render(workflow, sample_context(workflow)).graph == sample_graph(workflow)


@pytest.mark.parametrize(
    ("value", "quoted"), [("/a", "/a"), ("/a b", "'/a b'"), ("", "''"), (1.5, "1.5")]
)
def test_quoted_argument(value: object, quoted: str) -> None:
    assert quoted_argument(value) == quoted
