"""One HTCondor job event as plain data, whatever file or binding it was read from.

The names of the facts are HTCondor's own attribute names (``ReturnValue``, ``HoldReason``, ...),
the same in the schedd's event log, in a DAG's ``.nodes.log`` and in a job ad.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum


class EventType(IntEnum):
    """HTCondor's event numbers, as far as they matter here."""

    SUBMIT = 0
    EXECUTE = 1
    EXECUTABLE_ERROR = 2
    CHECKPOINTED = 3
    EVICTED = 4
    TERMINATED = 5
    IMAGE_SIZE = 6
    SHADOW_EXCEPTION = 7
    GENERIC = 8
    ABORTED = 9
    SUSPENDED = 10
    UNSUSPENDED = 11
    HELD = 12
    RELEASED = 13
    POST_SCRIPT_TERMINATED = 16
    DISCONNECTED = 22
    RECONNECTED = 23
    RECONNECT_FAILED = 24
    GRID_SUBMIT = 27
    JOB_AD_INFORMATION = 28
    STATUS_UNKNOWN = 29
    STATUS_KNOWN = 30
    ATTRIBUTE_UPDATE = 33
    PRE_SKIP = 34
    CLUSTER_SUBMIT = 35
    CLUSTER_REMOVE = 36
    FACTORY_PAUSED = 37
    FACTORY_RESUMED = 38
    FILE_TRANSFER = 40
    DATAFLOW_JOB_SKIPPED = 46


Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job, with the facts that HTCondor gave about it."""

    cluster: int
    proc: int
    type: int
    time: datetime
    node: str | None = None
    """DAGNodeName; None when the event does not say (then the cluster tells)."""
    dagman: int | None = None
    """Cluster of the DAGMan job that submitted this one."""
    retry: int = 0
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return a fact as a string, None when absent or empty."""
        value = self.facts.get(name)
        return value if isinstance(value, str) and value else None

    def number(self, name: str) -> float | None:
        """Return a fact as a number, None when absent."""
        value = self.facts.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        return None

    def whole(self, name: str) -> int | None:
        """Return a fact as a whole number, None when absent."""
        value = self.number(name)
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        """Return whether a fact is true."""
        return self.facts.get(name) is True


# NUL cannot be stored by PostgreSQL, surrogates (odd bytes in job output) not be encoded.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(value: str) -> str:
    """Return `value` without the characters that no database column accepts."""
    return _UNSTORABLE.sub("\ufffd", value)


def event_from_ad(ad: Mapping[str, object]) -> JobEvent | None:
    """Read a job-ad-information event (028) of an event log; None for any other event.

    `ad` holds the original event's attributes, those of the job that the pool's configuration
    asks for, and ``TriggerEventTypeNumber``. The reader must run with TZ=UTC: the bindings give
    ``EventTime`` in local time without a zone, whatever the file says (seen in 25.14.1).
    """
    if ad.get("EventTypeNumber") != EventType.JOB_AD_INFORMATION:
        return None
    trigger = ad.get("TriggerEventTypeNumber")
    when = ad.get("EventTime")
    cluster, proc = ad.get("Cluster"), ad.get("Proc", -1)
    if not (
        isinstance(trigger, int)
        and isinstance(when, str)
        and isinstance(cluster, int)
        and isinstance(proc, int)
    ):
        return None
    facts = {
        name: clean_text(value) if isinstance(value, str) else value
        for name, value in ad.items()
        if isinstance(value, str | int | float) and name not in _ENVELOPE
    }
    node, dagman, retry = ad.get("DAGNodeName"), ad.get("DAGManJobId"), ad.get("DAGManNodeRetry")
    return JobEvent(
        cluster=cluster,
        proc=proc,
        type=trigger,
        time=parse_time(when),
        node=clean_text(node) if isinstance(node, str) else None,
        dagman=dagman if isinstance(dagman, int) else None,
        retry=retry if isinstance(retry, int) else 0,
        facts=facts,
    )


_ENVELOPE = frozenset(
    {"MyType", "TargetType", "EventTypeNumber", "TriggerEventTypeNumber", "TriggerEventTypeName"}
    | {"EventTime", "Cluster", "Proc", "Subproc", "DAGNodeName", "DAGManJobId", "DAGManNodeRetry"}
)


def parse_time(text: str) -> datetime:
    """Return an ISO time of HTCondor as an aware datetime; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_USAGE = re.compile(r"Usr (\d+) (\d+):(\d+):(\d+), Sys (\d+) (\d+):(\d+):(\d+)")


def parse_usage(text: str | None) -> tuple[float, float] | None:
    """Return user and system CPU seconds of HTCondor's ``Usr 0 00:00:05, Sys 0 00:00:00``."""
    match = _USAGE.search(text or "")
    if match is None:
        return None
    d, h, m, s, sys_d, sys_h, sys_m, sys_s = (int(part) for part in match.groups())
    return (
        float(((d * 24 + h) * 60 + m) * 60 + s),
        float(((sys_d * 24 + sys_h) * 60 + sys_m) * 60 + sys_s),
    )
