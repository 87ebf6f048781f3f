"""Tells the channels what is due: each message until its channel took it, and then never again.

All channels are told at the same time, and none waits for another (:mod:`couriers`); the database
is for this thread only. A message is claimed (its next try lies in the future, committed), sent,
and marked (committed). Twice it is sent only if the process dies between the last two, or if the
channel takes it after it was given up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from htcondor_operator.alerts.couriers import Couriers
from htcondor_operator.alerts.rules import Alerting
from htcondor_operator.alerts.words import Told, together
from htcondor_operator.blackboard import alert_rows

if TYPE_CHECKING:
    from htcondor_operator.blackboard.link import Link

log = logging.getLogger(__name__)

DIGEST = 5
"""More alerts of one rule than these for one channel at once are one message."""


LONGEST_S = 200.0
"""Then what is not sent yet waits for the next run: less than what the task may take."""


@dataclass(frozen=True)
class Letter:
    """One message of a channel, with the rows that it tells."""

    told: Told
    rows: list[dict[str, Any]]


@dataclass
class Sent:
    """How many messages were sent, and which channels are down, with their words."""

    sent: int
    down: dict[str, str]


def send_due(
    link: Link,
    alerting: Alerting,
    context: Mapping[str, Any],
    *,
    url: str = "",
    point: Callable[[str], None] = lambda _: None,
) -> Sent:
    """Send all messages that are due.

    Parameters
    ----------
    link
        The database.
    alerting
        The channels.
    context
        Airflow's; ``alert`` and ``alerts`` are added for the notifiers' templates.
    url
        The console's address, for the messages.
    point
        Called at the points where a process may die (for tests).
    """
    channels = {channel.name: channel for channel in alerting.channels}
    done = Sent(0, {})
    couriers = Couriers(context, time.monotonic() + LONGEST_S)
    waiting: dict[str, list[Letter]] = {}
    with link.transaction() as cur:
        names = [name for name in alert_rows.due_channels(cur) if name in channels]
    for name in names:
        with link.transaction() as cur:
            rows = alert_rows.claim(cur, name)
        waiting[name] = list(_letters(rows, url))
        if waiting[name]:
            couriers.send(channels[name], waiting[name][0].told)
    while couriers.busy:
        outcome = couriers.next()
        name, number = outcome.channel, outcome.number
        letter, rest = waiting[name][number], waiting[name][number + 1 :]
        if outcome.error is not None:
            if not outcome.late:
                done.down[name] = _note_failure(link, name, letter, rest, outcome.error)
            continue
        point("delivered")
        with link.transaction() as cur:
            alert_rows.sent(cur, letter.rows)
        done.sent += 1
        log.info("channel %s was told: %s", name, letter.told.subject)
        if outcome.late or not rest:
            continue
        if couriers.over:
            with link.transaction() as cur:
                alert_rows.put_back(cur, _rows(rest))
        else:
            couriers.send(channels[name], rest[0].told, number + 1)
    return done


def _note_failure(
    link: Link, name: str, letter: Letter, rest: Sequence[Letter], error: Exception
) -> str:
    """Note that a channel is down: its message stays due, and what comes after it waits."""
    words = f"{type(error).__name__}: {error}"
    log.warning("channel %s is down: %s", name, words)
    with link.transaction() as cur:
        alert_rows.not_sent(cur, letter.rows, words)
        alert_rows.put_back(cur, _rows(rest))
    return words


def _rows(letters: Sequence[Letter]) -> list[dict[str, Any]]:
    return [row for letter in letters for row in letter.rows]


def _letters(rows: list[dict[str, Any]], url: str) -> Iterator[Letter]:
    """Yield what is sent as one message, with the rows that it tells."""
    for _, group in groupby(sorted(rows, key=_kind), key=_kind):
        part = list(group)
        told = [as_told(row, row["why"], url) for row in part]
        if len(part) > DIGEST:
            yield Letter(together(told), part)
        else:
            yield from (Letter(each, [row]) for each, row in zip(told, part, strict=True))


def _kind(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["rule"], row["state"]


def as_told(row: Mapping[str, Any], why: str, url: str = "") -> Told:
    """Return an alert's row as the templates see it."""
    return Told(
        id=row["id"],
        rule=row["rule"],
        about=row["subject"],
        state=row["state"],
        severity=row["severity"],
        title=row["title"],
        count=row["count"],
        most=row["most"],
        why=why,
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        detail=row["detail"],
        url=f"{url}?id={row['id']}" if url else "",
    )
