"""A rescue of one failed run for operators, campaigns and policies: decided, done and audited.

All of it is one transaction: there is no clear without its line in ``owl_audit``, and two who ask
at once get one attempt, the second one hearing that it is on its way.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.rescue_preview import Preview, preview
from htcondor_operator.executors.operator_clear import locked, waiting_tasks
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection
    from psycopg2.extensions import cursor as Cursor

    from htcondor_operator.blackboard.campaign_truth import FailedMember
    from htcondor_operator.executors.operator_clear import LockedRun

TRIES = 6
_PAUSE_SECONDS = 0.1
_BUSY = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)
_GOING_ON = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Order:
    """Who asks for a rescue, why, and from which node on (None: all that did not succeed)."""

    by: str
    reason: str | None = None
    start: str | None = None
    action: str = "rescue"


def rescue_run(dag_id: str, run_id: str, run_key: int | None, order: Order) -> Preview | None:
    """Rescue a run; return what was decided, None for one that was never launched.

    Raises
    ------
    OwlError
        There is nothing to rescue, it is being rescued already, or others hold the run.
    """
    for _ in range(TRIES):
        try:
            with locked(dag_id, run_id) as run:
                return _rescue(run, run_key, order)
        except Exception as error:
            if not isinstance(getattr(error, "orig", error), _BUSY):
                raise
        time.sleep(_PAUSE_SECONDS)
    raise OwlError(
        ErrorKind.BAD_CONF,
        "The scheduler is at work on this run. Nothing was changed; try again in a moment.",
    )


def look(cur: Cursor, run_key: int, start: str | None = None) -> Preview:
    """Decide what a rescue means now.

    Raises
    ------
    OwlError
        There is nothing to rescue, or it is being rescued already.
    """
    return _decide(cur, run_key, start, lock=False)[0]


def _decide(
    cur: Cursor, run_key: int, start: str | None, *, lock: bool = True
) -> tuple[Preview, list[str] | None]:
    """Return the decision and the tasks that are still to be cleared (None: all)."""
    found = preview(cur, run_key, start, lock=lock)
    waiting = waiting_tasks(cur, found.run.dag_id, found.run.run_id)
    if found.tasks is None:
        if waiting:
            raise _under_way()
        return found, None
    tasks = [task for task in found.tasks if task not in waiting]
    if not tasks:
        raise _under_way()
    return found, tasks


def _under_way() -> OwlError:
    return OwlError(
        ErrorKind.BAD_CONF, "It is being rescued already; the scheduler has yet to take it up."
    )


def _rescue(run: LockedRun, run_key: int | None, order: Order) -> Preview | None:
    found, tasks = None, None
    if run_key is not None:
        found, tasks = _decide(run.cursor, run_key, order.start)
    elif run.state in _GOING_ON:
        raise _under_way()
    audit(
        run.cursor,
        who=order.by,
        subject=f"run {run_key}" if run_key is not None else f"dag run {run.dag_id} {run.run_id}",
        action=order.action,
        before=None if found is None else {"attempt": found.run.attempt},
        after={"attempt": 1 if found is None else found.attempt, "tasks": tasks},
        reason=order.reason,
    )
    run.clear(tasks, by=order.by, reason=order.reason)
    return found


def rescue(
    connection: PgConnection,
    run: FailedMember,
    *,
    by: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> str | None:
    """Ask for a failed run's rescue; return why it cannot be, or None.

    Parameters
    ----------
    connection
        Not in autocommit: the look at the run is a transaction of its own.
    run
        A run that has failed; one that was never launched is launched again.
    """
    try:
        if not dry_run:
            rescue_run(run.dag_id, run.run_id, run.run_key, Order(by, reason))
        elif run.run_key is not None:
            with connection, connection.cursor() as cursor:
                look(cursor, run.run_key)
    except OwlError as error:
        return error.message
    return None
