"""``/campaigns``: how far they are, and pause, resume, cancel, retry, approve, reject."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query
from pydantic import Field

from htcondor_operator.blackboard import campaign_rows, campaign_truth
from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.campaign_truth import Counts
from htcondor_operator.console.access import Permission, ReaderDep, RequesterDep
from htcondor_operator.console.campaign_counts import CampaignCounts
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import Item, Outcome, Write
from htcondor_operator.executors import operator_rescue, operator_stop
from htcondor_operator.queue.campaigns import acts
from htcondor_operator.queue.campaigns import text as campaign_text
from htcondor_operator.queue.campaigns.failure_kinds import count_kinds
from htcondor_operator.queue.campaigns.proposals import withdraw_question
from htcondor_operator.vocabulary import CampaignState, ErrorKind, MemberState, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as PgCursor

router = APIRouter(prefix="/campaigns", tags=["campaigns"])

_counts = CampaignCounts()


class CampaignAction(StrEnum):
    """What can be done with a campaign."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    APPROVE = "approve"
    REJECT = "reject"
    PRIORITY = "priority"


class CampaignWrite(Write):
    """What is to be done."""

    action: CampaignAction
    running: bool = Field(False, description="Cancel: also remove what runs.")
    priority: int | None = Field(None, ge=-10_000, le=10_000)


@router.get("")
def campaigns(
    who: ReaderDep,
    state: CampaignState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Return campaigns with their numbers, the newest first."""
    with connections.transaction() as cur:
        rows = campaign_truth.overview(
            cur, state=str(state) if state else None, limit=limit, known=_counts.known()
        )
    _counts.keep({r["name"]: Counts(r["open"], r["done"], r["failed"]) for r in rows})
    return {"rows": [r for r in rows if r["type"] in who.dags], "as_of": datetime.now(UTC)}


@router.get("/{name}")
def campaign(who: ReaderDep, name: str) -> dict[str, Any]:
    """Return how far a campaign is: counts, rate, time to go, failures by kind."""
    with connections.transaction() as cur:
        found = _readable(cur, name, who.dags)
        progress = campaign_truth.progress(cur, name)
        failed = campaign_truth.failed_members(cur, name)
    kinds = [(str(kind), n, one) for kind, n, one in count_kinds(failed)]
    return campaign_text.report(found, progress, kinds)


@router.get("/{name}/members")
def members(
    who: ReaderDep,
    name: str,
    state: Annotated[list[MemberState], Query()] = [],  # noqa: B006 - FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> dict[str, Any]:
    """Return a campaign's datasets."""
    with connections.transaction() as cur:
        _readable(cur, name, who.dags)
        rows = campaign_truth.members(cur, name, states=tuple(state), limit=limit)
    return {"rows": rows}


def _readable(cur: PgCursor, name: str, dags: frozenset[str]) -> campaign_rows.Campaign:
    found = campaign_rows.the_campaign(cur, name)
    if found.type not in dags:
        raise OwlError(ErrorKind.BAD_NAME, f"campaign {name!r} is not there.")
    return found


@router.post("/{name}/actions")
def act(who: RequesterDep, name: str, wanted: CampaignWrite, later: BackgroundTasks) -> Outcome:
    """Do it with a campaign, or say what it would do.

    What Airflow has to do for each run (rescues, ends) goes on after the answer; asked for again,
    it takes up what is left.
    """
    with connections.transaction() as cur:
        found = _readable(cur, name, who.dags)
    who.demand(Permission.REQUEST, [found.type])
    try:
        will = _do(name, wanted, who.name, later)
    except _Undone as undone:
        will = undone.will
    except OwlError as error:
        item = Item(key=name, name=name, will="", why_not=error.message)
        return Outcome(summary=error.message, items=[item], done=0)
    _counts.forget(name)
    later.add_task(_counts.forget, name)
    item = Item(key=name, name=name, will=will)
    return Outcome(summary=f"{name}: {will}", items=[item], done=int(not wanted.dry_run))


class _Undone(Exception):
    """A dry run: its transaction is rolled back."""

    def __init__(self, will: str) -> None:
        super().__init__(will)
        self.will = will


def _do(name: str, wanted: CampaignWrite, who: str, later: BackgroundTasks) -> str:
    """Do it in a transaction; a dry run does the same and is rolled back."""
    by, reason = who, wanted.reason
    after: Callable[[], None] = lambda: None  # noqa: E731
    with connections.transaction() as cur:
        match wanted.action:
            case CampaignAction.PAUSE:
                will = f"{acts.pause(cur, name, by=by, reason=reason)} entries wait; runs go on"
            case CampaignAction.RESUME:
                will = f"{acts.resume(cur, name, by=by, reason=reason)} entries go on"
            case CampaignAction.PRIORITY:
                if wanted.priority is None:
                    raise OwlError(ErrorKind.BAD_CONF, "priority is missing.")
                n = acts.change_priority(cur, name, wanted.priority, by=by, reason=reason)
                will = f"{n} entries get priority {wanted.priority}"
            case CampaignAction.CANCEL:
                done = acts.cancel(cur, name, by=by, reason=reason, running=wanted.running)
                will = f"{done.entries} entries leave the queue, {done.removals} runs are removed"
                after = _stopping(name, done.unstarted, by)
            case CampaignAction.RETRY:
                failed = acts.failed_to_retry(cur, name, by=by, reason=reason)
                will = f"{len(failed)} failed datasets are rescued"
                after = _rescuing(failed, by)
            case CampaignAction.APPROVE:
                put = acts.approve(cur, name, by=by, reason=reason)
                asked = withdraw_question(cur, name, by=by)
                will = f"{put.added} entries go into the queue"
                after = _answering(asked, by)
            case CampaignAction.REJECT:
                acts.reject(cur, name, by=by, reason=reason)
                asked = withdraw_question(cur, name, by=by)
                will = "it is dropped"
                after = _answering(asked, by)
        if wanted.dry_run:
            raise _Undone(will)
        audit(cur, who=by, subject=f"campaign {name}", action=f"console {wanted.action}",
              after={"will": will}, reason=reason)  # fmt: skip
    later.add_task(after)
    return will


def _stopping(name: str, unstarted: Any, by: str) -> Callable[[], None]:
    def stop() -> None:
        if unstarted:
            operator_stop.stop(unstarted, by=by)
            with connections.transaction() as cur:
                acts.remove_launched(cur, name, unstarted, by=by)

    return stop


def _rescuing(failed: Any, by: str) -> Callable[[], None]:
    def rescue() -> None:
        with connections.connection() as connection:
            for run in failed:
                operator_rescue.rescue(connection, run, by=by, dry_run=False)

    return rescue


def _answering(asked: Any, by: str) -> Callable[[], None]:
    def answer() -> None:
        if asked:
            operator_stop.stop(asked, by=by, success=True)

    return answer
