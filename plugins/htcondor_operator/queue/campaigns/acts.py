"""What can be done with a campaign: create, pause, resume, cancel, approve, reject.

| from | by | to |
|---|---|---|
| – | create | running |
| – | propose (new references) | proposed |
| proposed | approve | running |
| proposed | reject | rejected |
| running | pause | paused |
| paused | resume | running |
| running, paused | cancel | cancelled |
| cancelled | cancel --running | cancelled |

Each is one transaction of the caller's, with its line in ``owl_audit``. The campaign's row is
locked first, so that two of them come one after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import campaign_rows, campaign_truth
from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.campaign_rows import Campaign, Put, Wanted
from htcondor_operator.blackboard.queue_entries import leave
from htcondor_operator.blackboard.run_commands import insert_command
from htcondor_operator.vocabulary import (
    CampaignState,
    CommandVerb,
    EntryOutcome,
    ErrorKind,
    MemberState,
    OwlError,
    campaign_name,
    priority,
    workflow_name,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_FROM: dict[str, frozenset[CampaignState]] = {
    "approve": frozenset({CampaignState.PROPOSED}),
    "reject": frozenset({CampaignState.PROPOSED}),
    "pause": frozenset({CampaignState.RUNNING}),
    "resume": frozenset({CampaignState.PAUSED}),
    "cancel": frozenset({CampaignState.RUNNING, CampaignState.PAUSED}),
    # Once more, for what ran on: also after a cancellation that was interrupted.
    "cancel --running": frozenset({CampaignState.CANCELLED}),
    "add datasets to": frozenset({CampaignState.RUNNING, CampaignState.PAUSED}),
    "change the priority of": frozenset(
        {CampaignState.PROPOSED, CampaignState.RUNNING, CampaignState.PAUSED}
    ),
    "retry": frozenset({CampaignState.RUNNING, CampaignState.PAUSED, CampaignState.CANCELLED}),
}
"""In which (kept) state each can be done."""

_TO = {
    "approve": CampaignState.RUNNING,
    "reject": CampaignState.REJECTED,
    "pause": CampaignState.PAUSED,
    "resume": CampaignState.RUNNING,
    "cancel": CampaignState.CANCELLED,
    "cancel --running": CampaignState.CANCELLED,
}


def check(campaign: Campaign, action: str) -> None:
    """Raise :class:`OwlError` if `action` cannot be done with `campaign` as it is."""
    allowed = _FROM[action]
    if campaign.state not in allowed:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"Cannot {action} campaign {campaign.name!r}: it is {campaign.state}, and would have "
            f"to be {' or '.join(sorted(allowed))}.",
        )


def create(
    cur: Cursor,
    campaign: Campaign,
    wanted: Sequence[Wanted],
    *,
    add: bool = False,
) -> Put:
    """Make a campaign and put its datasets into the queue.

    Parameters
    ----------
    campaign
        Its state is not looked at: it will be running.
    wanted
        Its datasets.
    add
        The campaign may be there already (with the same type): datasets that are not yet members
        are added, members are not put in twice.

    Raises
    ------
    OwlError
        A name, type or priority is not valid; the name is taken; no dataset was given.
    """
    campaign_name(campaign.name)
    workflow_name(campaign.type, "type")
    priority(campaign.priority)
    if not wanted:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"Campaign {campaign.name!r} has no datasets: nothing was chosen. Correct the list or "
            "the filter.",
        )
    made = campaign_rows.insert_campaign(cur, campaign)
    now = campaign_rows.the_campaign(cur, campaign.name, lock=True)
    if not made:
        _check_same(now, campaign, add=add)
    put = campaign_rows.put_members(cur, now, wanted, by=campaign.created_by)
    audit(
        cur,
        who=campaign.created_by,
        subject=f"campaign/{campaign.name}",
        action="create" if made else "add",
        after={"type": now.type, "datasets": len(wanted), "added": put.added},
        reason=campaign.reason,
    )
    return put


def _check_same(now: Campaign, wanted: Campaign, *, add: bool) -> None:
    if not add:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"There is a campaign {now.name!r} already (by {now.created_by}). Choose another name, "
            "or add datasets to it with --add.",
        )
    if now.type != wanted.type:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"Campaign {now.name!r} is of type {now.type}, not {wanted.type}. Choose another name.",
        )
    check(now, "add datasets to")


def pause(cur: Cursor, name: str, *, by: str, reason: str | None = None) -> int:
    """Keep a campaign's waiting entries in the queue; return how many there are."""
    _move(cur, name, "pause", by=by, reason=reason)
    return campaign_rows.pause_entries(cur, name)


