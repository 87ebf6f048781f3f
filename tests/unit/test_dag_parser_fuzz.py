"""Whatever the text, there is a DAG or a DagSyntaxError: never anything else."""

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from htcondor_operator.dagman.describe import dag_lines, dag_mapping, dag_table
from htcondor_operator.dagman.grammar import SYNTAX
from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.parser import DagSyntaxError, parse_dag
from htcondor_operator.dagman.rescue import parse_rescue

PIECES = """
A B C S S+A ALL_NODES x.dag DIR NOOP DONE { } @=e @e CHILD EXTERNAL PRE POST HOLD DEFER DEBUG ALL
UNLESS-EXIT RETURN PREPEND = a=1 a='b c' " ' \\ # // 0 1 -1 5% % 99999999999 WAIT SET GET UPDATE
INCLUDE ALWAYS-UPDATE +x=1 queue=1 é
"""
WORDS = [*SYNTAX, *(keyword.lower().replace("_", "-") for keyword in SYNTAX), *PIECES.split()]
WORDS += ["\x00", "\ud800", "\t", "\\\n"]
LINES = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join), max_size=12
).map("\n".join)


def outcome(text, read):
    try:
        dag = parse_dag(text, file="x.dag", read=read)
        return dag, workflow_graph(dag)
    except DagSyntaxError as error:
        return error


def check(text):
    for read in (None, lambda _: text):
        found = outcome(text, read)
        if isinstance(found, DagSyntaxError):
            assert 1 <= found.line <= text.count("\n") + 1
            assert found.reason
            continue
        dag, graph = found
        assert set(graph.nodes) <= set(dag.nodes)
        json.dumps(dag_mapping(dag, graph))
        assert list(dag_lines(dag))
        dag_table(dag)


@given(st.text())
def test_any_text(text):
    check(text)


@settings(max_examples=300)
@given(LINES)
def test_words_of_the_grammar(text):
    check(text)


@given(LINES | st.text())
def test_rescue_files(text):
    with contextlib.suppress(DagSyntaxError):
        parse_rescue(text)
