"""``/pollers``: what they do, start and stop, and what is in quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import Field

from htcondor_operator.blackboard import arrival_rows, poller_rows
from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.console import dag_pauses, reasons
from htcondor_operator.console.access import Caller, ManagerDep, Permission, ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import MOST_KEYS, Item, Limit, Listed, Number, Outcome, Write
from htcondor_operator.queue.pollers import views
from htcondor_operator.queue.pollers.declarations import load_declarations
from htcondor_operator.queue.pollers.retry import discard
from htcondor_operator.queue.pollers.retry import retry as put_back
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState

router = APIRouter(prefix="/pollers", tags=["pollers"])


class PollerAction(StrEnum):
    """Start and stop."""

    START = "start"
    STOP = "stop"


class QuarantineAction(StrEnum):
    """Let a file be looked at again, or delete it."""

    RELEASE = "release"
    DELETE = "delete"


class PollerWrite(Write):
    """What a poller shall do."""

    action: PollerAction


class QuarantineWrite(Write):
    """What shall become of files in quarantine."""

    action: QuarantineAction
    ids: list[Number] = Field(min_length=1, max_length=MOST_KEYS)


@router.get("")
def pollers(who: ReaderDep) -> dict[str, Any]:
    """Return all pollers with their heartbeats, and what is wrong in their declarations."""
    declarations = load_declarations(Settings.from_environment().pollers)
    with connections.transaction() as cur:
        lines = views.overview(cur, declarations)
        for line in lines:
            line["paused"] = bool(line["dag_id"]) and poller_rows.is_paused(cur, line["dag_id"])
    shown = [line for line in lines if line["dag_id"] is None or line["dag_id"] in who.dags]
    return {
        "rows": shown,
        "errors": [error.message for error in declarations.errors],
        "as_of": datetime.now(UTC),
    }


@router.get("/arrivals")
def arrivals(
    who: ReaderDep,
    state: ArrivalState | None = None,
    poller: Annotated[str | None, Query(max_length=63)] = None,
    fileset: Annotated[str | None, Query(max_length=63)] = None,
    cursor: Annotated[int | None, Query(ge=1)] = None,
    limit: Limit = 100,
) -> Listed:
    """Return delivered files, the latest first; ``state=quarantined`` is the quarantine."""
    readable = _allowed(who, Permission.READ)
    with connections.transaction() as cur:
        rows = arrival_rows.list_arrivals(
            cur,
            state=state.value if state else None,
            poller=poller,
            pollers=readable,
            fileset=fileset,
            before=cursor,
            limit=limit,
        )
    following = str(rows[-1]["id"]) if len(rows) == limit else None
    return Listed(rows=rows, next=following, as_of=datetime.now(UTC))


@router.post("/quarantine/actions")
def quarantine(who: ManagerDep, wanted: QuarantineWrite) -> Outcome:
    """Put files back where they were delivered, or delete them; each by itself."""
    _demand(who, wanted.ids)
    readable = _allowed(who, Permission.READ)
    items = []
    done = 0
    for number in dict.fromkeys(wanted.ids):
        item = _file(number, wanted, who.name, readable)
        done += item.why_not is None and not wanted.dry_run
        items.append(item)
    able = sum(item.why_not is None for item in items)
    return Outcome(summary=f"{wanted.action}: {able} of {len(items)} files", items=items, done=done)


@router.post("/{name}/actions")
def act(who: ManagerDep, name: str, wanted: PollerWrite) -> Outcome:
    """Start or stop a poller: its DAG is unpaused or paused."""
    declarations = load_declarations(Settings.from_environment().pollers)
    known = {d.name: d for d in declarations.pollers}
    if name not in known:
        message = f"poller {name!r} is not declared; there are {', '.join(sorted(known))}."
        raise HTTPException(404, {"kind": "not_found", "message": message})
    dag_id = known[name].dag_id
    who.demand(Permission.MANAGE, [dag_id])
    stop = wanted.action is PollerAction.STOP
    with connections.transaction() as cur:
        same = poller_rows.is_paused(cur, dag_id) is stop
        if not wanted.dry_run and not same:
            audit(cur, who=who.name, subject=f"poller {name}", action=str(wanted.action),
                  reason=wanted.reason)  # fmt: skip
            # Airflow's session is another one: when it fails nothing is said to be done.
            dag_pauses.pause(dag_id, paused=stop, by=who.name)
    will = "looks no more, after the round that is under way" if stop else "looks again"
    why_not = f"It is {'stopped' if stop else 'at work'} already." if same else None
    item = Item(key=name, name=name, will=will, why_not=why_not)
    done = int(not same and not wanted.dry_run)
    return Outcome(summary=f"{name} {will}", items=[item], done=done)


def _dags() -> dict[str, str]:
    """Return the DAG of each declared poller."""
    declarations = load_declarations(Settings.from_environment().pollers)
    return {each.name: each.dag_id for each in declarations.pollers}


def _allowed(who: Caller, permission: Permission) -> list[str] | None:
    """Return the pollers for which somebody has a permission; None: all, undeclared ones too."""
    if who.may(permission, None):
        return None
    return sorted(name for name, dag_id in _dags().items() if who.may(permission, dag_id))


def _demand(who: Caller, ids: Sequence[int]) -> None:
    """Raise 403 if a file is of a poller that the caller may read, but not manage."""
    readable = _allowed(who, Permission.READ)
    with connections.transaction() as cur:
        names = arrival_rows.pollers_of(cur, ids)
    dags = _dags()
    shown = [name for name in names if readable is None or name in readable]
    who.demand(Permission.MANAGE, {dags.get(name) for name in shown})


def _file(number: int, wanted: QuarantineWrite, who: str, readable: list[str] | None) -> Item:
    release = wanted.action is QuarantineAction.RELEASE
    will = "goes back to where it was delivered" if release else "is deleted for good"
    try:
        with connections.transaction() as cur:
            row = arrival_rows.get(cur, number)
            if row is not None and readable is not None and row.poller not in readable:
                row = None
            name = row.name if row else str(number)
            if row is None or row.state is not ArrivalState.QUARANTINED:
                why = "It is not in quarantine (any more)."
                return Item(key=number, name=name, will="", why_not=why)
            if wanted.dry_run:
                return Item(key=number, name=name, will=will)
            # Before the file is touched, which no rollback undoes.
            audit(cur, who=who, subject=f"arrival {number}", action=str(wanted.action),
                  before={"name": name}, reason=wanted.reason)  # fmt: skip
            if release:
                put_back(cur, number, who=who)
            else:
                discard(cur, number, who=who, reason=wanted.reason)
    except Exception as error:
        why = reasons.why_not(error, f"{wanted.action} of arrival {number}")
        return Item(key=number, name=str(number), will="", why_not=why)
    return Item(key=number, name=name, will=will)
