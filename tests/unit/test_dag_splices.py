"""SPLICE, INCLUDE, CONNECT: DAGs out of several files."""

import posixpath

import pytest

from htcondor_operator.dagman.parser import DagSyntaxError, parse_dag, read_dag

FILES = {
    "diamond.dag": "JOB A a\nJOB B b\nJOB C c\nJOB D d\n"
    "PARENT A CHILD B C\nPARENT B C CHILD D\n"
    "VARS ALL_NODES n=1\nCATEGORY B few\nMAXJOBS few 1\nCATEGORY C +all\nMAXJOBS +all 3\n"
    "CONFIG\nNODE_STATUS_FILE inner\nSUBMIT-DESCRIPTION d {\ninner\n}\n",
    "outer.dag": "JOB X x\nSPLICE IN diamond.dag DIR deep\nPARENT X CHILD IN\n",
    "deep/diamond.dag": "JOB only o DIR sub\nJOB abs o DIR /abs\nJOB plain o\nSERVICE s s\n",
    "nodes.dag": "JOB N1 n\nJOB N2 n\nSPLICE S diamond.dag\n",
    "nodes2.dag": "JOB N n\n",
    "final.dag": "FINAL F f\n",
    "empty.dag": "# nothing\n",
    "loop.dag": "SPLICE L loop.dag\n",
    "loop1.dag": "INCLUDE ./loop2.dag\n",
    "loop2.dag": "INCLUDE x/../loop1.dag\n",
    "bad.dag": "JOB A a\nRETRY A\n",
    "reject.dag": "JOB A a\nREJECT\n",
    "pins.dag": "JOB A a\nJOB B b\nPIN_IN A 1\nPIN_IN B 1\nPIN_OUT A 1\nPIN_OUT B 2\n",
    "pins2.dag": "JOB A a\nJOB B b\nPIN_IN A 1\nPIN_IN B 2\nPIN_OUT A 1\n",
    "orphan.dag": "JOB A a\nJOB B b\nPIN_IN A 1\nPIN_IN A 2\n",
    "gap.dag": "JOB A a\nPIN_IN A 2\n",
}


def read(name):
    try:
        return FILES[posixpath.normpath(name)]
    except KeyError:
        raise FileNotFoundError(2, "No such file or directory") from None


def parse(text):
    return parse_dag(text, file="top.dag", read=read)


def test_splice_between_nodes():
    dag = parse("JOB X x\nSPLICE S diamond.dag\nJOB Y y\nPARENT X CHILD S\nPARENT S CHILD Y\n")
    assert list(dag.nodes) == ["X", "S+A", "S+B", "S+C", "S+D", "Y"]
    assert set(dag.edges) == {
        ("S+A", "S+B"), ("S+A", "S+C"), ("S+B", "S+D"), ("S+C", "S+D"), ("X", "S+A"), ("S+D", "Y"),
    }  # fmt: skip
    assert dag.nodes["S+B"].file == "diamond.dag"
    assert dag.nodes["S+B"].category == "S+few"
    assert dag.nodes["S+C"].category == "+all"
    assert dag.max_jobs == {"S+few": 1, "+all": 3}
    assert dag.nodes["S+A"].vars == {"n": "1"}
    assert dag.splices["S"].path == "diamond.dag"
    assert dag.descriptions == {"d": "inner\n"}
    assert dag.node_status_file is None, "a splice's file is not written"


def test_outer_file_wins():
    dag = parse(
        "SPLICE S diamond.dag\nMAXJOBS S+few 9\nSUBMIT-DESCRIPTION d {\nouter\n}\n"
        "VARS ALL_NODES q=1\nJOB A a\n"
    )
    assert dag.max_jobs["S+few"] == 9
    assert dag.descriptions == {"d": "outer\n"}
    assert [name for name, node in dag.nodes.items() if "q" in node.vars] == ["A"]


def test_splice_to_splice_is_many_to_many():
    dag = parse("SPLICE S nodes.dag\nSPLICE T nodes.dag\nPARENT S CHILD T\n")
    outer = [edge for edge in dag.edges if edge[0][0] != edge[1][0]]
    assert {a for a, _ in outer} == {"S+N1", "S+N2", "S+S+D"}
    assert {b for _, b in outer} == {"T+N1", "T+N2", "T+S+A"}
    assert len(outer) == 9


def test_nested_splices_and_directories():
    dag = parse("SPLICE O outer.dag\n")
    assert list(dag.nodes) == ["O+X", "O+IN+only", "O+IN+abs", "O+IN+plain", "O+IN+s"]
    directories = {name: node.directory for name, node in dag.nodes.items()}
    assert directories["O+IN+only"] == "deep/sub"
    assert directories["O+IN+abs"] == "/abs"
    assert directories["O+IN+plain"] == "deep"
    assert directories["O+X"] is None
    assert ("O+X", "O+IN+only") in dag.edges
    assert all("O+IN+s" not in edge for edge in dag.edges), "SERVICE nodes are no ends"
    assert list(dag.splices) == ["O", "O+IN"]


