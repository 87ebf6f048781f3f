"""Has notifiers send, all channels at the same time, and waits for none longer than its limit.

Each message is sent in a thread of its own. A thread cannot be ended from outside, and a process
of its own would not do: notifiers ask the task's supervisor for Airflow's connections, over one
socket that two processes cannot share. So a notifier that does not come back is left alone. It has
no lock and no database connection of ours, and as a daemon thread it ends with the process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Thread
from typing import Any

from htcondor_operator.alerts.configuration import make_notifier
from htcondor_operator.alerts.rules import Channel
from htcondor_operator.alerts.words import Told


class ChannelTimeout(Exception):
    """A notifier did not come back in time."""


@dataclass(frozen=True)
class Outcome:
    """What became of one message of a channel.

    Parameters
    ----------
    channel
        Its name.
    number
        The message, as :meth:`Couriers.send` was told.
    error
        None: the channel took it.
    late
        It comes after the channel was given up with a :class:`ChannelTimeout`.
    """

    channel: str
    number: int
    error: Exception | None = None
    late: bool = False


class Couriers:
    """Sends one message of each channel at a time.

    Parameters
    ----------
    context
        Airflow's, for the notifiers' templates.
    ends_at
        On the monotonic clock: every channel is given up then.
    """

    def __init__(self, context: Mapping[str, Any], ends_at: float = float("inf")) -> None:
        self._context = context
        self._ends_at = ends_at
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._under_way: dict[tuple[str, int], tuple[float, float]] = {}
        self._given_up: set[tuple[str, int]] = set()

    @property
    def over(self) -> bool:
        """Whether nothing more should be begun."""
        return time.monotonic() >= self._ends_at

    @property
    def busy(self) -> bool:
        """Whether a message is under way that was not given up."""
        return bool(self._under_way)

    def send(self, channel: Channel, told: Told, number: int = 0) -> None:
        """Begin to send a message; :meth:`next` says what became of it.

        The notifier is made here: to import a provider takes seconds on a busy machine, which are
        not the receiver's.
        """
        key = (channel.name, number)
        try:
            notifier = make_notifier(channel)
        except Exception as error:  # also of a module that breaks while it is imported
            self._under_way[key] = (float("inf"), 0.0)
            self._outcomes.put(Outcome(*key, error))
            return
        now = time.monotonic()
        ends_at = min(now + channel.timeout_s, self._ends_at)
        self._under_way[key] = (ends_at, ends_at - now)
        Thread(
            target=self._deliver, args=(notifier, told, key), name=f"channel {key}", daemon=True
        ).start()

    def next(self) -> Outcome:
        """Wait until a message was taken or refused, or its time is over.

        What comes of a message that was given up is told too, if it comes while others are under
        way.
        """
        key = min(self._under_way, key=lambda each: self._under_way[each][0])
        ends_at, limit = self._under_way[key]
        try:
            left = min(max(0.0, ends_at - time.monotonic()), TIMEOUT_MAX)
            outcome = self._outcomes.get(timeout=left)
        except Empty:
            del self._under_way[key]
            self._given_up.add(key)
            error = ChannelTimeout(f"no answer within {max(limit, 0.0):.3g} s")
            return Outcome(*key, error)
        key = (outcome.channel, outcome.number)
        if key in self._given_up:
            return Outcome(*key, outcome.error, late=True)
        del self._under_way[key]
        return outcome

    def _deliver(self, notifier: Any, told: Told, key: tuple[str, int]) -> None:
        error: Exception | None = None
        try:
            members = told.members or (told,)
            notifier({"dag": None, **self._context, "alert": told, "alerts": members})
        except Exception as raised:  # whatever a notifier raises
            error = raised
        except BaseException as raised:  # sys.exit() in a notifier is no end of the task's
            error = RuntimeError(f"{type(raised).__name__}: {raised}")
        self._outcomes.put(Outcome(*key, error))


def tell(
    messages: Sequence[tuple[Channel, Told]], context: Mapping[str, Any]
) -> dict[str, Exception]:
    """Send a message to each of some channels; return those that are down, with the errors."""
    couriers = Couriers(context)
    for channel, told in messages:
        couriers.send(channel, told)
    down: dict[str, Exception] = {}
    while couriers.busy:
        outcome = couriers.next()
        if outcome.error is not None:
            down.setdefault(outcome.channel, outcome.error)
        elif outcome.late:
            down.pop(outcome.channel, None)
    return down
