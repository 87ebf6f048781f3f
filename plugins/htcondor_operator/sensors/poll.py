"""``PollSensor``: a poller as an Airflow sensor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.sensor import BaseSensorOperator, PokeReturnValue
from airflow.triggers.base import StartTriggerArgs

from htcondor_operator.queue.pollers.turns import Tally, Turns
from htcondor_operator.settings import Settings
from htcondor_operator.triggers.poll import LONGEST_S, SHORTEST_S

if TYPE_CHECKING:
    from airflow.sdk import Context


class PollSensor(BaseSensorOperator):
    """Look for work as a declaration of ``include/pollers.yaml`` says.

    The scheduler starts it in the triggerer, where it also ends: it never takes a worker. Where
    there is none (``dag.test()``, a failed trigger), :meth:`poke` does the same rounds.

    Parameters
    ----------
    poller
        The poller's name, as declared.
    shortest_s, longest_s
        The task ends after `shortest_s` with something found, after `longest_s` anyway.
    """

    ui_color = "#e2f0e6"
    start_from_trigger = True

    def __init__(
        self,
        *,
        poller: str,
        shortest_s: float = SHORTEST_S,
        longest_s: float = LONGEST_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.poller = poller
        self.shortest_s = shortest_s
        self.longest_s = longest_s
        self._turns: Turns | None = None
        self._tally = Tally()
        self._begin = 0.0
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="htcondor_operator.triggers.poll.PollTrigger",
            trigger_kwargs={
                "poller": poller,
                "shortest_s": shortest_s,
                "longest_s": longest_s,
            },
            next_method="execute_complete",
        )

    def poke(self, context: Context) -> PokeReturnValue:
        """Do one round; done when something was found, or after `longest_s`."""
        if self._turns is None:
            self._turns = Turns(self.poller, Settings.from_environment())
            self._begin = time.monotonic()
        turn = self._turns.turn()
        self._tally.add(turn)
        self.log.info("round: %s", turn.error or dict(turn.result.counts) or "nothing new")
        done = (
            turn.gone
            or self._tally.found > 0
            or time.monotonic() - self._begin >= self.longest_s
            or bool((context["dag_run"].conf or {}).get("once"))
        )
        if done:
            self._turns.close()
            self._turns = None
        return PokeReturnValue(is_done=done, xcom_value=self._tally.as_json() if done else None)

    def execute_complete(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002
        """Return the trigger's event (never called: the trigger ends the task itself)."""
        return event
