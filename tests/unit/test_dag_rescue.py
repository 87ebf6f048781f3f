"""What runs again after a clear, and the file that says so."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.dagman.model import WorkflowGraph
from htcondor_operator.dagman.parser import DagSyntaxError
from htcondor_operator.dagman.rescue import RescuePlan, parse_rescue, plan_rescue, rescue_text
from htcondor_operator.vocabulary import NodeState, OwlError

DONE, FAILED, FUTILE = NodeState.DONE, NodeState.FAILED, NodeState.FUTILE
RUNNING, READY = NodeState.RUNNING, NodeState.READY
CHAIN = WorkflowGraph(tuple("ABCD"), (("A", "B"), ("B", "C"), ("C", "D")))
# A -> B, C -> D, and E on its own.
DIAMOND = WorkflowGraph(tuple("ABCDE"), (("A", "B"), ("A", "C"), ("B", "D"), ("C", "D")))
WEAK = WorkflowGraph(tuple("ABC"), (("A", "B"), ("B", "C")), frozenset({("A", "B")}))


def states(graph, *values):
    return dict(zip(graph.nodes, values, strict=True))


@pytest.mark.parametrize(
    ("graph", "states", "cleared", "marked", "done"),
    [
        pytest.param(CHAIN, states(CHAIN, DONE, DONE, FAILED, FUTILE), "C", "", "AB", id="failed"),
        pytest.param(CHAIN, states(CHAIN, DONE, DONE, FAILED, FUTILE), "CD", "", "AB", id="below"),
        pytest.param(CHAIN, states(CHAIN, DONE, DONE, DONE, DONE), "B", "", "A", id="succeeded"),
        pytest.param(CHAIN, states(CHAIN, DONE, DONE, DONE, DONE), "ABCD", "", "", id="whole"),
        pytest.param(CHAIN, states(CHAIN, DONE, RUNNING, READY, READY), "B", "", "A", id="running"),
        pytest.param(CHAIN, states(CHAIN, DONE, FAILED, FUTILE, FUTILE), "", "B", "AB", id="mark"),
        pytest.param(CHAIN, states(CHAIN, DONE, FAILED, FUTILE, FUTILE), "B", "B", "A", id="both"),
        pytest.param(CHAIN, states(CHAIN, DONE, FAILED, FUTILE, FUTILE), "", "D", "A", id="gap"),
        pytest.param(CHAIN, {}, "", "", "", id="nothing known"),
        pytest.param(CHAIN, {"A": NodeState.UNKNOWN, "B": DONE}, "", "", "", id="unknown above"),
        pytest.param(
            DIAMOND, states(DIAMOND, DONE, FAILED, FAILED, FUTILE, DONE), "BC", "", "AE", id="two"
        ),
        pytest.param(
            DIAMOND, states(DIAMOND, DONE, DONE, DONE, DONE, DONE), "B", "", "ACE", id="branch"
        ),
        pytest.param(WEAK, states(WEAK, FAILED, DONE, FAILED), "C", "", "AB", id="weak"),
        pytest.param(WEAK, states(WEAK, FAILED, DONE, FAILED), "A", "", "", id="weak cleared"),
        pytest.param(WEAK, states(WEAK, FUTILE, DONE, FAILED), "C", "", "", id="weak not run"),
    ],
)
def test_plan(graph, states, cleared, marked, done):
    plan = plan_rescue(graph, states, set(cleared), set(marked))
    assert "".join(plan.done) == done
    assert set(plan.done) | set(plan.rerun) == set(graph.nodes)


@pytest.mark.parametrize("which", ["cleared", "marked done"])
def test_unknown_nodes_are_refused(which):
    with pytest.raises(OwlError, match=f"{which} node 'Z' is not in"):
        plan_rescue(CHAIN, {}, *({"Z"}, ()) if which == "cleared" else ((), {"Z"}))


@st.composite
def situations(draw):
    names = draw(st.lists(st.from_regex(r"[A-Za-z0-9_.+@:-]{1,6}", fullmatch=True), unique=True,
                          max_size=9))  # fmt: skip
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    weak = draw(st.sets(st.sampled_from(edges))) if edges else set()
    some = st.sets(st.sampled_from(names)) if names else st.just(set())
    known = (
        draw(st.dictionaries(st.sampled_from(names), st.sampled_from(NodeState))) if names else {}
    )
    return WorkflowGraph(tuple(names), tuple(edges), frozenset(weak)), known, draw(some), draw(some)


@given(situations())
def test_properties_of_every_plan(situation):
    graph, known, cleared, marked = situation
    plan = plan_rescue(graph, known, cleared, marked)
    done, rerun = set(plan.done), set(plan.rerun)
    assert not done & rerun
    assert done | rerun == set(graph.nodes)
    assert len(plan.done) + len(plan.rerun) == len(graph.nodes)
    assert graph.ancestors(done) <= done
    assert graph.descendants(rerun) <= rerun
    assert cleared | graph.descendants(cleared) <= rerun
    weak = {parent for parent, _ in graph.weak_edges}
    for name in done:
        assert known.get(name) is DONE or name in marked or (name in weak and known[name] is FAILED)
    # Nothing is run again without need.
    for name in rerun - cleared:
        assert set(graph.parents(name)) & rerun or not (known.get(name) is DONE or name in marked)
    # What is asked for again stays the same.
    assert plan_rescue(graph, dict.fromkeys(done, DONE), ()) == plan


@given(situations())
def test_text_round_trip(situation):
    graph, known, cleared, marked = situation
    plan = plan_rescue(graph, known, cleared, marked)
    retries = dict.fromkeys(plan.rerun, 2)
    text = rescue_text(plan, dag_file="x.dag", failed=plan.rerun, retries=retries)
    rescue = parse_rescue(text)
    assert rescue.done == plan.done
    assert rescue.retries == retries


def test_text_is_dagmans_own():
    plan = RescuePlan(("NODE_A", "DONE_B"), ("C",))
    when = datetime(2026, 3, 4, 7, 11, 24, tzinfo=UTC)
    assert rescue_text(plan, dag_file="x.dag", failed=["C"], created=when) == (
        "# Rescue DAG file, created after running\n"
        "#   the x.dag DAG file\n"
        "# Created 3/4/2026 07:11:24 UTC\n"
        "# Rescue DAG version: 2.1.0 (partial)\n"
        "#\n"
        "# Total number of Nodes: 3\n"
        "# Nodes premarked DONE: 2\n"
        "# Nodes that failed: 1\n"
        "#   C,<ENDLIST>\n"
        "\n"
        "DONE NODE_A\n"
        "DONE DONE_B\n"
    )


def test_parse_leaves_first_letters_alone():
    rescue = parse_rescue("# c\ndone NODE_A\nDONE DONE\nRETRY EON 3 UNLESS-EXIT 2\n# done X\n")
    assert rescue.done == ("NODE_A", "DONE")
    assert rescue.retries == {"EON": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\nJOB A a", "r:2: 'JOB' is not DONE or RETRY"),
        ("DONE", "r:1: DONE: the node's name is missing"),
        ("DONE A B", "r:1: unexpected 'B'"),
        ("RETRY A", "r:1: RETRY: ''"),
        ("RETRY A x", "r:1: RETRY: 'x'"),
        ("RETRY A 1 B", "r:1: RETRY: unexpected 'B'"),
        ("RETRY A 1 UNLESS-EXIT 2 B", "r:1: unexpected 'B'"),
        ("DONE 'A", "r:1: a quotation mark"),
    ],
)
def test_bad_rescue_files(text, reason):
    with pytest.raises(DagSyntaxError) as caught:
        parse_rescue(text, file="r")
    assert caught.value.message.startswith(reason)
