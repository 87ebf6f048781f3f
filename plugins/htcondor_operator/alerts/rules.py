"""What may be wrong: the rules, their limits, and how the file changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is; the order counts."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Larger is worse."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Rule:
    """A rule as it is in force.

    Parameters
    ----------
    name
        One of :data:`RULES`.
    severity
        Of its alerts.
    wait_s
        The first message comes so long after the beginning: what is over before is not told, and
        a storm that breaks out meanwhile is one message.
    calm_s
        It must not be seen for so long to be over.
    repeat_s
        What is still open is told again after so long; 0: never.
    grows
        It is told again when its count is so many times the one told before; 0: never.
    limits
        What only this rule knows.
    is_event
        It happens once, rather than lasts: it closes at once, without a word.
    enabled
        Whether it is looked at.
    """

    name: str
    severity: Severity
    wait_s: float = 30.0
    calm_s: float = 60.0
    repeat_s: float = 86_400.0
    grows: float = 10.0
    limits: Mapping[str, float] = field(default_factory=dict)
    is_event: bool = False
    enabled: bool = True


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("dataset_failed", Severity.ERROR, limits={"datasets": 1}),
        Rule("dataset_held", Severity.WARNING, limits={"seconds": 1800}),
        Rule("dataset_slow", Severity.WARNING, limits={"seconds": 6 * 3600}),
        Rule("poller_stale", Severity.ERROR, limits={"seconds": 300, "round": 3600}),
        Rule("backlog", Severity.WARNING, limits={"seconds": 3600}),
        Rule("mirror_lag", Severity.WARNING, limits={"seconds": 60}),
        Rule("pool_empty", Severity.CRITICAL, wait_s=120.0),
        Rule("daemon_silent", Severity.CRITICAL, limits={"seconds": 60}),
        Rule("campaign_done", Severity.INFO, wait_s=0.0, is_event=True, limits={"recent": 86_400}),
        Rule("campaign_stalled", Severity.WARNING, limits={"seconds": 3600}),
    )
}
"""The rules with the values that hold where the file says nothing."""

SITE_RULES = frozenset({"mirror_lag", "pool_empty", "daemon_silent"})
"""They are about no DAG's runs: everybody who may read anything may know."""


@dataclass(frozen=True)
class Channel:
    """Somebody who is told.

    Parameters
    ----------
    name
        Unique in the file; messages are kept by it.
    notifier
        Dotted path of an Airflow notifier.
    arguments
        Of the notifier; texts are Jinja templates that know ``alert`` and ``alerts``.
    rules
        The rules that it is told of; empty: all.
    at_least
        Only alerts that are at least so bad.
    tell_end
        Whether it is told that something is over.
    timeout_s
        Seconds for one message; after them the channel counts as down.
    """

    name: str
    notifier: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    rules: frozenset[str] = frozenset()
    at_least: Severity = Severity.INFO
    tell_end: bool = True
    timeout_s: float = 30.0

    def wants(self, rule: str, severity: Severity) -> bool:
        """Whether an alert is for this channel."""
        return severity.rank >= self.at_least.rank and (not self.rules or rule in self.rules)


@dataclass(frozen=True)
class Alerting:
    """What the file says."""

    rules: Mapping[str, Rule]
    channels: tuple[Channel, ...] = ()

    def enabled(self) -> list[Rule]:
        """Return the rules that are looked at."""
        return [rule for rule in self.rules.values() if rule.enabled]
