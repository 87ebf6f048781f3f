"""Asks for a rescue: from a decision about a run to the rows that the gateway works off."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import runs
from htcondor_operator.blackboard.rows import the_row
from htcondor_operator.dagman.attempt_plan import Action, AttemptPlan, decide
from htcondor_operator.vocabulary import Source

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def planned_clears(cur: Cursor, run: runs.Run) -> set[str]:
    """Return the nodes that the latest attempt was asked for, while it can still be widened."""
    if run.attempt_state not in runs.UNCLAIMED_STATES:
        return set()
    cur.execute(
        "SELECT cleared_nodes FROM owl_attempt WHERE run_key = %(run)s AND attempt = %(attempt)s",
        {"run": run.run_key, "attempt": run.attempt},
    )
    return set(the_row(cur)[0])


def plan(
    cur: Cursor,
    run: runs.Run,
    nodes: Mapping[str, runs.NodeRow],
    cleared: Collection[str],
    marked: Collection[str] = (),
) -> AttemptPlan:
    """Decide what `cleared` and `marked` nodes ask of a run that has been rendered."""
    assert run.graph is not None
    assert run.attempt_state is not None
    return decide(
        run.graph,
        run.attempt_state,
        {name: row.state for name, row in nodes.items()},
        planned_clears(cur, run) | set(cleared),
        marked_done=marked,
        spared=[name for name, row in nodes.items() if row.spared],
    )


def write(
    cur: Cursor,
    run: runs.Run,
    decision: AttemptPlan,
    nodes: Mapping[str, runs.NodeRow],
    *,
    identities: Mapping[str, str],
    marked: Collection[str] = (),
    by: str | None = None,
    reason: str | None = None,
) -> int:
    """Write the attempt that a decision asks for; return its number.

    Parameters
    ----------
    identities
        Task instance that shows each node (nodes without one are left out).
    by, reason
        Who asked, and how: kept in the attempt's row.
    """
    if decision.action is Action.WIDEN:
        attempt = run.attempt
        runs.fold_into_attempt(
            cur,
            run.run_key,
            attempt,
            kind=decision.kind,
            cleared=decision.cleared,
            done=decision.done,
        )
    else:
        attempt = runs.request_attempt(
            cur,
            run.run_key,
            kind=decision.kind,
            cleared=decision.cleared,
            done=decision.done,
            by=by,
            reason=reason,
        )
    mark = f"marked as successful by {by or 'an operator'}"
    rows = [
        runs.PlannedNode(
            node=name,
            task_id=row.task_id,
            carried_from=(row.carried_from or run.attempt) if name in decision.done else None,
            spared=name in decision.spared,
            ti_id=None if name in decision.spared else identities.get(name),
            retries=row.retries,
            reason=mark if name in marked else None,
            source=Source.OPERATOR if name in marked else Source.PLAN,
        )
        for name, row in nodes.items()
    ]
    runs.write_plan(cur, run.run_key, attempt, rows)
    return attempt


def rebind(cur: Cursor, run: runs.Run, identities: Mapping[str, str]) -> None:
    """Bind nodes of the latest attempt to the task instances that show them from now on."""
    for node, ti_id in identities.items():
        cur.execute(
            """
            UPDATE owl_node SET ti_id = %(ti)s::uuid, updated_at = now()
            WHERE run_key = %(run)s AND attempt = %(attempt)s AND node = %(node)s
            """,
            {"ti": ti_id, "run": run.run_key, "attempt": run.attempt, "node": node},
        )
