"""Tells the channels what is due: each message until its channel took it, and then never again.

A message is claimed (its next try lies in the future, committed), sent, and marked (committed). A
process that dies between the last two sends it twice; there is no other way to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from htcondor_operator.alerts.configuration import make_notifier
from htcondor_operator.alerts.rules import Alerting, Channel
from htcondor_operator.alerts.words import Told, together
from htcondor_operator.blackboard import alert_rows

if TYPE_CHECKING:
    from htcondor_operator.blackboard.link import Link

log = logging.getLogger(__name__)

DIGEST = 5
"""More alerts of one rule than these for one channel at once are one message."""


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
    with link.transaction() as cur:
        waiting = [name for name in alert_rows.due_channels(cur) if name in channels]
    for name in waiting:
        with link.transaction() as cur:
            rows = alert_rows.claim(cur, name)
        letters = list(_letters(rows, url))
        for number, (told, part) in enumerate(letters):
            try:
                deliver(channels[name], told, context)
            except Exception as error:  # whatever a notifier raises: the message stays due
                words = f"{type(error).__name__}: {error}"
                log.warning("channel %s is down: %s", name, words)
                done.down[name] = words
                rest = [row for _, others in letters[number + 1 :] for row in others]
                with link.transaction() as cur:
                    alert_rows.not_sent(cur, part, words)
                    alert_rows.put_back(cur, rest)
                break
            point("delivered")
            with link.transaction() as cur:
                alert_rows.sent(cur, part)
            done.sent += 1
            log.info("channel %s was told: %s", name, told.subject)
    return done


def deliver(channel: Channel, told: Told, context: Mapping[str, Any]) -> None:
    """Have a channel's notifier send one message."""
    notifier = make_notifier(channel)
    notifier({"dag": None, **context, "alert": told, "alerts": told.members or (told,)})


def _letters(rows: list[dict[str, Any]], url: str) -> Iterator[tuple[Told, list[dict[str, Any]]]]:
    """Yield what is sent as one message, with the rows that it tells."""
    for _, group in groupby(sorted(rows, key=_kind), key=_kind):
        part = list(group)
        told = [as_told(row, row["why"], url) for row in part]
        if len(part) > DIGEST:
            yield together(told), part
        else:
            yield from ((each, [row]) for each, row in zip(told, part, strict=True))


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
        url=url,
    )