def resume(cur: Cursor, name: str, *, by: str, reason: str | None = None) -> int:
    """Let a paused campaign go on; return how many entries wait again."""
    _move(cur, name, "resume", by=by, reason=reason)
    return campaign_rows.resume_entries(cur, name)


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation did.

    Parameters
    ----------
    entries
        Entries that have left the queue.
    removals
        Runs whose removal from HTCondor was asked for.
    unstarted
        (DAG, DAG run) of runs that have no job yet: Airflow must be told to end them.
    still_open
        Runs that go on.
    """

    entries: int
    removals: int
    unstarted: tuple[tuple[str, str], ...]
    still_open: int


def cancel(
    cur: Cursor, name: str, *, by: str, reason: str | None = None, running: bool = False
) -> Cancelled:
    """End a campaign: waiting entries leave the queue.

    Parameters
    ----------
    running
        Also remove from HTCondor what runs for it; a cancelled campaign's, too.
    """
    before = campaign_rows.the_campaign(cur, name, lock=True).state
    again = running and before is CampaignState.CANCELLED
    _move(cur, name, "cancel --running" if again else "cancel", by=by, reason=reason)
    words = f"campaign {name} was cancelled by {by}" + (f": {reason}" if reason else "")
    gone = leave(cur, campaign_rows.queued_entries(cur, name), EntryOutcome.CANCELLED, words)
    open_runs = campaign_truth.open_runs(cur, name)
    if not running:
        return Cancelled(gone, 0, (), len(open_runs))
    live = [run.run_key for run in open_runs if run.run_key is not None]
    for run_key in live:
        insert_command(cur, verb=CommandVerb.REMOVE, run_key=run_key, requested_by=by, reason=words)
    unstarted = tuple((run.dag_id, run.run_id) for run in open_runs if run.run_key is None)
    return Cancelled(gone, len(live), unstarted, 0)


def remove_launched(cur: Cursor, name: str, runs: Collection[tuple[str, str]], *, by: str) -> int:
    """Remove from HTCondor those of `runs` that have been launched; return how many."""
    keys = campaign_truth.live_runs(cur, runs)
    for run_key in keys:
        words = f"campaign {name} was cancelled by {by}"
        insert_command(cur, verb=CommandVerb.REMOVE, run_key=run_key, requested_by=by, reason=words)
    return len(keys)


def change_priority(
    cur: Cursor, name: str, value: int, *, by: str, reason: str | None = None
) -> int:
    """Give a campaign's waiting entries another priority; return how many there are."""
    priority(value)
    campaign = campaign_rows.the_campaign(cur, name, lock=True)
    check(campaign, "change the priority of")
    audit(
        cur,
        who=by,
        subject=f"campaign/{name}",
        action="priority",
        before={"priority": campaign.priority},
        after={"priority": value},
        reason=reason,
    )
    return campaign_rows.set_priority(cur, name, value)


def approve(cur: Cursor, name: str, *, by: str, reason: str | None = None) -> Put:
    """Let a proposed campaign fill the queue with the datasets that it was proposed for."""
    campaign = _move(cur, name, "approve", by=by, reason=reason)
    wanted = [Wanted(**each) for each in campaign.detail.get("datasets", ())]
    running = campaign_rows.the_campaign(cur, name)
    return campaign_rows.put_members(cur, running, wanted, by=by)


def reject(cur: Cursor, name: str, *, by: str, reason: str | None = None) -> None:
    """Drop a proposed campaign."""
    _move(cur, name, "reject", by=by, reason=reason)


def _move(cur: Cursor, name: str, action: str, *, by: str, reason: str | None) -> Campaign:
    campaign = campaign_rows.the_campaign(cur, name, lock=True)
    check(campaign, action)
    state = _TO[action]
    campaign_rows.set_state(cur, name, state, approved_by=by if action == "approve" else None)
    audit(
        cur,
        who=by,
        subject=f"campaign/{name}",
        action=action,
        before={"state": campaign.state},
        after={"state": state},
        reason=reason,
    )
    return campaign


def note_retry(cur: Cursor, name: str, *, by: str, reason: str | None = None) -> int:
    """Write down that a campaign's failed runs are to be rescued; return how many there are."""
    campaign = campaign_rows.the_campaign(cur, name, lock=True)
    check(campaign, "retry")
    failed = campaign_truth.counts(cur, [name])[name].failed
    audit(
        cur,
        who=by,
        subject=f"campaign/{name}",
        action="retry-failed",
        after={str(MemberState.FAILED): failed},
        reason=reason,
    )
    return failed


def failed_to_retry(
    cur: Cursor, name: str, *, by: str, reason: str | None = None
) -> list[campaign_truth.FailedMember]:
    """Return a campaign's failed runs, and write down that they are to be rescued."""
    note_retry(cur, name, by=by, reason=reason)
    return campaign_truth.failed_members(cur, name)
