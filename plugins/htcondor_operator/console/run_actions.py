"""What an operator does with runs, first as a preview and then for real.

Each run is a transaction of its own: what cannot be done with one does not keep the others back,
and the answer says which and why. Rescues go through Airflow's own clear, everything else through
the gateway's commands, as ``owl rescue`` and ``owl run`` do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.rescue_preview import Preview
from htcondor_operator.blackboard.run_commands import insert_command
from htcondor_operator.console import command_checks, reasons
from htcondor_operator.console.models import Item, Outcome
from htcondor_operator.dagman.attempt_plan import Action
from htcondor_operator.executors.operator_rescue import Order, look, rescue_run
from htcondor_operator.vocabulary import (
    CommandVerb,
    ErrorKind,
    OwlError,
    RunState,
    node_name,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from htcondor_operator.console.database import Connections


class RunAction(StrEnum):
    """What can be done with a run."""

    RESCUE = "rescue"
    RETRY_FROM = "retry_from"
    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"
    PRIORITY = "priority"


_CLEARS = frozenset({RunAction.RESCUE, RunAction.RETRY_FROM})
_WORDS = {
    RunAction.HOLD: "its jobs are held",
    RunAction.RELEASE: "its held jobs are released",
    RunAction.REMOVE: "it is removed from HTCondor",
}


@dataclass(frozen=True)
class Asked:
    """What somebody wants.

    Parameters
    ----------
    dags
        What the caller may read: other runs are answered like runs that are not there.
    """

    action: RunAction
    node: str | None
    priority: int | None
    reason: str | None
    who: str
    dags: Collection[str]

    def check(self) -> None:
        """Raise OwlError when a field is missing or does not fit the action."""
        if self.node is not None:
            node_name(self.node)
        if self.action is RunAction.RETRY_FROM and self.node is None:
            raise OwlError(ErrorKind.BAD_CONF, "node is missing: retry from which node?")
        if (self.action is RunAction.PRIORITY) != (self.priority is not None):
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"priority = {self.priority} does not fit the action {self.action}.",
            )


@dataclass(frozen=True)
class _Target:
    run_key: int
    dag_id: str
    run_id: str
    dataset: str
    state: RunState


def _targets(cur: Cursor, run_keys: Collection[int]) -> dict[int, _Target]:
    cur.execute(
        "SELECT run_key, dag_id, run_id, dataset, state FROM owl_run WHERE run_key = ANY(%(keys)s)",
        {"keys": list(run_keys)},
    )
    return {
        key: _Target(key, dag_id, run_id, dataset, RunState(state))
        for key, dag_id, run_id, dataset, state in cur.fetchall()
    }


def dags_of(cur: Cursor, run_keys: Collection[int]) -> set[str]:
    """Return the DAGs of runs; a key without a run is told later, by its item."""
    return {target.dag_id for target in _targets(cur, run_keys).values()}


def perform(
    connections: Connections, run_keys: Sequence[int], asked: Asked, *, dry_run: bool
) -> Outcome:
    """Do it, or say what would be done, run by run."""
    with connections.transaction() as cur:
        targets = _targets(cur, run_keys)
    items = [
        _one(connections, targets[key], asked, dry_run=dry_run)
        if key in targets and targets[key].dag_id in asked.dags
        else Item(key=key, name=str(key), will="", why_not="There is no such run.")
        for key in dict.fromkeys(run_keys)
    ]
    able = sum(item.why_not is None for item in items)
    verb = "would be changed" if dry_run else "asked for"
    summary = f"{asked.action}: {able} of {len(items)} runs {verb}"
    return Outcome(summary=summary, items=items, done=0 if dry_run else able)


def _one(connections: Connections, target: _Target, asked: Asked, *, dry_run: bool) -> Item:
    will = ""
    why_not = None
    try:
        if asked.action in _CLEARS:
            will = _clear(connections, target, asked, dry_run=dry_run)
        else:
            with connections.transaction() as cur:
                will = _command(cur, target, asked, dry_run=dry_run)
    except Exception as error:
        why_not = reasons.why_not(error, f"{asked.action} of run {target.run_key}")
    return Item(key=target.run_key, name=target.dataset, will=will, why_not=why_not)


def _clear(connections: Connections, target: _Target, asked: Asked, *, dry_run: bool) -> str:
    start = asked.node if asked.action is RunAction.RETRY_FROM else None
    if dry_run:
        with connections.transaction() as cur:
            return rescue_words(look(cur, target.run_key, start))
    order = Order(asked.who, asked.reason, start, str(asked.action))
    return rescue_words(rescue_run(target.dag_id, target.run_id, target.run_key, order))


def rescue_words(found: Preview | None) -> str:
    """Say what a rescue does."""
    plan = found.plan if found else None
    if found is None or plan is None:
        return "launched again: nothing was submitted yet"
    parts = [f"attempt {found.attempt}: runs again {', '.join(found.in_order(plan.rerun))}"]
    if plan.done:
        parts.append(f"kept as done: {', '.join(found.in_order(plan.done))}")
    if plan.action is Action.ATTACH:
        parts.append("the attempt in the queue runs them anyway")
    return "; ".join(parts)


def _priority_words(asked: Asked) -> str:
    if asked.node:
        return (
            f"the job of node {asked.node} gets priority {asked.priority}; if DAGMan tries the "
            "node again, the new job has the run's and the workflow's priority"
        )
    return (
        f"the run's priority becomes {asked.priority}: each job has it on top of its node's own; "
        "jobs of later nodes get it a few seconds after DAGMan has submitted them"
    )


def _command(cur: Cursor, target: _Target, asked: Asked, *, dry_run: bool) -> str:
    verb = CommandVerb(asked.action.value)
    target = _targets(cur, [target.run_key])[target.run_key]
    refusal = command_checks.why_not(command_checks.look(cur, target.run_key), verb, asked.node)
    if refusal is not None:
        raise OwlError(ErrorKind.BAD_CONF, f"{target.dataset}: {refusal}")
    where = f" (node {asked.node})" if asked.node else ""
    will = _priority_words(asked) if asked.priority is not None else _WORDS[asked.action] + where
    if not dry_run:
        insert_command(
            cur, verb=verb, run_key=target.run_key, node=asked.node,
            argument={"priority": asked.priority} if asked.priority is not None else None,
            requested_by=asked.who, reason=asked.reason,
        )  # fmt: skip
        audit(
            cur, who=asked.who, subject=f"run {target.run_key}", action=str(asked.action),
            before={"state": str(target.state)},
            after={"node": asked.node, "priority": asked.priority}, reason=asked.reason,
        )  # fmt: skip
    return will
