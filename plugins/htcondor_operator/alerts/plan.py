"""What becomes of alerts: a pure function of what is seen, what is open, and the time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from htcondor_operator.alerts.rules import Alerting, Rule, Severity


@dataclass(frozen=True)
class Seen:
    """Something that is wrong now.

    Parameters
    ----------
    rule, subject
        What is wrong with what: there is one open alert of both.
    title
        In one line.
    count
        How many things it concerns.
    detail
        What else is known.
    dags
        The DAGs whose runs it is about: who may read none of them is not shown it in the console.
        None: it is about no DAG's runs, and anybody may know.
    silent
        An event that nobody needs to hear of (any more); it is kept so that it is seen once.
    """

    rule: str
    subject: str
    title: str
    count: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)
    dags: Sequence[str] | None = None
    silent: bool = False


@dataclass(frozen=True)
class OpenAlert:
    """An open alert, as it is kept."""

    id: int
    rule: str
    subject: str
    severity: Severity
    opened_at: datetime
    gone_at: datetime | None = None
    told_count: int | None = None
    told_at: datetime | None = None
    acked: bool = False
    channels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class News:
    """A message to be made: for which channels, why, and when it is due."""

    why: str
    channels: tuple[str, ...]
    due_at: datetime


@dataclass(frozen=True)
class Change:
    """What becomes of one alert.

    Parameters
    ----------
    alert
        The open one; None makes a new one.
    seen
        What is seen now; None: it is gone.
    severity
        Of a new one.
    close
        It is over.
    cancel
        What is not sent yet will not be.
    news
        Messages to make.
    """

    alert: OpenAlert | None
    seen: Seen | None
    severity: Severity = Severity.INFO
    close: bool = False
    cancel: bool = False
    news: News | None = None


def plan(
    now: datetime,
    alerting: Alerting,
    known: Collection[str],
    seen: Sequence[Seen],
    opened: Sequence[OpenAlert],
) -> list[Change]:
    """Decide.

    Parameters
    ----------
    now
        The database's time.
    alerting
        Rules and channels.
    known
        Rules that were looked at: open alerts of others stay as they are, unless their rule is
        not in force any more.
    seen, opened
        What is wrong, and what was.
    """
    there = {(alert.rule, alert.subject): alert for alert in opened}
    now_wrong = {(each.rule, each.subject): each for each in seen}
    changes = []
    for key, each in now_wrong.items():
        rule = alerting.rules[each.rule]
        alert = there.get(key)
        changes.append(_begin(now, alerting, rule, each) if alert is None else
                       _goes_on(now, alerting, rule, alert, each))  # fmt: skip
    enabled = {rule.name for rule in alerting.enabled()}
    for key, alert in there.items():
        if key not in now_wrong and (alert.rule in known or alert.rule not in enabled):
            changes.append(_is_gone(now, alerting, alert))
    return changes


def _begin(now: datetime, alerting: Alerting, rule: Rule, seen: Seen) -> Change:
    channels = tuple(c.name for c in alerting.channels if c.wants(rule.name, rule.severity))
    due = now + timedelta(seconds=rule.wait_s)
    news = News("opened", channels, due) if channels and not seen.silent else None
    return Change(None, seen, rule.severity, close=rule.is_event, news=news)


def _goes_on(now: datetime, alerting: Alerting, rule: Rule, alert: OpenAlert, seen: Seen) -> Change:
    why = _why_again(now, rule, alert, seen)
    channels = tuple(c.name for c in alerting.channels if c.wants(alert.rule, alert.severity))
    news = News(why, channels, now) if why and channels else None
    return Change(alert, seen, alert.severity, news=news)


def _why_again(now: datetime, rule: Rule, alert: OpenAlert, seen: Seen) -> str | None:
    """Return why an open alert is told again, if it is."""
    if alert.acked or alert.told_at is None or alert.told_count is None:
        return None
    if rule.grows and seen.count >= alert.told_count * max(rule.grows, 1.5):
        return "grown"
    if rule.repeat_s and now - alert.told_at >= timedelta(seconds=rule.repeat_s):
        return "repeated"
    return None


def _is_gone(now: datetime, alerting: Alerting, alert: OpenAlert) -> Change:
    rule = alerting.rules.get(alert.rule)
    waits = rule is not None and now < alert.opened_at + timedelta(seconds=rule.wait_s)
    is_off = rule is None or not rule.enabled
    if alert.told_at is None and (waits or is_off):
        # Nobody was told, and nobody needs to be.
        return Change(alert, None, close=True, cancel=True)
    since = alert.gone_at or now
    if rule is not None and not is_off and (now - since).total_seconds() < rule.calm_s:
        return Change(alert, None)
    tell = {c.name for c in alerting.channels if c.tell_end} & alert.channels
    news = News("closed", tuple(sorted(tell)), now) if tell else None
    return Change(alert, None, close=True, news=news)
