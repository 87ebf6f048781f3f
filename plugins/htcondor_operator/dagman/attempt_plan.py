"""What a clear means: the pure decision between attaching, widening and a new attempt.

A clear in Airflow gives a task instance a new identity. Comparing identities with those that the
latest attempt is bound to tells which nodes were cleared; this module turns that, the graph and
the nodes' states into one decision for the whole run, so that many clears make one rescue.

=====================  ==================================  =====================================
latest attempt         cleared nodes                       decision
=====================  ==================================  =====================================
wanted, clearing       any                                 widen: the same attempt, less is DONE
submitting, live       none has started in it              attach: it will run them anyway
submitting, live       some has started                    a new attempt; unrelated nodes that are
                                                           in the queue are spared
final                  any, or nodes marked as done        a new attempt
final                  none, nothing left to run           nothing
=====================  ==================================  =====================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from htcondor_operator.dagman.model import WorkflowGraph
from htcondor_operator.dagman.rescue import plan_rescue
from htcondor_operator.vocabulary import AttemptKind, AttemptState, NodeState

NOT_STARTED = frozenset({NodeState.UNREADY, NodeState.READY})


class Action(StrEnum):
    """What to do about a run's clears."""

    NOTHING = "nothing"
    ATTACH = "attach"
    WIDEN = "widen"
    NEW = "new"


@dataclass(frozen=True)
class AttemptPlan:
    """The decision for one run.

    Parameters
    ----------
    action
        What to do.
    kind
        Kind of the attempt (fresh when nothing is DONE).
    cleared
        All nodes that must run again because they or an ancestor were cleared.
    done
        Nodes that will not run again.
    spared
        Nodes that go on running in the predecessor, whose result is carried over.
    rerun
        Nodes that the attempt will run: neither done nor spared.
    """

    action: Action
    kind: AttemptKind = AttemptKind.RESCUE
    cleared: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    spared: frozenset[str] = frozenset()
    rerun: frozenset[str] = frozenset()


def decide(
    graph: WorkflowGraph,
    attempt_state: AttemptState,
    states: Mapping[str, NodeState],
    cleared: Collection[str],
    *,
    marked_done: Collection[str] = (),
    spared: Collection[str] = (),
) -> AttemptPlan:
    """Decide what a set of cleared (and marked) nodes asks of a run.

    Parameters
    ----------
    graph
        The run's workflow.
    attempt_state
        State of the latest attempt.
    states
        Node states in the latest attempt (carried nodes are ``done``).
    cleared
        Nodes whose task instances were cleared since the latest attempt was planned. For an
        attempt that can still be widened also those that it was planned for.
    marked_done
        Nodes that an operator marked as successful.
    spared
        Nodes that the latest attempt spares (only while it can be widened).
    """
    known = set(graph.nodes)
    wanted = known & set(cleared)
    marked = known & set(marked_done)
    can_widen = attempt_state in {AttemptState.WANTED, AttemptState.CLEARING}
    in_queue = attempt_state in {AttemptState.SUBMITTING, AttemptState.LIVE}
    if in_queue and all(states.get(name) in NOT_STARTED for name in wanted):
        return AttemptPlan(Action.ATTACH, cleared=frozenset(wanted))
    plan = plan_rescue(graph, states, wanted, marked)
    done = frozenset(plan.done)
    closure = frozenset(wanted | graph.descendants(wanted))
    left_running = set(spared) if can_widen else set()
    if in_queue:
        left_running = {name for name in known if states.get(name, NodeState.UNKNOWN).is_queued}
    kept = frozenset(left_running - closure - done)
    rerun = frozenset(known - done - kept)
    if not rerun and not wanted:
        return AttemptPlan(Action.NOTHING, done=done, spared=kept)
    return AttemptPlan(
        Action.WIDEN if can_widen else Action.NEW,
        AttemptKind.RESCUE if done or kept else AttemptKind.FRESH,
        cleared=closure,
        done=done,
        spared=kept,
        rerun=rerun,
    )
