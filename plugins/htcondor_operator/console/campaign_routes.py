"""``/campaigns``: how far they are, and pause, resume, cancel, retry, approve, reject."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import Field

from htcondor_operator.blackboard import campaign_lists, campaign_rows, campaign_truth
from htcondor_operator.blackboard.campaign_truth import Counts
from htcondor_operator.console import campaign_acts
from htcondor_operator.console.access import Caller, Permission, ReaderDep, RequesterDep
from htcondor_operator.console.campaign_acts import Asked, CampaignAction
from htcondor_operator.console.campaign_counts import CampaignCounts
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import Cursor, Item, Limit, Listed, Outcome, Write
from htcondor_operator.queue.campaigns import text as campaign_text
from htcondor_operator.queue.campaigns.failure_kinds import count_kinds
from htcondor_operator.vocabulary import CampaignState, InvalidName, MemberState, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as PgCursor

router = APIRouter(prefix="/campaigns", tags=["campaigns"])

_counts = CampaignCounts()


class CampaignWrite(Write):
    """What is to be done."""

    action: CampaignAction
    running: bool = Field(False, description="Cancel: also remove what runs.")
    priority: int | None = Field(None, ge=-10_000, le=10_000)
    after: str | None = Field(None, max_length=400, description="The `next` of the part before.")


@router.get("")
def campaigns(
    who: ReaderDep,
    state: CampaignState | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Listed:
    """Return a page of campaigns with their numbers, the newest first."""
    with connections.transaction() as cur:
        page = campaign_lists.page(
            cur, sorted(who.dags), state=state, after=cursor, limit=limit, known=_counts.known()
        )
    _counts.keep({r["name"]: Counts(r["open"], r["done"], r["failed"]) for r in page.rows})
    return Listed(rows=page.rows, next=page.next, as_of=datetime.now(UTC))


@router.get("/{name}")
def campaign(who: ReaderDep, name: str) -> dict[str, Any]:
    """Return how far a campaign is: counts, rate, time to go, failures by kind."""
    with connections.transaction() as cur:
        found = _readable(cur, name, who)
        progress = campaign_truth.progress(cur, name)
        failed = campaign_lists.failures(cur, name)
    kinds = [(str(kind), n, one) for kind, n, one in count_kinds(failed)]
    return campaign_text.report(found, progress, kinds)


@router.get("/{name}/members")
def members(
    who: ReaderDep,
    name: str,
    state: Annotated[list[MemberState], Query()] = [],  # noqa: B006 - FastAPI copies it
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> Listed:
    """Return a page of a campaign's datasets."""
    with connections.transaction() as cur:
        _readable(cur, name, who)
        page = campaign_lists.members_page(cur, name, states=state, after=cursor, limit=limit)
    return Listed(rows=page.rows, next=page.next, as_of=datetime.now(UTC))


def _readable(cur: PgCursor, name: str, who: Caller) -> campaign_rows.Campaign:
    try:
        found = campaign_rows.find_campaign(cur, name)
    except InvalidName:
        found = None
    if found is None or found.type not in who.dags:
        message = f"There is no campaign {name!r}. Look for it in the list of campaigns."
        raise HTTPException(404, {"kind": "not_found", "message": message})
    return found


@router.post("/{name}/actions")
def act(who: RequesterDep, name: str, wanted: CampaignWrite) -> Outcome:
    """Do it with a campaign, or say what it would do.

    What Airflow has to do for each run (rescues, ends) is done in parts: while the answer has a
    `next`, the rest is asked for with it.
    """
    with connections.transaction() as cur:
        found = _readable(cur, name, who)
    who.demand(Permission.REQUEST, [found.type])
    if wanted.action is CampaignAction.RETRY or wanted.running:
        # As for the runs themselves.
        who.demand(Permission.OPERATE, [found.type])
    asked = Asked(
        wanted.action, who.name, wanted.reason, wanted.running, wanted.priority, wanted.after
    )
    try:
        return campaign_acts.perform(connections, found.name, asked, dry_run=wanted.dry_run)
    except OwlError as error:
        item = Item(key=name, name=name, will="", why_not=error.message)
        return Outcome(summary=error.message, items=[item], done=0)
    finally:
        _counts.forget(name)
