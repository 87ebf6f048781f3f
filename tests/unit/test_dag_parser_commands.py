"""Every command, written well."""

import pytest

from htcondor_operator.dagman.model import NodeType, Script
from htcondor_operator.dagman.parser import parse_dag

AB = "JOB A a.sub\nJOB B b.sub\n"


def node(text, name="A", before=AB):
    return parse_dag(before + text).nodes[name]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("JOB A foo.sub", {"submit": "foo.sub", "type": NodeType.JOB}),
        ("job A foo.sub", {"submit": "foo.sub"}),
        ('JoB A "my foo.sub"', {"submit": "my foo.sub"}),
        ("JOB A foo.sub DIR sub/test NOOP", {"directory": "sub/test", "noop": True}),
        ('JOB A foo.sub DONE noop dir "a b"', {"directory": "a b", "noop": True, "done": True}),
        ("JOB A {\n x = 1\n\n # no\n queue\n} NOOP", {"inline": "x = 1\nqueue\n", "noop": True}),
        ("JOB A @=end\nx = {\n}\n@end DIR d", {"inline": "x = {\n}\n", "directory": "d"}),
        ("JOB A {\n}", {"inline": "", "submit": None}),
        ("FINAL A f.sub", {"type": NodeType.FINAL}),
        ("FINAL A f.dag.condor.sub", {"submit": "f.dag.condor.sub"}),
        ("FINAL A f.sub DONE", {"type": NodeType.FINAL, "done": False}),
        ("PROVISIONER A f.sub", {"type": NodeType.PROVISIONER}),
        ("SERVICE A f.sub DIR one/two", {"type": NodeType.SERVICE, "directory": "one/two"}),
        (
            "SUBDAG EXTERNAL A x.dag DIR d NOOP DONE",
            {"type": NodeType.SUBDAG, "submit": "x.dag", "directory": "d", "done": True},
        ),
        ("subdag external A {", {"submit": "{"}),
    ],
)
def test_nodes(line, expected):
    found = node(line, before="")
    assert {key: getattr(found, key) for key in expected} == expected
    assert (found.file, found.line) == ("<text>", 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RETRY A 100 UNLESS-EXIT 2", {"retries": 100, "retry_unless_exit": 2}),
        ("retry A 3 unless_exit -1", {"retries": 3, "retry_unless_exit": -1}),
        ("RETRY A 3 UNLESS-EXIT 0", {"retries": 3, "retry_unless_exit": None}),
        ("RETRY A 1\nRETRY A 2", {"retries": 2}),
        ("RETRY all_nodes 7", {"retries": 7}),
        ("ABORT-DAG-ON A 32 RETURN 8", {"abort_exit": 32, "abort_return": 8}),
        ("ABORT_DAG_ON A -3", {"abort_exit": -3, "abort_return": None}),
        ("PRIORITY A -82", {"priority": -82}),
        ("PRE_SKIP A 12", {"pre_skip": 12}),
        ("pre-skip A 0", {"pre_skip": 0}),
        ("TOLERANCE A 3", {"tolerance": 3, "tolerance_percent": False, "tolerance_mode": None}),
        ("TOLERANCE A 25% FAIL-FAST", {"tolerance_percent": True, "tolerance_mode": "FAIL-FAST"}),
        ("TOLERANCE A 15 % wait", {"tolerance": 15, "tolerance_mode": "WAIT"}),
        ("DONE A", {"done": True}),
        ("CATEGORY A big", {"category": "big"}),
        ("CATEGORY ALL_NODES big", {"category": "big"}),
        ("SAVE_POINT_FILE A", {"save_point": "A-<text>.save"}),
        ('SAVE-POINT-FILE A "../x y.save"', {"save_point": "../x y.save"}),
        ("PIN_IN A 2\nPIN_OUT A 1", {"pins_in": (2,), "pins_out": (1,)}),
        (
            "VARS A foo = Bar    baz= foo  k=v a =32",
            {"vars": {"foo": "Bar", "baz": "foo", "k": "v", "a": "32"}},
        ),
        (
            "VARS A a=\"woah =!= UNDEFINED\" t='12\\'34'",
            {"vars": {"a": "woah =!= UNDEFINED", "t": "12'34"}},
        ),
        ('VARS A +X="$(RETRY)" my.Y=1', {"vars": {"My.X": "$(RETRY)", "my.Y": "1"}}),
        (
            "VARS A PREPEND a=1\nVARS A append b=2\nVARS A c=3",
            {"var_placement": {"a": "PREPEND", "b": "APPEND"}},
        ),
        ("VARS A a=1\nVARS A a=2", {"vars": {"a": "2"}}),
        ("SCRIPT PRE A my.sh", {"scripts": {"PRE": Script("PRE", "my.sh")}}),
        (
            'SCRIPT DEFER 3 20 DEBUG foo ALL POST A my.sh $NODES  "x y"  ',
            {"scripts": {"POST": Script("POST", "my.sh", '$NODES  "x y"', 3, 20, "foo", "ALL")}},
        ),
        (
            "script debug bar stdout defer 8 100 hold A it's.sh",
            {"scripts": {"HOLD": Script("HOLD", "it's.sh", "", 8, 100, "bar", "STDOUT")}},
        ),
        ("SCRIPT PRE A one\nSCRIPT PRE A two", {"scripts": {"PRE": Script("PRE", "two")}}),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_settings_may_come_before_or_after_the_node(line, expected, first):
    found = parse_dag(f"{line}\n{AB}" if first else f"{AB}{line}\n").nodes["A"]
    assert {key: getattr(found, key) for key in expected} == expected


def test_all_nodes_means_jobs_and_subdags_of_this_file():
    text = AB + "SUBDAG EXTERNAL D d.dag\nFINAL F f\nSERVICE S s\nPROVISIONER P p\n"
    text += "VARS ALL_NODES x=1"
    nodes = parse_dag(text).nodes
    assert [name for name in nodes if nodes[name].vars] == ["A", "B", "D"]


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("PARENT A CHILD B", [("A", "B")]),
        ("parent A child B\nParent A Child B", [("A", "B")]),
        ("PARENT A B CHILD C D", [("A", "C"), ("A", "D"), ("B", "C"), ("B", "D")]),
        ("PARENT A A CHILD C C", [("A", "C")]),
        ("PARENT A CHILD B CHILD C", [("A", "B"), ("A", "C")]),
    ],
)
def test_edges(text, edges):
    dag = parse_dag(text + "\n" + "".join(f"JOB {name} x\n" for name in "ABCD"))
    assert dag.edges == edges
    assert not dag.weak_edges


