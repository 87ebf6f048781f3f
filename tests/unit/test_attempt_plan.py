from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.dagman.attempt_plan import Action, decide
from htcondor_operator.dagman.model import WorkflowGraph
from htcondor_operator.vocabulary import AttemptKind, AttemptState, NodeState

# A -> B, C -> D -> E
DIAMOND = WorkflowGraph(
    ("A", "B", "C", "D", "E"), (("A", "B"), ("A", "C"), ("B", "D"), ("C", "D"), ("D", "E"))
)
CODES = {
    "d": NodeState.DONE,
    "f": NodeState.FAILED,
    "u": NodeState.FUTILE,
    "r": NodeState.RUNNING,
    "h": NodeState.HELD,
    ".": NodeState.UNREADY,
}


def states(text: str) -> dict[str, NodeState]:
    return dict(zip(DIAMOND.nodes, (CODES[c] for c in text), strict=True))


CASES = [
    # state, nodes A-E, cleared, marked -> action, kind, done, spared, rerun
    ("failed", "dfduu", "B", "", "new", "rescue", "AC", "", "BDE"),
    ("failed", "dfduu", "BDE", "", "new", "rescue", "AC", "", "BDE"),
    ("failed", "dffuu", "BC", "", "new", "rescue", "A", "", "BCDE"),
    ("done", "ddddd", "C", "", "new", "rescue", "AB", "", "CDE"),
    ("done", "ddddd", "ABCDE", "", "new", "fresh", "", "", "ABCDE"),
    ("failed", "dfduu", "ABCDE", "", "new", "fresh", "", "", "ABCDE"),
    ("failed", "dfduu", "", "B", "new", "rescue", "ABC", "", "DE"),
    ("failed", "ddddf", "", "E", "nothing", "rescue", "ABCDE", "", ""),
    ("done", "ddddd", "", "", "nothing", "rescue", "ABCDE", "", ""),
    # Only the launch was cleared: what is left is run.
    ("failed", "dfduu", "", "", "new", "rescue", "AC", "", "BDE"),
    # A running node is cleared: its running sibling is spared.
    ("live", "drr..", "B", "", "new", "rescue", "A", "C", "BDE"),
    ("live", "dfr..", "B", "", "new", "rescue", "A", "C", "BDE"),
    ("live", "drh..", "B", "", "new", "rescue", "A", "C", "BDE"),
    # The ancestor of everything that runs is cleared: nothing is spared.
    ("live", "drr..", "A", "", "new", "fresh", "", "", "ABCDE"),
    # Not started in this attempt: it will be run anyway.
    ("live", "drr..", "D", "", "attach", "rescue", "", "", ""),
    ("submitting", ".....", "A", "", "attach", "rescue", "", "", ""),
    # Not yet submitted: the same attempt with less done.
    ("wanted", "d.d..", "BC", "", "widen", "rescue", "A", "", "BCDE"),
    ("refused", "d.d..", "", "", "new", "rescue", "AC", "", "BDE"),
]


@pytest.mark.parametrize(
    ("state", "nodes", "cleared", "marked", "action", "kind", "done", "spared", "rerun"), CASES
)
def test_decision(state, nodes, cleared, marked, action, kind, done, spared, rerun):
    plan = decide(
        DIAMOND, AttemptState(state), states(nodes), set(cleared), marked_done=set(marked)
    )
    assert plan.action is Action(action)
    if plan.action is Action.ATTACH:
        return
    assert "".join(sorted(plan.done)) == done
    assert "".join(sorted(plan.spared)) == spared
    assert "".join(sorted(plan.rerun)) == rerun
    if plan.action is not Action.NOTHING:
        assert plan.kind is AttemptKind(kind)


def test_widening_keeps_spared_nodes_spared():
    plan = decide(
        DIAMOND, AttemptState.CLEARING, states("d...."), {"B"}, spared={"C"}, marked_done=()
    )
    assert plan.spared == {"C"}
    assert plan.rerun == {"B", "D", "E"}
    plan = decide(DIAMOND, AttemptState.CLEARING, states("d...."), {"B", "C"}, spared={"C"})
    assert plan.spared == frozenset()


@given(
    st.sampled_from(sorted(AttemptState)),
    st.lists(st.sampled_from(sorted(NodeState)), min_size=5, max_size=5),
    st.sets(st.sampled_from(DIAMOND.nodes)),
)
def test_every_node_is_in_exactly_one_place(state, node_states, cleared):
    plan = decide(DIAMOND, state, dict(zip(DIAMOND.nodes, node_states, strict=True)), cleared)
    if plan.action is Action.ATTACH:
        return
    parts = [plan.done, plan.spared, plan.rerun]
    assert sum(len(part) for part in parts) == len(DIAMOND.nodes)
    assert frozenset().union(*parts) == set(DIAMOND.nodes)
    # A cleared node and everything below it never stays as it was.
    assert not (cleared | DIAMOND.descendants(cleared)) & (plan.done | plan.spared)
    # What is done has only done ancestors.
    assert DIAMOND.ancestors(set(plan.done)) <= plan.done
