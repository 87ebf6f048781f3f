"""``/alerts``: what is wrong now, and who takes care of it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import Field

from htcondor_operator.blackboard import alert_rows
from htcondor_operator.console.access import OperatorDep, ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import MOST_KEYS, Item, Limit, Listed, Outcome, Write
from htcondor_operator.vocabulary import OwlError

router = APIRouter(prefix="/alerts", tags=["alerts"])


class AlertState(StrEnum):
    """Which alerts."""

    OPEN = "open"
    CLOSED = "closed"


class AlertAction(StrEnum):
    """What can be done with alerts."""

    ACK = "ack"


class AlertWrite(Write):
    """Alerts to be acknowledged."""

    action: AlertAction
    ids: list[int] = Field(min_length=1, max_length=MOST_KEYS)


@router.get("")
def alerts(
    who: ReaderDep,
    state: AlertState | None = AlertState.OPEN,
    cursor: Annotated[int | None, Query(ge=1)] = None,
    limit: Limit = 100,
) -> Listed:
    """Return alerts, the latest first."""
    with connections.transaction() as cur:
        rows = alert_rows.list_alerts(
            cur, state=state.value if state else None, before=cursor, limit=limit
        )
    following = str(rows[-1]["id"]) if len(rows) == limit else None
    return Listed(rows=rows, next=following, as_of=datetime.now(UTC))


@router.get("/{number}")
def alert(who: ReaderDep, number: int) -> dict[str, Any]:
    """Return an alert with its messages."""
    with connections.transaction() as cur:
        found = alert_rows.get(cur, number)
    if found is None:
        raise HTTPException(404, {"kind": "not_found", "message": f"There is no alert {number}."})
    return found


@router.post("/actions")
def act(who: OperatorDep, wanted: AlertWrite) -> Outcome:
    """Acknowledge alerts: nothing more is sent of them before they are over."""
    items = []
    done = 0
    for number in dict.fromkeys(wanted.ids):
        item = _ack(number, wanted, who.name)
        done += item.why_not is None and not wanted.dry_run
        items.append(item)
    able = sum(item.why_not is None for item in items)
    return Outcome(summary=f"ack: {able} of {len(items)} alerts", items=items, done=done)


def _ack(number: int, wanted: AlertWrite, who: str) -> Item:
    try:
        with connections.transaction() as cur:
            found = alert_rows.get(cur, number)
            name = found["title"] if found else str(number)
            if wanted.dry_run:
                is_open = found is not None and found["state"] == "open"
                why_not = None if is_open else "It is not open (any more)."
                return Item(key=number, name=name, will="is silent until over", why_not=why_not)
            alert_rows.ack(cur, number, who=who, reason=wanted.reason or "")
    except OwlError as error:
        return Item(key=number, name=str(number), will="", why_not=error.message)
    return Item(key=number, name=name, will="is silent until over")
