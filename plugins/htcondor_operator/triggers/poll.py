"""``PollTrigger``: a poller's rounds in the triggerer, where waiting costs nothing.

The trigger ends its task itself (Airflow's end-from-trigger events): going back to a worker costs
a process, and has an open race in 3.3.2 (a success of the deferral arrives after the requeue).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from htcondor_operator.queue.pollers.turns import Tally, Turns
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import PollerState

SHORTEST_S = 60.0
"""A DAG run that found something ends, but never sooner than this."""

LONGEST_S = 3600.0
"""A DAG run that found nothing ends too, so that its log stays readable."""

log = logging.getLogger(__name__)


class PollTrigger(BaseTrigger):
    """Do one poller's rounds until there is something to show.

    Nothing is kept in it: after the triggerer's death the next one makes it anew.

    Parameters
    ----------
    poller
        The poller's name, as declared.
    shortest_s, longest_s
        When the task ends: after `shortest_s` with something found, after `longest_s` anyway.
    """

    def __init__(
        self, poller: str, shortest_s: float = SHORTEST_S, longest_s: float = LONGEST_S
    ) -> None:
        super().__init__()
        self.poller = poller
        self.shortest_s = shortest_s
        self.longest_s = longest_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again."""
        kwargs = {
            "poller": self.poller,
            "shortest_s": self.shortest_s,
            "longest_s": self.longest_s,
        }
        return "htcondor_operator.triggers.poll.PollTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Do turns; one thread for each poller, so that a long round delays no other poller."""
        turns = Turns(self.poller, Settings.from_environment())
        tally = Tally()
        begin = time.monotonic()
        executor = ThreadPoolExecutor(1, thread_name_prefix=f"poller-{self.poller}")
        loop = asyncio.get_running_loop()
        # By its context Airflow knows whose log a message belongs to.
        context = contextvars.copy_context()
        try:
            while True:
                turn = await loop.run_in_executor(executor, context.run, turns.turn)
                tally.add(turn)
                if turn.result.found:
                    log.info("%s found %s", self.poller, dict(turn.result.counts))
                if turn.gone or self._is_enough(turn.state, tally, time.monotonic() - begin):
                    break
                await asyncio.sleep(turn.wait_s)
        finally:
            # Cancelled in a round: it goes on to its end in its thread, then this is done there.
            executor.submit(turns.close)
            executor.shutdown(wait=False)
        yield TaskSuccessEvent(xcoms={"return_value": tally.as_json()})

    def _is_enough(self, state: PollerState | None, tally: Tally, age_s: float) -> bool:
        if state is PollerState.PAUSED:
            return False  # a paused DAG's run is not looked at by the scheduler
        return age_s >= (self.shortest_s if tally.found else self.longest_s)
