"""What a rescue of a run would do, before anybody asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import rescues, runs
from htcondor_operator.dagman.attempt_plan import Action, AttemptPlan
from htcondor_operator.vocabulary import ErrorKind, NodeState, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# What a rescue is for when nobody names a node. Futile nodes follow from the failed ones.
_UNSUCCESSFUL = frozenset({NodeState.FAILED, NodeState.REMOVED, NodeState.UNKNOWN})


@dataclass(frozen=True)
class Preview:
    """A run and the decision about it.

    Parameters
    ----------
    plan
        None: nothing was rendered yet, so the whole run is launched again.
    """

    run: runs.Run
    nodes: Mapping[str, runs.NodeRow]
    plan: AttemptPlan | None

    @property
    def tasks(self) -> list[str] | None:
        """Task ids to clear; None: all of the run's."""
        if self.plan is None:
            return None
        return sorted(self.nodes[name].task_id for name in self.plan.cleared)

    @property
    def attempt(self) -> int:
        """Number of the attempt in which the nodes will run."""
        new = self.plan is None or self.plan.action is Action.NEW
        return self.run.attempt + 1 if new else self.run.attempt

    def in_order(self, names: frozenset[str]) -> list[str]:
        """Return nodes in the order in which they can run."""
        assert self.run.graph is not None
        return [name for name in self.run.graph.nodes if name in names]


def preview(cur: Cursor, run_key: int, start: str | None = None, *, lock: bool = True) -> Preview:
    """Decide what a rescue means now.

    Parameters
    ----------
    start
        The node to run again, with all that follow it; by default all that did not succeed.
    lock
        Keep it so until the transaction ends; False for one who only wants to know.

    Raises
    ------
    OwlError
        There is nothing to rescue, or no such node.
    """
    load = runs.lock_runs if lock else runs.look_at_runs
    run = load(cur, [run_key])[run_key]
    if run.graph is None:
        if run.attempt_state is None or not run.attempt_state.is_final:
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"{run.dataset} is being launched ({run.attempt_state or 'queued'}); wait for it.",
            )
        return Preview(run, {}, None)
    nodes = runs.load_nodes(cur, run_key, run.attempt)
    plan = rescues.plan(cur, run, nodes, _wanted(run, nodes, start))
    return Preview(run, nodes, plan)


def _wanted(run: runs.Run, nodes: Mapping[str, runs.NodeRow], start: str | None) -> set[str]:
    if start is not None:
        if start not in nodes:
            raise OwlError(
                ErrorKind.BAD_NAME,
                f"{run.dataset} has no node {start!r}; choose one of {', '.join(sorted(nodes))}.",
            )
        return {start}
    wanted = {name for name, row in nodes.items() if row.state in _UNSUCCESSFUL}
    if not wanted and run.attempt_state is not None and run.attempt_state.is_final:
        # DAGMan was stopped between two nodes: go on where it was.
        wanted = {name for name, row in nodes.items() if row.state is not NodeState.DONE}
    if not wanted:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"No node of {run.dataset} has failed (run {run.run_id}, attempt {run.attempt} is "
            f"{run.attempt_state}). Name the node to begin with to run it again all the same.",
        )
    return wanted
