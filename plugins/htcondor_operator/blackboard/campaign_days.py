"""The days of backfills: what each DAG run of ``repro_<instrument>`` has put into the queue.

A day's datasets are the newest member rows of its DAG run, over all campaigns: a second backfill
clears the same DAG run and gives it another campaign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.campaign_truth import MEMBERS
from htcondor_operator.vocabulary import MemberState

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def part_of(dag_id: str, run_id: str) -> str:
    """Return the name of a DAG run's day."""
    return f"{dag_id}/{run_id}"


def day_states(cur: Cursor, part: str) -> dict[str, MemberState]:
    """Return the day's datasets with their states now."""
    cur.execute(
        f"""
        SELECT fileset, state FROM (
          SELECT DISTINCT ON (t.fileset) t.fileset, t.state
            FROM ({MEMBERS} WHERE m.part = %(part)s) t
           ORDER BY t.fileset, t.put_at DESC) newest
         ORDER BY fileset
        """,  # noqa: S608
        {"part": part},
    )
    return {row[0]: MemberState(row[1]) for row in cur.fetchall()}


@dataclass(frozen=True)
class DayRun:
    """What Airflow knows of a day's DAG run.

    Parameters
    ----------
    backfill
        None: it was triggered by hand.
    failed_only
        Whether the backfill is to reprocess what failed.
    reason, by
        Of the backfill, or who triggered the run.
    """

    backfill: int | None = None
    failed_only: bool = False
    reason: str | None = None
    by: str | None = None


def day_run(cur: Cursor, dag_id: str, run_id: str) -> DayRun:
    """Return what Airflow knows of a DAG run."""
    cur.execute(
        """
        SELECT d.backfill_id, coalesce(b.reprocess_behavior = 'failed', false),
               b.dag_run_conf ->> 'reason',
               coalesce(b.triggering_user_name, d.triggering_user_name)
          FROM dag_run d LEFT JOIN backfill b ON b.id = d.backfill_id
         WHERE d.dag_id = %(dag)s AND d.run_id = %(run)s
        """,
        {"dag": dag_id, "run": run_id},
    )
    row = cur.fetchone()
    return DayRun(*row) if row else DayRun()


def summary(states: Mapping[str, MemberState], most: int = 100) -> dict[str, Any]:
    """Return a day's result for people and XCom: counts, and who did not succeed."""
    counts: dict[str, int] = {}
    for state in states.values():
        counts[str(state)] = counts.get(str(state), 0) + 1
    bad = [f"{name} {state}" for name, state in states.items() if state is not MemberState.DONE]
    return {"datasets": len(states), "counts": counts, "not_done": bad[:most]}
