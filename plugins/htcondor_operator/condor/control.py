"""Hold, release, remove and re-prioritise a run or one of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from htcondor_operator.blackboard.run_commands import Command
from htcondor_operator.condor.bindings import Bindings, BindingsError, Outcome
from htcondor_operator.condor.priorities import family_constraint, raise_run, set_node
from htcondor_operator.vocabulary import (
    AttemptState,
    CommandState,
    CommandVerb,
    InvalidName,
    node_name,
    priority,
)

_ACTIONS = {
    CommandVerb.HOLD: ("Hold", "held", "held"),
    CommandVerb.RELEASE: ("Release", "released", "not held"),
    CommandVerb.REMOVE: ("Remove", "removed", "being removed"),
}


@dataclass(frozen=True)
class Answer:
    """What came of a command."""

    state: CommandState
    result: str
    cancels: bool = False
    """The run's attempt was not submitted yet and is taken back."""
    priorities: Mapping[int, int] = field(default_factory=dict)
    """What jobs have now, by cluster; HTCondor writes no event about it."""


def execute(command: Command, bindings: Bindings) -> Answer:
    """Do what a command asks for.

    Raises
    ------
    ScheddSilent
        The command stays wanted.
    """
    try:
        if command.verb is CommandVerb.PRIORITY:
            priority(command.argument.get("priority"))
        if command.node is not None:
            node_name(command.node)
    except InvalidName as error:
        return Answer(CommandState.FAILED, error.message)
    if command.attempt_state is AttemptState.SUBMITTING:
        return Answer(CommandState.WANTED, "The run is being submitted; OWL tries again.")
    try:
        if command.attempt_state in {AttemptState.WANTED, AttemptState.CLEARING}:
            return _before_submission(command, bindings)
        if command.cluster is None:
            return Answer(CommandState.FAILED, f"{_subject(command)} has no job in HTCondor.")
        return _in_queue(command, command.cluster, bindings)
    except BindingsError as error:
        return Answer(CommandState.FAILED, f"HTCondor refused: {error}")


def _before_submission(command: Command, bindings: Bindings) -> Answer:
    if command.node is None and command.verb is CommandVerb.REMOVE:
        if command.predecessor is not None:
            # What the new attempt waited for, spared nodes too: nothing of the run may go on.
            constraint = family_constraint(command.predecessor, bindings)
            bindings.act(_ACTIONS[command.verb][0], constraint, _reason(command))
        words = f"Removed before it was submitted{_because(command)}."
        return Answer(CommandState.DONE, words, cancels=True)
    if command.node is None and command.verb is CommandVerb.PRIORITY:
        return Answer(CommandState.DONE, "The run will be submitted with this priority.")
    return Answer(
        CommandState.FAILED,
        f"{_subject(command)} is not submitted yet: there is no job to {command.verb.value}.",
    )


def _in_queue(command: Command, cluster: int, bindings: Bindings) -> Answer:
    constraint = _constraint(command, cluster, bindings)
    if command.verb is CommandVerb.PRIORITY:
        return _prioritise(command, cluster, constraint, bindings)
    action, done, already = _ACTIONS[command.verb]
    outcome = bindings.act(action, constraint, _reason(command))
    return _words(command, outcome, done, already)


def _prioritise(command: Command, cluster: int, constraint: str, bindings: Bindings) -> Answer:
    value = int(command.argument["priority"])
    if command.node is None:
        now = raise_run(cluster, value, constraint, bindings)
        done = f"priority {value} added to what the workflow gives them"
    else:
        now = set_node(command.run_priority, value, constraint, bindings)
        done = f"priority {value}"
    answer = _words(command, Outcome(len(now), 0, 0), done, "")
    return replace(answer, priorities=now)


def _words(command: Command, outcome: Outcome, done: str, already: str) -> Answer:
    if outcome.changed:
        jobs = "1 job" if outcome.changed == 1 else f"{outcome.changed} jobs"
        return Answer(CommandState.DONE, f"{_subject(command)}: {jobs} {done}.")
    if outcome.already:
        return Answer(CommandState.DONE, f"{_subject(command)}: already {already}.")
    if outcome.refused:
        return Answer(
            CommandState.FAILED,
            f"{_subject(command)}: {outcome.refused} jobs could not be {done}: "
            f"they are {already}, or belong to another user.",
        )
    return Answer(CommandState.FAILED, f"{_subject(command)} has no job in the queue.")


def _constraint(command: Command, cluster: int, bindings: Bindings) -> str:
    if command.node is not None:
        return f'DAGManJobId == {cluster} && DAGNodeName == "{command.node}"'
    return family_constraint(cluster, bindings)


def _subject(command: Command) -> str:
    if command.node is None:
        return f"Run {command.run_key} ({command.dataset})"
    return f"Node {command.node} of run {command.run_key} ({command.dataset})"


def _reason(command: Command) -> str:
    return f"{command.reason or command.verb.value} (by {command.requested_by or 'OWL'})"


def _because(command: Command) -> str:
    by = f" by {command.requested_by}" if command.requested_by else ""
    return f"{by}: {command.reason}" if command.reason else by
