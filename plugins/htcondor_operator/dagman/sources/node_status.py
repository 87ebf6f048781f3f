"""DAGMan's NODE_STATUS_FILE: a snapshot of every node, written at intervals and at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum


class Status(IntEnum):
    """The number behind ``NodeStatus`` and ``DagStatus``."""

    NOT_READY = 0
    READY = 1
    PRERUN = 2
    SUBMITTED = 3
    POSTRUN = 4
    DONE = 5
    ERROR = 6
    FUTILE = 7


@dataclass(frozen=True)
class NodeStatus:
    """One node's entry."""

    node: str
    status: Status
    details: str = ""
    retry: int = 0
    queued: int = 0
    held: int = 0


@dataclass(frozen=True)
class StatusFile:
    """What one snapshot says."""

    time: datetime | None = None
    local: datetime | None = None
    """The same moment in the access point's local time, marked as UTC: the logs' clock."""
    dag_status: Status | None = None
    nodes: Mapping[str, NodeStatus] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether DAGMan wrote it at its end. It may not: then the file is stale."""
        return self.dag_status in {Status.DONE, Status.ERROR, Status.FUTILE}


_BLOCK = re.compile(r"^\s*\[\s*$(.*?)^\s*\]\s*$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r'^\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d+))\s*;', re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)")


def parse_node_status(text: str) -> StatusFile:
    """Read the text of a node status file; entries that are cut off or unknown are left out."""
    time: datetime | None = None
    local: datetime | None = None
    dag_status: Status | None = None
    nodes: dict[str, NodeStatus] = {}
    for block in _BLOCK.finditer(text):
        entry = {
            name: int(number) if number else _ESCAPE.sub(r"\1", word)
            for name, word, number in _FIELD.findall(block[1])
        }
        match entry.get("Type"):
            case "DagStatus":
                time = datetime.fromtimestamp(_whole(entry, "Timestamp"), UTC)
                local = _local(block[1])
                dag_status = _status(entry.get("DagStatus"))
            case "NodeStatus":
                found = _node(entry)
                if found is not None:
                    nodes[found.node] = found
    return StatusFile(time, local, dag_status, nodes)


_LOCAL = re.compile(r'Timestamp = \d+; /\* "\w{3} (\w{3}) +(\d+) (\d\d:\d\d:\d\d) (\d{4})"')


def _local(block: str) -> datetime | None:
    """Return the local time that DAGMan adds as a comment."""
    found = _LOCAL.search(block)
    if found is None or found[1] not in _MONTHS:
        return None
    month = _MONTHS.index(found[1]) + 1
    text = f"{found[4]}-{month:02d}-{int(found[2]):02d} {found[3]}"
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# strptime() would depend on the locale.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _node(entry: Mapping[str, int | str]) -> NodeStatus | None:
    name, status = entry.get("Node"), _status(entry.get("NodeStatus"))
    if not isinstance(name, str) or status is None:
        return None
    return NodeStatus(
        node=name,
        status=status,
        details=str(entry.get("StatusDetails", "")),
        retry=_whole(entry, "RetryCount"),
        queued=_whole(entry, "JobProcsQueued"),
        held=_whole(entry, "JobProcsHeld"),
    )


def _whole(entry: Mapping[str, int | str], name: str) -> int:
    value = entry.get(name, 0)
    return value if isinstance(value, int) else 0


def _status(value: object) -> Status | None:
    try:
        return Status(value)  # type: ignore[arg-type]
    except ValueError:
        return None
