"""DAGMan's ``.nodes.log``, or any other user log in HTCondor's text format.

Dates may be ``02/13 11:59:47`` (no year), ``02/13/25 11:59:47`` or ISO, with or without fractions
of a second, and in UTC when a ``Z`` follows. Only the first event of a cluster names its node: in
words (``DAG Node: A``) or, since 25.x, as a ClassAd (``[ DAGNodeName = "A"; ... ]``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from htcondor_operator.dagman.events import EventType, Fact, JobEvent, clean_text

NOOP_PROC = 2**31 - 1
"""Proc of the events that DAGMan itself writes for NOOP nodes; the subproc tells them apart."""

_HEAD = re.compile(
    r"^(\d{3}) \((-?\d+)\.(-?\d+)\.(-?\d+)\) "
    r"(\d{4}-\d\d-\d\d[ T]|\d\d/\d\d(?:/\d\d(?:\d\d)?)? )(\d\d:\d\d:\d\d(?:\.\d+)?)(Z?) ?(.*)$"
)
_NODE = re.compile(r'^\s*DAG Node: (\S+)|\bDAGNodeName\s*=\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)
_END = re.compile(r"\((?:\d)\) (Normal|Abnormal) termination \((?:return value|signal) (-?\d+)\)")
_USAGE = re.compile(r"(Usr \d+ [\d:]+, Sys \d+ [\d:]+)\s+-\s+(Run|Total) Remote Usage")
_MEMORY = re.compile(r"^\s*Memory \(MB\)\s*:\s*(\d+)\s+(\d+)\s+\d+\s*$", re.MULTILINE)
_DISK = re.compile(r"^\s*Disk \(KB\)\s*:\s*(\d+)\s+\d+\s+\d+\s*$", re.MULTILINE)
_SLOT = re.compile(r"^\s*SlotName: (\S+)", re.MULTILINE)
_ADDRESS = re.compile(r"(<[^>]*>)")
_CODES = re.compile(r"^\s*Code (-?\d+) Subcode (-?\d+)", re.MULTILINE)
_IMAGE = re.compile(r"^\s*(\d+)\s+-\s+(MemoryUsage|ResidentSetSize) of job", re.MULTILINE)
_TRANSFERS = (
    ("Entered queue to transfer input", 1),
    ("Started transferring input", 2),
    ("Finished transferring input", 3),
    ("Entered queue to transfer output", 4),
    ("Started transferring output", 5),
    ("Finished transferring output", 6),
)


@dataclass(frozen=True)
class NodesLog:
    """The events of a log in its order, each with its node and try."""

    events: list[JobEvent] = field(default_factory=list)
    utc: bool = False
    """Whether the times are UTC; otherwise they are the access point's local time."""


def parse_nodes_log(text: str, year: int = 1970) -> NodesLog:
    """Read a log; a last event that is not complete yet is left out.

    Parameters
    ----------
    text
        The log.
    year
        Year of dates that have none.
    """
    names = _Names()
    events: list[JobEvent] = []
    utc = False
    for block in _blocks(text):
        head = _HEAD.match(block[0])
        if head is None:
            continue
        body = "\n".join(block[1:])
        number, cluster, proc, subproc = (int(part) for part in head.groups()[:4])
        when = _moment(head[5].strip(" T"), head[6], year)
        utc = utc or head[7] == "Z"
        node, retry = names.of(number, (cluster, subproc if proc == NOOP_PROC else 0), body)
        facts = {**_facts(number, head[8], body)}
        events.append(JobEvent(cluster, proc, number, when, node, None, retry, facts))
    return NodesLog(events, utc)


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if line.rstrip() == "...":
            if block:
                yield block
            block = []
        else:
            block.append(line)


def _moment(day: str, clock: str, year: int) -> datetime:
    parts = day.split("/")
    if len(parts) == 1:
        date = day
    elif len(parts) == 2:
        date = f"{year:04d}-{parts[0]}-{parts[1]}"
    else:
        full = parts[2] if len(parts[2]) == 4 else f"20{parts[2]}"
        date = f"{full}-{parts[0]}-{parts[1]}"
    hms, _, fraction = clock.partition(".")
    moment = datetime.fromisoformat(f"{date} {hms}").replace(tzinfo=UTC)
    return moment.replace(microsecond=int(f"{fraction:0<6}"[:6])) if fraction else moment


