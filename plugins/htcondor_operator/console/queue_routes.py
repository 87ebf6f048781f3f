"""``/queue`` and ``/history``: what waits, and what became of what waited."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from htcondor_operator.blackboard import queue_changes, queue_views
from htcondor_operator.blackboard.queue_changes import Chosen, Order
from htcondor_operator.blackboard.queue_filters import Filter, Page, Pattern
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.console.access import Permission, ReaderDep, RequesterDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import (
    MOST_KEYS,
    Cursor,
    Item,
    Limit,
    Listed,
    Number,
    Outcome,
    Write,
)
from htcondor_operator.vocabulary import EntryOutcome, EntryState, ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as PgCursor

router = APIRouter(tags=["queue"])


class QueueAction(StrEnum):
    """What can be done with entries."""

    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"
    PRIORITY = "priority"


class Actions(Write):
    """What is to be done with which entries."""

    action: QueueAction
    ids: list[Number] = Field(min_length=1, max_length=MOST_KEYS)
    priority: int | None = Field(None, ge=-10_000, le=10_000)


def _chosen(
    type: Annotated[str | None, Query(max_length=63)] = None,
    campaign: Annotated[str | None, Query(max_length=100)] = None,
    fileset: Annotated[str | None, Query(max_length=63, description="A name, * and ?.")] = None,
    priority: int | None = None,
) -> Filter:
    pattern = Pattern(fileset) if fileset else None
    return Filter(type=type, campaign=campaign, fileset=pattern, priority=priority)


FilterDep = Annotated[Filter, Depends(_chosen)]


@router.get("/queue")
def queue(
    who: ReaderDep,
    chosen: FilterDep,
    state: EntryState | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Listed:
    """Return a page of the queue, the best first (by name when a name or campaign is asked for)."""
    with connections.transaction() as cur:
        wanted = _with_state(chosen, state)
        return _listed(queue_views.list_entries(cur, wanted, limit=limit, after=cursor), who.dags)


@router.get("/history")
def history(
    who: ReaderDep,
    chosen: FilterDep,
    outcome: EntryOutcome | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Listed:
    """Return a page of what has left the queue, the latest first."""
    with connections.transaction() as cur:
        wanted = _with_state(chosen, outcome)
        return _listed(queue_views.list_history(cur, wanted, limit=limit, after=cursor), who.dags)


@router.get("/queue/totals")
def totals(who: ReaderDep) -> dict[str, Any]:
    """Return the numbers of entries by priority and type."""
    with connections.transaction() as cur:
        rows = queue_views.status(cur)
    return {"rows": [row for row in rows if _visible(row["type"], who.dags)]}


@router.post("/queue/actions")
def act(who: RequesterDep, wanted: Actions) -> Outcome:
    """Hold, release or remove entries, or change their priority; each is told by itself."""
    if (wanted.action is QueueAction.PRIORITY) != (wanted.priority is not None):
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"priority = {wanted.priority} does not fit the action {wanted.action}.",
        )
    with connections.transaction() as cur:
        entries = [e for e in _entries(cur, wanted.ids) if _visible(e["type"], who.dags)]
        # Informational entries are not of a DAG: they are for those who may request of every one.
        for kind in sorted({e["type"] for e in entries}):
            who.demand(Permission.REQUEST, [kind if kind in who.dags else None])
        items = [_one(cur, e, wanted, Order(who.name, wanted.reason)) for e in entries]
    found = {e["id"] for e in entries}
    items += [
        Item(key=number, name=str(number), will="", why_not="It has left the queue.")
        for number in wanted.ids
        if number not in found
    ]
    able = sum(item.why_not is None for item in items)
    return Outcome(
        summary=f"{wanted.action}: {able} of {len(items)} entries",
        items=items,
        done=0 if wanted.dry_run else able,
    )


def _one(cur: PgCursor, entry: dict[str, Any], wanted: Actions, order: Order) -> Item:
    """Change one entry, or find out whether that is possible: a dry run is undone."""
    one = Chosen(filesets=(entry["fileset"],), type=entry["type"])
    words = {
        QueueAction.HOLD: "held until it is released",
        QueueAction.RELEASE: "released",
        QueueAction.REMOVE: "taken out of the queue",
        QueueAction.PRIORITY: f"priority {entry['priority']} becomes {wanted.priority}",
    }
    cur.execute("SAVEPOINT one")
    if wanted.action is QueueAction.PRIORITY:
        assert wanted.priority is not None
        done = queue_changes.set_priority(cur, one, wanted.priority, order)
    else:
        done = getattr(queue_changes, wanted.action.value)(cur, one, order)
    if wanted.dry_run:
        cur.execute("ROLLBACK TO SAVEPOINT one")
    why_not = None if done.changed else f"It is {entry['state']}: that changes nothing."
    name = f"{entry['fileset']} {entry['type']}"
    return Item(key=entry["id"], name=name, will=words[wanted.action], why_not=why_not)


def _entries(cur: PgCursor, ids: list[int]) -> list[dict[str, Any]]:
    cur.execute(
        "SELECT id, fileset, type, priority, state FROM owl_queue WHERE id = ANY(%(ids)s) "
        "ORDER BY fileset, type",
        {"ids": ids},
    )
    return named_rows(cur)


def _with_state(chosen: Filter, state: EntryState | EntryOutcome | None) -> Filter:
    return Filter(**{**vars(chosen), "state": None if state is None else str(state)})


def _visible(kind: str, dags: frozenset[str]) -> bool:
    """Whether entries of a type are shown: those of readable DAGs, and informational ones."""
    return kind in dags or kind.startswith(("awaiting_", "collecting_"))


def _listed(page: Page, dags: frozenset[str]) -> Listed:
    rows = [row for row in page.rows if _visible(row["type"], dags)]
    return Listed(rows=rows, next=page.next, as_of=datetime.now(UTC))
