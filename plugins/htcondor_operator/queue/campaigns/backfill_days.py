"""What a day of a backfill puts into the queue.

| the day before | put into the queue |
|---|---|
| never run | all datasets of the catalogue |
| all were done | all of them again (`--reprocess-behavior failed`: what is new) |
| some did not succeed | those, and datasets that are new in the catalogue |
| some are still open | the same; what is open is left alone |

What counts is how the datasets are now: one that was rescued in the meantime is done.

A dataset that is in Airflow for somebody else is not put in twice: its run counts for the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard import campaign_days, campaign_rows
from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.campaign_rows import Campaign, Put, Wanted
from htcondor_operator.blackboard.dataset_filter import Condition, Found, find_datasets, parse
from htcondor_operator.dagman.workflows import check_params
from htcondor_operator.queue.campaigns.acts import check
from htcondor_operator.queue.campaigns.choosing import wanted
from htcondor_operator.queue.fitting import the_workflow
from htcondor_operator.vocabulary import CampaignState, MemberState, priority

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Day:
    """One DAG run of ``repro_<instrument>``.

    Parameters
    ----------
    dag_id, run_id
        The DAG run.
    start, end
        Its data interval.
    instrument
        As the catalogue names it.
    workflows
        Workflow for single exposures and for associations.
    conf
        The DAG run's parameters: ``reason``, ``priority``, ``type``, ``where``, ``params``.
    """

    dag_id: str
    run_id: str
    start: datetime
    end: datetime
    instrument: str
    workflows: tuple[str, str]
    conf: Mapping[str, Any]

    @property
    def part(self) -> str:
        """Its name among the members of campaigns."""
        return campaign_days.part_of(self.dag_id, self.run_id)

    def conditions(self) -> tuple[Condition, ...]:
        """Return which datasets of the catalogue were observed in it."""
        more = self.conf.get("where")
        return (
            Condition("instrument", "=", (self.instrument,)),
            Condition("observed", ">=", (self.start,)),
            Condition("observed", "<", (self.end,)),
            *(parse(more, "where") if more else ()),
        )

    def type_of(self, found: Found) -> str:
        """Return the workflow for a dataset."""
        return self.conf.get("type") or self.workflows[found.is_association]


def to_put(
    datasets: Iterable[str], before: Mapping[str, MemberState], *, failed_only: bool = False
) -> list[str]:
    """Return which of a day's datasets are put into the queue, by the table above."""
    completed = all(state is MemberState.DONE for state in before.values())
    if completed and not failed_only:
        return list(datasets)
    return [
        name
        for name in datasets
        if name not in before or not (before[name].is_open or before[name] is MemberState.DONE)
    ]


@dataclass(frozen=True)
class Selected:
    """What a day put into the queue, and for which campaign."""

    campaign: str
    datasets: int
    put: Put


def select(cur: Cursor, templates: Path, day: Day) -> Selected:
    """Put a day's datasets into the queue, in the caller's transaction.

    Raises
    ------
    OwlError
        The conf is not valid, or the backfill's campaign was cancelled.
    """
    known = campaign_days.day_run(cur, day.dag_id, day.run_id)
    campaign = _campaign(cur, day, known)
    found = {each.dataset: each for each in find_datasets(cur, day.conditions())}
    before = campaign_days.day_states(cur, day.part)
    names = to_put(found, before, failed_only=known.failed_only)
    put = campaign_rows.put_members(
        cur,
        campaign,
        [_wanted(templates, day, found[name]) for name in names],
        part=day.part,
        by=known.by or campaign.created_by,
        join=True,
        again=True,
    )
    return Selected(campaign.name, len(found), put)


def _wanted(templates: Path, day: Day, found: Found) -> Wanted:
    workflow = the_workflow(templates, day.type_of(found))
    params = day.conf.get("params") or {}
    check_params(workflow, {**workflow.sample.get("params", {}), **params})
    return wanted(found, workflow, params)


def _campaign(cur: Cursor, day: Day, known: campaign_days.DayRun) -> Campaign:
    """Return the backfill's campaign, locked; the first day makes it."""
    own = f"{day.dag_id}.{day.run_id}"[:100]
    name = own if known.backfill is None else f"{day.dag_id}.backfill_{known.backfill}"
    by = known.by or "airflow"
    made = campaign_rows.insert_campaign(
        cur,
        Campaign(
            name=name,
            type=day.conf.get("type") or day.dag_id,
            state=CampaignState.RUNNING,
            priority=priority(day.conf.get("priority") or 0),
            source="backfill",
            detail={"dag_id": day.dag_id, "backfill": known.backfill, "conf": dict(day.conf)},
            reason=day.conf.get("reason") or known.reason,
            created_by=by,
        ),
    )
    campaign = campaign_rows.the_campaign(cur, name, lock=True)
    check(campaign, "add datasets to")
    if made:
        audit(
            cur,
            who=by,
            subject=f"campaign/{name}",
            action="create",
            after={"dag_id": day.dag_id, "backfill": known.backfill},
            reason=campaign.reason,
        )
    return campaign