class _Names:
    """Whose cluster is whose, and which try of its node it is."""

    def __init__(self) -> None:
        self._node: dict[tuple[int, int], str] = {}
        self._tries: dict[str, list[tuple[int, int]]] = {}

    def of(self, number: int, job: tuple[int, int], body: str) -> tuple[str | None, int]:
        """Return node and try of a job; its event may name the node."""
        named = _NODE.search(body) if number in _NAMING else None
        if named is not None:
            node = clean_text(named[1] or re.sub(r"\\(.)", r"\1", named[2]))
            self._node[job] = node
            tries = self._tries.setdefault(node, [])
            if job not in tries and number != EventType.POST_SCRIPT_TERMINATED:
                tries.append(job)
        known = self._node.get(job)
        if known is None:
            return None, 0
        tries = self._tries.get(known, [])
        return known, tries.index(job) if job in tries else max(0, len(tries) - 1)


_NAMING = frozenset(
    {
        EventType.SUBMIT,
        EventType.POST_SCRIPT_TERMINATED,
        EventType.PRE_SKIP,
        EventType.CLUSTER_SUBMIT,
    }
)


def _facts(number: int, words: str, body: str) -> Mapping[str, Fact]:
    reader = _READERS.get(number)
    return reader(words, body) if reader else {}


def _ended(_words: str, body: str) -> Mapping[str, Fact]:
    facts: dict[str, Fact] = {}
    if end := _END.search(body):
        normal = end[1] == "Normal"
        facts["TerminatedNormally"] = normal
        facts["ReturnValue" if normal else "TerminatedBySignal"] = int(end[2])
    for usage, what in _USAGE.findall(body):
        facts[f"{what}RemoteUsage"] = usage
    if memory := _MEMORY.search(body):
        facts["MemoryUsage"], facts["RequestMemory"] = int(memory[1]), int(memory[2])
    if disk := _DISK.search(body):
        facts["DiskUsage"] = int(disk[1])
    return facts


def _executing(words: str, body: str) -> Mapping[str, Fact]:
    facts: dict[str, Fact] = {}
    if address := _ADDRESS.search(words):
        facts["ExecuteHost"] = address[1]
    if slot := _SLOT.search(body):
        facts["SlotName"] = slot[1]
    return facts


def _first_line(name: str) -> Callable[[str, str], Mapping[str, Fact]]:
    def read(_words: str, body: str) -> Mapping[str, Fact]:
        line = next((line.strip() for line in body.splitlines() if line.strip()), "")
        return {name: clean_text(line)} if line else {}

    return read


def _held(words: str, body: str) -> Mapping[str, Fact]:
    facts = dict(_first_line("HoldReason")(words, body))
    if codes := _CODES.search(body):
        facts["HoldReasonCode"], facts["HoldReasonSubCode"] = int(codes[1]), int(codes[2])
    return facts


def _image(_words: str, body: str) -> Mapping[str, Fact]:
    return {name: int(value) for value, name in _IMAGE.findall(body)}


def _generic(words: str, _body: str) -> Mapping[str, Fact]:
    return {"Info": clean_text(words)}


def _transfer(words: str, _body: str) -> Mapping[str, Fact]:
    kinds = [kind for text, kind in _TRANSFERS if words.startswith(text)]
    return {"Type": kinds[0]} if kinds else {}


_READERS: Mapping[int, Callable[[str, str], Mapping[str, Fact]]] = {
    EventType.EXECUTE: _executing,
    EventType.EVICTED: _ended,
    EventType.TERMINATED: _ended,
    EventType.IMAGE_SIZE: _image,
    EventType.SHADOW_EXCEPTION: _first_line("Message"),
    EventType.GENERIC: _generic,
    EventType.ABORTED: _first_line("Reason"),
    EventType.HELD: _held,
    EventType.RELEASED: _first_line("Reason"),
    EventType.POST_SCRIPT_TERMINATED: _ended,
    EventType.DISCONNECTED: _first_line("DisconnectReason"),
    EventType.RECONNECT_FAILED: _first_line("Reason"),
    EventType.FILE_TRANSFER: _transfer,
}
