"""What an operator does with a campaign, first as a preview and then for real.

What concerns the queue is one transaction with its line in the audit. What Airflow does run by run
comes after it, so many runs in a request: nothing goes on behind an answer that said "done".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard import campaign_lists, campaign_truth
from htcondor_operator.blackboard.queue_filters import from_token, token
from htcondor_operator.console import reasons
from htcondor_operator.console.models import Item, Outcome
from htcondor_operator.console.run_actions import rescue_words
from htcondor_operator.executors import operator_stop
from htcondor_operator.executors.operator_rescue import Order, look, rescue_run
from htcondor_operator.queue.campaigns import acts
from htcondor_operator.queue.campaigns.proposals import withdraw_question
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from htcondor_operator.blackboard.campaign_truth import FailedMember
    from htcondor_operator.console.database import Connections

PART = 25
"""Runs of a request."""


class CampaignAction(StrEnum):
    """What can be done with a campaign."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"
    APPROVE = "approve"
    REJECT = "reject"
    PRIORITY = "priority"


@dataclass(frozen=True)
class Asked:
    """What somebody wants.

    Parameters
    ----------
    running
        A cancellation also ends what runs.
    after
        Where the part before has ended.
    """

    action: CampaignAction
    who: str
    reason: str | None
    running: bool = False
    priority: int | None = None
    after: str | None = None


class _Undone(Exception):
    """A dry run: its transaction is rolled back."""


def perform(connections: Connections, name: str, asked: Asked, *, dry_run: bool) -> Outcome:
    """Do it, or say what would be done.

    Raises
    ------
    OwlError
        It cannot be done with this campaign.
    """
    if asked.action is CampaignAction.RETRY:
        return _retry(connections, name, asked, dry_run=dry_run)
    if asked.action is CampaignAction.CANCEL and asked.after is not None:
        return _stop_some(connections, name, asked)
    try:
        with connections.transaction() as cur:
            will, left, questions = _change(cur, name, asked)
            if dry_run:
                raise _Undone(will)
    except _Undone as undone:
        return _told(name, str(undone), done=0)
    return _told(name, will + _answered(questions, asked.who), done=1, following=left)


def _told(name: str, will: str, *, done: int, following: str | None = None) -> Outcome:
    item = Item(key=name, name=name, will=will)
    return Outcome(summary=f"{name}: {will}", items=[item], done=done, next=following)


def _change(cur: Cursor, name: str, asked: Asked) -> tuple[str, str | None, list[tuple[str, str]]]:
    """Change the campaign; return what that is, whether runs are left, and whom to answer."""
    by, reason = asked.who, asked.reason
    match asked.action:
        case CampaignAction.PAUSE:
            return (
                f"{acts.pause(cur, name, by=by, reason=reason)} entries wait; runs go on",
                None,
                [],
            )
        case CampaignAction.RESUME:
            return f"{acts.resume(cur, name, by=by, reason=reason)} entries go on", None, []
        case CampaignAction.PRIORITY:
            if asked.priority is None:
                raise OwlError(ErrorKind.BAD_CONF, "priority is missing.")
            n = acts.change_priority(cur, name, asked.priority, by=by, reason=reason)
            return f"{n} entries get priority {asked.priority}", None, []
        case CampaignAction.APPROVE:
            put = acts.approve(cur, name, by=by, reason=reason)
            asking = withdraw_question(cur, name, by=by)
            return f"{put.added} entries go into the queue", None, asking
        case CampaignAction.REJECT:
            acts.reject(cur, name, by=by, reason=reason)
            return "it is dropped", None, withdraw_question(cur, name, by=by)
        case _:
            done = acts.cancel(cur, name, by=by, reason=reason, running=asked.running)
            will = f"{done.entries} entries leave the queue, {done.removals} runs are removed"
            if done.unstarted:
                will += f", {len(done.unstarted)} are ended before their launch"
            return will, token(("", "")) if done.unstarted else None, []


def _answered(questions: list[tuple[str, str]], by: str) -> str:
    """End the DAG runs that still ask a person; return what is to be said about it."""
    try:
        operator_stop.stop(questions, by=by, success=True)
    except Exception as error:
        return f" (its question in Airflow stays open: {reasons.why_not(error, 'the answer')})"
    return ""


def _stop_some(connections: Connections, name: str, asked: Asked) -> Outcome:
    """End some of a cancelled campaign's runs that have nothing in HTCondor yet."""
    place = from_token(asked.after, (str, str)) or ("", "")
    with connections.transaction() as cur:
        runs = campaign_truth.open_runs(cur, name)
    left = sorted(
        ((run.fileset, run.run_id), run)
        for run in runs
        if run.run_key is None and (run.fileset, run.run_id) > place
    )
    items = []
    for _, run in left[:PART]:
        why = None
        try:
            operator_stop.stop([(run.dag_id, run.run_id)], by=asked.who)
            # It may have been launched in the meantime.
            with connections.transaction() as cur:
                acts.remove_launched(cur, name, [(run.dag_id, run.run_id)], by=asked.who)
        except Exception as error:
            why = reasons.why_not(error, f"the end of {run.run_id}")
        items.append(Item(key=run.fileset, name=run.fileset, will="ended", why_not=why))
    following = token(left[PART - 1][0]) if len(left) > PART else None
    return _summed(items, "ended", dry_run=False, following=following)


def _retry(connections: Connections, name: str, asked: Asked, *, dry_run: bool) -> Outcome:
    """Rescue some of a campaign's failed runs."""
    try:
        with connections.transaction() as cur:
            if asked.after is None:
                acts.note_retry(cur, name, by=asked.who, reason=asked.reason)
            failed, following = campaign_lists.failed_page(cur, name, after=asked.after, limit=PART)
            if dry_run:
                raise _Undone
    except _Undone:
        pass
    items = [_rescue(connections, run, asked, dry_run=dry_run) for run in failed]
    if not items and asked.after is None:
        raise OwlError(ErrorKind.BAD_CONF, "Nothing of it has failed.")
    return _summed(items, "rescued", dry_run=dry_run, following=following)


def _rescue(connections: Connections, run: FailedMember, asked: Asked, *, dry_run: bool) -> Item:
    will, why = "", None
    try:
        found: Any = None
        if not dry_run:
            order = Order(asked.who, asked.reason)
            found = rescue_run(run.dag_id, run.run_id, run.run_key, order)
        elif run.run_key is not None:
            with connections.transaction() as cur:
                found = look(cur, run.run_key)
        will = rescue_words(found)
    except Exception as error:
        why = reasons.why_not(error, f"the rescue of {run.run_id}")
    return Item(key=run.run_key or run.run_id, name=run.fileset, will=will, why_not=why)


def _summed(items: list[Item], word: str, *, dry_run: bool, following: str | None) -> Outcome:
    able = sum(item.why_not is None for item in items)
    would = "would be " if dry_run else ""
    return Outcome(
        summary=f"{able} of {len(items)} runs {would}{word}",
        items=items,
        done=0 if dry_run else able,
        next=following,
    )
