"""``/alerts``: what is wrong now, and who takes care of it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from htcondor_operator.alerts.rules import RULES, SITE_RULES, Severity
from htcondor_operator.blackboard import alert_rows, alert_views
from htcondor_operator.console.access import Caller, OperatorDep, Permission, ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import (
    MOST_KEYS,
    Cursor,
    Item,
    Limit,
    Listed,
    Outcome,
    Write,
)
from htcondor_operator.vocabulary import OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as PgCursor

router = APIRouter(prefix="/alerts", tags=["alerts"])


class AlertState(StrEnum):
    """Which alerts."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


class AlertAction(StrEnum):
    """What can be done with alerts."""

    ACK = "ack"


class AlertWrite(Write):
    """Alerts to be acknowledged."""

    action: AlertAction
    ids: list[int] = Field(min_length=1, max_length=MOST_KEYS)


class AlertTotals(BaseModel):
    """For the badge."""

    open: int
    unacknowledged: int
    worst: Severity | None = Field(description="Of those that nobody has acknowledged.")
    severity: dict[Severity, int] = Field(description="How many are not acknowledged.")
    as_of: datetime


def _reader(who: Caller) -> alert_views.Reader:
    return alert_views.Reader(
        sorted(who.dags), sorted(SITE_RULES), [each.value for each in Severity]
    )


@router.get("")
def alerts(
    who: ReaderDep,
    state: AlertState = AlertState.OPEN,
    rule: Annotated[list[str], Query(description=f"Of {', '.join(RULES)}.")] = [],  # noqa: B006
    severity: Annotated[list[Severity], Query()] = [],  # noqa: B006 - FastAPI copies it
    id: Annotated[list[int] | None, Query(description="These, whatever their state.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Listed:
    """Return alerts: first the worst that nobody has acknowledged, at the end what is over."""
    chosen = alert_views.Filter(
        state=None if id or state is AlertState.ALL else state.value,
        rules=rule,
        severities=[each.value for each in severity],
        ids=id or (),
    )
    with connections.transaction() as cur:
        rows, following = alert_views.page(cur, _reader(who), chosen, cursor=cursor, limit=limit)
    return Listed(rows=rows, next=following, as_of=datetime.now(UTC))


@router.get("/totals")
def totals(who: ReaderDep) -> AlertTotals:
    """Return how many are open: cheap, for every page shows it."""
    with connections.transaction() as cur:
        return AlertTotals(**alert_views.totals(cur, _reader(who)), as_of=datetime.now(UTC))


@router.get("/{number}")
def alert(who: ReaderDep, number: int) -> dict[str, Any]:
    """Return an alert with its messages."""
    with connections.transaction() as cur:
        found = alert_views.get(cur, _reader(who), number)
    if found is None:
        raise HTTPException(404, {"kind": "not_found", "message": f"There is no alert {number}."})
    return found


@router.post("/actions")
def act(who: OperatorDep, wanted: AlertWrite) -> Outcome:
    """Acknowledge alerts: nothing more is sent of them before they are over."""
    items = []
    done = 0
    for number in dict.fromkeys(wanted.ids):
        item = _ack(number, wanted, who)
        done += item.why_not is None and not wanted.dry_run
        items.append(item)
    able = sum(item.why_not is None for item in items)
    would = "would be acknowledged" if wanted.dry_run else "acknowledged"
    return Outcome(summary=f"{able} of {len(items)} alerts {would}", items=items, done=done)


_WILL = "is acknowledged: nothing more is sent until it is over"


def _ack(number: int, wanted: AlertWrite, who: Caller) -> Item:
    with connections.transaction() as cur:
        found = alert_views.get(cur, _reader(who), number)
        name = found["title"] if found else f"alert {number}"
        why_not = _why_not(cur, found, who)
        if why_not is None and not wanted.dry_run:
            try:
                alert_rows.ack(cur, number, who=who.name, reason=wanted.reason or "")
            except OwlError as error:
                why_not = error.message
    return Item(key=number, name=name, will=_WILL, why_not=why_not)


def _why_not(cur: PgCursor, found: dict[str, Any] | None, who: Caller) -> str | None:
    if found is None or found["state"] != "open":
        return "It is not open (any more)."
    # It is silent for everybody then, so everything that it is about must be one's business.
    if not all(who.may(Permission.OPERATE, dag) for dag in alert_views.dags_of(cur, found["id"])):
        return "It is also about runs that you may not operate."
    if found["acked_at"] is not None:
        return f"{found['acked_by']} has acknowledged it: {found['ack_reason']}"
    return None
