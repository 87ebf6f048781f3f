"""``ObservationDays``: days that can be backfilled, and that the scheduler never runs by itself."""

from __future__ import annotations

from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable


class ObservationDays(CronDataIntervalTimetable):
    """One data interval per UTC day, for ``airflow backfill create`` only.

    ``schedule="@daily"`` with ``allowed_run_types={BACKFILL_JOB, MANUAL}`` is refused by Airflow
    (3.3.2): a DAG with a schedule must allow scheduled runs. Only the scheduler asks a timetable
    with ``catchup`` off (the DAG's); a backfill always asks with it on.
    """

    description = "Days of observation, run by backfills only"
    can_be_scheduled = False

    def __init__(self) -> None:
        super().__init__("@daily", "UTC")

    @property
    def summary(self) -> str:
        """Shown as the DAG's schedule."""
        return "days, by backfill"

    def serialize(self) -> dict[str, Any]:
        """Return nothing: there is only one."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ObservationDays:  # noqa: ARG003
        """Make it again."""
        return cls()

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next day of a backfill; never one for the scheduler."""
        if not restriction.catchup:
            return None
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
