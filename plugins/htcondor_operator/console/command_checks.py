"""Whether HTCondor has something that a command could change: said before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.vocabulary import AttemptState, CommandVerb, NodeState, RunState

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_OVER = frozenset({RunState.DONE, RunState.FAILED, RunState.REMOVED})
_UNSUBMITTED = frozenset({AttemptState.WANTED, AttemptState.CLEARING, AttemptState.SUBMITTING})
_BEFORE = frozenset({CommandVerb.REMOVE, CommandVerb.PRIORITY})
"""What can be asked of a whole run before it is submitted."""


@dataclass(frozen=True)
class Standing:
    """How a run stands.

    Parameters
    ----------
    attempt
        State of its latest attempt; None before the first.
    nodes
        States of the latest tries of its nodes.
    """

    state: RunState
    attempt: AttemptState | None
    nodes: Mapping[str, NodeState]


def look(cur: Cursor, run_key: int) -> Standing:
    """Return how a run stands."""
    cur.execute(
        """
        SELECT r.state, a.state FROM owl_run r
        LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
        WHERE r.run_key = %(key)s
        """,
        {"key": run_key},
    )
    ((state, attempt),) = cur.fetchall()
    cur.execute(
        """
        SELECT DISTINCT ON (n.node) n.node, n.state
          FROM owl_run r JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
         WHERE r.run_key = %(key)s ORDER BY n.node, n.try DESC
        """,
        {"key": run_key},
    )
    nodes = {node: NodeState(each) for node, each in cur.fetchall()}
    return Standing(RunState(state), None if attempt is None else AttemptState(attempt), nodes)


def why_not(now: Standing, verb: CommandVerb, node: str | None) -> str | None:
    """Return why a command would change nothing; None if it may."""
    if now.state in _OVER:
        return f"it is {now.state}, and nothing of it is in HTCondor's queue."
    if node is not None and now.nodes and node not in now.nodes:
        return f"there is no node {node}; choose one of {', '.join(sorted(now.nodes))}."
    if now.attempt is None or now.attempt in _UNSUBMITTED:
        early = node is None and verb in _BEFORE
        words = "it is not submitted yet, so there is no job; try again when it runs."
        return None if early else words
    if node is not None:
        return _of_node(now.nodes.get(node, NodeState.UNKNOWN), verb, node)
    return _of_run(now, verb)


def _of_run(now: Standing, verb: CommandVerb) -> str | None:
    if verb is CommandVerb.HOLD and now.state is RunState.HELD:
        return "it is held already."
    if verb is CommandVerb.RELEASE and not _any_held(now):
        return "nothing of it is held."
    return None


def _any_held(now: Standing) -> bool:
    return now.state is RunState.HELD or NodeState.HELD in now.nodes.values()


def _of_node(state: NodeState, verb: CommandVerb, node: str) -> str | None:
    # Of an unknown node the schedd may know more than the events told.
    if state is NodeState.UNKNOWN:
        return None
    if not state.is_queued:
        return f"node {node} is {state}, and no job of it is in HTCondor's queue."
    if verb is CommandVerb.HOLD and state is NodeState.HELD:
        return f"node {node} is held already."
    if verb is CommandVerb.RELEASE and state is not NodeState.HELD:
        return f"node {node} is {state}, not held."
    return None