def test_weak_edges():
    dag = parse_dag("JOB C c\n" + AB + "WEAK PARENT A CHILD B C\nPARENT A CHILD C")
    assert dag.weak_edges == {("A", "B")}, "what is said strongly somewhere is strong"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("MAXJOBS big 2\nMAXJOBS big 0", {"max_jobs": {"big": 0}}),
        ("CONFIG 'a b.conf'\nCONFIG 'a b.conf'", {"config": "a b.conf"}),
        ("DOT a.dot", {"dot": "a.dot", "dot_options": ()}),
        (
            "DOT a.dot update DONT_OVERWRITE include h",
            {"dot_options": ("UPDATE", "DONT-OVERWRITE", "INCLUDE", "h")},
        ),
        (
            "NODE_STATUS_FILE foo 82 ALWAYS-UPDATE",
            {"node_status_file": "foo", "node_status_options": ("82", "ALWAYS-UPDATE")},
        ),
        ("NODE-STATUS-FILE one\nNODE_STATUS_FILE two", {"node_status_file": "one"}),
        ("JOBSTATE_LOG some.log", {"jobstate_log": "some.log"}),
        ('SET_JOB_ATTR foo= "a = b"', {"job_attributes": {"foo": '"a = b"'}}),
        ("ENV GET foo bar,baz", {"environment_get": ("foo", "bar", "baz")}),
        ("ENV SET  foo=bar;baz=a=1;  ", {"environment": {"foo": "bar", "baz": "a=1"}}),
        ('env set "a=\'x y\' b=""q"""', {"environment": {"a": "x y", "b": '"q"'}}),
        ("REJECT", {"reject": ("<text>:1",)}),
        ("SUBMIT-DESCRIPTION d {\n x=1\n}", {"descriptions": {"d": "x=1\n"}}),
        ("submit_description d @=e\n x=1\n@e", {"descriptions": {"d": "x=1\n"}}),
        (
            "SUBMIT-DESCRIPTION d {\na\n}\nSUBMIT-DESCRIPTION d {\nb\n}",
            {"descriptions": {"d": "b\n"}},
        ),
        ("# only\n\n// comments \\\n", {"nodes": {}}),
    ],
)
def test_file_level(line, expected):
    dag = parse_dag(line)
    assert {key: getattr(dag, key) for key in expected} == expected


def test_place_of_a_continued_command_is_its_first_line():
    dag = parse_dag("\nJOB \\\n A \\\n a.sub\nJOB B b")
    assert [(n.name, n.line) for n in dag.nodes.values()] == [("A", 2), ("B", 5)]


def test_nodes_keep_file_order():
    assert list(parse_dag("JOB Z z\nSERVICE S s\nJOB A a\nFINAL F f").nodes) == list("ZSAF")
