"""Hold, release, remove and re-prioritise a run or one of its nodes."""

from __future__ import annotations

from dataclasses import dataclass

from htcondor_operator.blackboard.run_commands import Command
from htcondor_operator.condor.bindings import Bindings, BindingsError, Outcome
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
    if command.attempt_state in {AttemptState.WANTED, AttemptState.CLEARING}:
        return _before_submission(command)
    if command.attempt_state is AttemptState.SUBMITTING:
        return Answer(CommandState.WANTED, "The run is being submitted; OWL tries again.")
    if command.cluster is None:
        return Answer(CommandState.FAILED, f"{_subject(command)} has no job in HTCondor.")
    try:
        return _in_queue(command, command.cluster, bindings)
    except BindingsError as error:
        return Answer(CommandState.FAILED, f"HTCondor refused: {error}")


def _before_submission(command: Command) -> Answer:
    if command.node is None and command.verb is CommandVerb.REMOVE:
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
        value = int(command.argument["priority"])
        changed = bindings.edit(constraint, "JobPrio", str(value))
        outcome, done = Outcome(changed, 0, 0), f"priority {value}"
        already = ""
    else:
        action, done, already = _ACTIONS[command.verb]
        outcome = bindings.act(action, constraint, _reason(command))
    return _words(command, outcome, done, already)


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
    clusters = " || ".join(f"DAGManJobId == {c}" for c in family(cluster, bindings))
    return f"ClusterId == {cluster} || {clusters}"


def family(cluster: int, bindings: Bindings) -> list[int]:
    """Return the clusters of a DAGMan and of all DAGMans below it (SUBDAG nodes)."""
    found, new = [cluster], [cluster]
    while new:
        below = " || ".join(f"DAGManJobId == {c}" for c in new)
        ads = bindings.query(f"JobUniverse == 7 && ({below})", ["ClusterId"])
        new = [int(ad["ClusterId"]) for ad in ads if ad["ClusterId"] not in found]
        found += new
    return found


def _subject(command: Command) -> str:
    if command.node is None:
        return f"Run {command.run_key} ({command.dataset})"
    return f"Node {command.node} of run {command.run_key} ({command.dataset})"


def _reason(command: Command) -> str:
    return f"{command.reason or command.verb.value} (by {command.requested_by or 'OWL'})"


def _because(command: Command) -> str:
    by = f" by {command.requested_by}" if command.requested_by else ""
    return f"{by}: {command.reason}" if command.reason else by
