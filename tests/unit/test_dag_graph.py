"""From a DAG to its topology."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.model import WorkflowGraph, is_join_node
from htcondor_operator.dagman.parser import DagSyntaxError, parse_dag


def jobs(names):
    return "".join(f"JOB {name} x\n" for name in names)


def test_topological_and_stable():
    dag = parse_dag(jobs("DCBAE") + "PARENT A CHILD B\nPARENT B CHILD D\nFINAL F f\nSERVICE S s\n")
    graph = workflow_graph(dag)
    assert graph.nodes == ("C", "A", "B", "D", "E")
    assert graph.edges == (("A", "B"), ("B", "D"))


def test_weak_edges_are_kept_through_json():
    graph = workflow_graph(parse_dag(jobs("ABC") + "WEAK PARENT A CHILD B\nPARENT B CHILD C"))
    assert graph.weak_edges == {("A", "B")}
    assert WorkflowGraph.from_mapping(graph.as_mapping()) == graph


@pytest.mark.parametrize(
    ("edges", "cycle", "line"),
    [
        ("PARENT A CHILD A", "A -> A", 5),
        ("PARENT A CHILD B\nPARENT B CHILD A", "A -> B -> A", 5),
        ("PARENT A CHILD B\nPARENT B CHILD C\nPARENT C CHILD B D", "B -> C -> B", 6),
    ],
)
def test_cycles_are_named(edges, cycle, line):
    with pytest.raises(DagSyntaxError, match="cycle") as caught:
        workflow_graph(parse_dag(jobs("ABCD") + edges, file="x.dag"))
    assert f"cycle: {cycle};" in caught.value.reason
    assert (caught.value.file, caught.value.line) == ("x.dag", line)


def test_unknown_node_in_a_dag_made_by_hand():
    dag = parse_dag(jobs("A"))
    dag.edges.append(("A", "Z"))
    with pytest.raises(DagSyntaxError, match="unknown node 'Z'"):
        workflow_graph(dag)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_either_in_order_or_a_true_cycle(pairs):
    lines = "".join(f"PARENT {a} CHILD {b}\n" for a, b in pairs)
    dag = parse_dag(jobs("0123456789") + lines)
    try:
        graph = workflow_graph(dag)
    except DagSyntaxError as error:
        steps = error.reason.removeprefix("cycle: ").partition(";")[0].split(" -> ")
        assert steps[0] == steps[-1]
        assert set(pairwise(steps)) <= set(dag.edges)
    else:
        place = {name: at for at, name in enumerate(graph.nodes)}
        assert sorted(graph.nodes) == sorted(dag.nodes)
        assert all(place[a] < place[b] for a, b in graph.edges)


def test_deep_chain_does_not_recurse():
    names = [f"n{i}" for i in range(5000)]
    edges = "".join(f"PARENT {a} CHILD {b}\n" for a, b in pairwise(names))
    graph = workflow_graph(parse_dag(edges + jobs(reversed(names))))
    assert list(graph.nodes) == names


def test_join_nodes_of_dagman():
    assert is_join_node("_condor_join_node0")
    assert is_join_node("S+_condor_join_node3")
    assert not is_join_node("A")