def test_a_node_of_a_splice_may_be_named():
    dag = parse("SPLICE S diamond.dag\nVARS S+A z=1\nJOB X x\nPARENT X CHILD S+B\n")
    assert dag.nodes["S+A"].vars == {"n": "1", "z": "1"}
    assert ("X", "S+B") in dag.edges


def test_include():
    dag = parse("INCLUDE nodes.dag\nRETRY N1 3\nPARENT N1 CHILD S\nPARENT S CHILD N2\n")
    assert list(dag.nodes) == ["N1", "N2", "S+A", "S+B", "S+C", "S+D"]
    assert dag.nodes["N1"].retries == 3
    assert {("N1", "S+A"), ("S+D", "N2")} <= set(dag.edges)
    assert dag.includes == ["nodes.dag"]


def test_pins():
    dag = parse("SPLICE P pins.dag\nSPLICE Q pins2.dag\nCONNECT P Q\n")
    assert dag.edges == [("P+A", "Q+A"), ("P+B", "Q+B")]


def test_reject_in_a_splice_counts():
    assert parse("SPLICE R reject.dag").reject == ("reject.dag:2",)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("SPLICE S none.dag", "top.dag:1", "none.dag cannot be read (No such file or directory)"),
        ("INCLUDE none.dag", "top.dag:1", "none.dag cannot be read"),
        ("SPLICE S final.dag", "top.dag:1", "has a FINAL node"),
        ("SPLICE S bad.dag", "bad.dag:2", "RETRY"),
        ("SPLICE L loop.dag", "loop.dag:1", "contains itself"),
        ("INCLUDE loop1.dag", "./loop2.dag:1", "contains itself"),
        ("INCLUDE top.dag", "top.dag:1", "contains itself"),
        ("SPLICE S empty.dag\nJOB A a\nPARENT A CHILD S", "top.dag:3", "has no nodes"),
        ("SPLICE S empty.dag\nJOB S a", "top.dag:2", "already the name of a splice"),
        ("SPLICE S empty.dag\nSPLICE S empty.dag", "top.dag:2", "already the name of a splice"),
        ("JOB S a\nSPLICE S empty.dag", "top.dag:2", "already a node"),
        ("SPLICE S diamond.dag\nRETRY S 1", "top.dag:2", "put the command into the splice's"),
        ("PARENT N1 CHILD N2\nINCLUDE nodes.dag", "top.dag:1", "no node 'N1'"),
        ("JOB N1 n\nINCLUDE nodes.dag", "nodes.dag:1", "already a node 'N1' (top.dag:1)"),
        ("SPLICE P pins.dag\nCONNECT P Q", "top.dag:2", "no splice 'Q'"),
        ("SPLICE P pins.dag\nSPLICE Q pins.dag\nCONNECT P Q", "top.dag:3", "2 PIN_OUT and"),
        ("SPLICE P diamond.dag\nSPLICE Q pins.dag\nCONNECT P Q", "top.dag:3", "0 PIN_OUT"),
        ("SPLICE P pins.dag\nSPLICE Q orphan.dag\nCONNECT P Q", "top.dag:3", "'Q+B'"),
        ("SPLICE P pins.dag\nSPLICE Q gap.dag\nCONNECT P Q", "top.dag:3", "no PIN_IN 1"),
    ],
)
def test_errors(text, place, reason):
    with pytest.raises(DagSyntaxError) as caught:
        parse(text)
    assert f"{caught.value.file}:{caught.value.line}" == place
    assert reason in caught.value.reason


def test_files_are_found_beside_the_dag_then_in_the_working_folder(tmp_path, monkeypatch):
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "top.dag").write_text("SPLICE A near.dag\nSPLICE B far.dag\n")
    (folder / "near.dag").write_text("JOB n n\n")
    (tmp_path / "far.dag").write_text("JOB f f\n")
    monkeypatch.chdir(tmp_path)
    dag = read_dag("dags/top.dag")
    assert list(dag.nodes) == ["A+n", "B+f"]
    assert dag.nodes["A+n"].file == "dags/near.dag"


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "d").symlink_to(tmp_path)
    (tmp_path / "x.dag").write_text("SPLICE S x.dag DIR d\n")
    with pytest.raises(DagSyntaxError, match=r"x\.dag"):
        read_dag(tmp_path / "x.dag")


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("SPLICE S diamond.dag\nVARS S+A z=1", "top.dag:2: DAGMan does not know 'S+A' here; say"),
        ("SPLICE S diamond.dag\nINCLUDE empty.dag\nVARS S+A z=1", None),
        (
            "SPLICE S diamond.dag\nINCLUDE nodes2.dag\nPARENT N CHILD S",
            "top.dag:3: DAGMan knows no",
        ),
        ("SPLICE S diamond.dag\nJOB N n\nPARENT N CHILD S", None),
        ("FINAL F f DONE", "top.dag:1: FINAL: such a node cannot be DONE"),
        ("NODE_STATUS_FILE a\nNODE_STATUS_FILE b", "top.dag:2: DAGMan uses the first"),
    ],
)
def test_warnings(text, warning):
    warnings = parse(text).warnings
    if warning is None:
        assert not warnings
    else:
        assert len(warnings) == 1
        assert warnings[0].startswith(warning)
