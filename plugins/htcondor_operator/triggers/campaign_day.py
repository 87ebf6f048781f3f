"""``DayTrigger``: waits in the triggerer until a backfill day's datasets have ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import psycopg2
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from htcondor_operator.blackboard.campaign_days import day_states, part_of, summary
from htcondor_operator.blackboard.link import Link
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import MemberState

log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 60.0


class DayTrigger(BaseTrigger):
    """End its task when all datasets of the task's DAG run have ended, with their true result.

    Nothing is kept in it: after the triggerer's death the next one looks into the tables anew.

    Parameters
    ----------
    poll_s
        Seconds between two looks.
    """

    def __init__(self, poll_s: float = 5.0) -> None:
        super().__init__()
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again."""
        return "htcondor_operator.triggers.campaign_day.DayTrigger", {"poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, until nothing is open."""
        assert self.task_instance is not None
        part = part_of(self.task_instance.dag_id, self.task_instance.run_id)
        link = Link(Settings.from_environment(), "backfill day")
        try:
            states = await self._ended(link, part)
        finally:
            link.close()
        told = summary(states)
        if told["not_done"]:
            log.error("%s of %s: %s", len(states), part, "; ".join(told["not_done"]))
            yield TaskFailedEvent(xcoms={"return_value": told})
        else:
            log.info("all %s datasets of %s are done", len(states), part)
            yield TaskSuccessEvent(xcoms={"return_value": told})

    async def _ended(self, link: Link, part: str) -> dict[str, MemberState]:
        wait, shown = self.poll_s, -1
        while True:
            try:
                states = await asyncio.to_thread(_look, link, part)
                wait = self.poll_s
            except psycopg2.Error as error:
                wait = min(2 * wait, LONGEST_BACKOFF_S)
                log.warning("the database does not answer: %s", str(error).strip())
            else:
                still = sum(state.is_open for state in states.values())
                if not still:
                    return states
                if still != shown:
                    log.info("%s of %s datasets are open", still, len(states))
                    shown = still
            await asyncio.sleep(wait)


def _look(link: Link, part: str) -> dict[str, MemberState]:
    with link.transaction() as cur:
        return day_states(cur, part)
