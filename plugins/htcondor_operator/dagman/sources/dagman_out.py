"""DAGMan's own debug log, ``.dagman.out``: what it did with each node, in its own words.

Several starts of DAGMan (rescues, recoveries) follow each other in one file. The words are those
of HTCondor 8 to 25, at the default verbosity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a line tells."""

    START = "start"
    RECOVERY = "recovery"
    RESCUE = "rescue"
    COUNT = "count"
    EVENT = "event"
    HOLD_REASON = "hold_reason"
    JOB_DONE = "job_done"
    JOB_FAILED = "job_failed"
    JOB_SIGNALLED = "job_signalled"
    SUBMITTING = "submitting"
    ASSIGNED = "assigned"
    SUBMIT_RETRY = "submit_retry"
    SUBMIT_FAILED = "submit_failed"
    PRE_RUNNING = "pre_running"
    PRE_DONE = "pre_done"
    PRE_FAILED = "pre_failed"
    SKIPPED = "skipped"
    POST_RUNNING = "post_running"
    POST_DONE = "post_done"
    POST_FAILED = "post_failed"
    RETRY = "retry"
    NO_RETRY = "no_retry"
    SERVICE = "service"
    DUMP_NODE = "dump_node"
    DUMP_STATUS = "dump_status"
    DUMP_ERROR = "dump_error"
    DUMP_END = "dump_end"
    REMOVING = "removing"
    TABLE = "table"
    STATUS = "status"
    EXIT = "exit"


@dataclass(frozen=True)
class Note:
    """One line that matters."""

    kind: Kind
    time: datetime | None
    node: str | None = None
    word: str = ""
    """Event name, reason or message."""
    job: tuple[int, int, int] | None = None
    number: int | None = None
    numbers: tuple[int, ...] = ()


_STAMP = r"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d\d(?:\d\d)?) (?P<clock>\d\d:\d\d:\d\d)"
_ISO = r"(?P<date>\d{4}-\d\d-\d\d)[ T](?P<iso>\d\d:\d\d:\d\d)"
_WHEN = re.compile(rf"^(?:\([^)]*\) ?)*(?:{_STAMP}|{_ISO})(?:\.\d+)?Z? (?:\([^)]*\) ?)*")
_EVENT_WHEN = re.compile(rf"(?:{_STAMP}|{_ISO})")
_JOB = r"\((?P<cluster>-?\d+)\.(?P<proc>-?\d+)(?:\.(?P<subproc>-?\d+))?\)"
_NODE = r"(?P<node>\S+)"
_CONDOR = r"(?:HT)?Condor (?:Node|Job)"

_LINES: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Kind.EVENT, rf"^Event: (?P<word>ULOG_\w+) for {_CONDOR} {_NODE} {_JOB}"),
        (Kind.HOLD_REASON, r"^\s*Hold reason: (?P<word>.*)"),
        (Kind.JOB_DONE, rf"^Node {_NODE} job proc {_JOB} completed successfully"),
        (Kind.JOB_FAILED, rf"^Node {_NODE} job proc {_JOB} failed with status (?P<n>-?\d+)"),
        (Kind.JOB_SIGNALLED, rf"^Node {_NODE} job proc {_JOB} failed with signal (?P<n>\d+)"),
        (Kind.SUBMITTING, rf"^Submitting (?:HT)?Condor Node {_NODE} job"),
        (Kind.ASSIGNED, rf"^\s*assigned (?:HT)?Condor ID {_JOB}"),
        (Kind.SUBMIT_RETRY, r"^Job submit try (?P<word>\d+/\d+) failed, will try again"),
        (Kind.SUBMIT_FAILED, r"^(?:Job|Node) submit failed after (?P<n>\d+) tr"),
        (Kind.PRE_RUNNING, rf"^Running PRE script of (?i:node) {_NODE}\.\.\.$"),
        (Kind.PRE_DONE, rf"^PRE Script of (?i:node) {_NODE} completed successfully"),
        (Kind.PRE_FAILED, rf"^PRE Script of (?i:node) {_NODE} (?P<word>failed|died) .*"),
        (Kind.SKIPPED, rf"^PRE_SKIP return value .* done \(successfully\) with node {_NODE}"),
        (Kind.POST_RUNNING, rf"^Running POST script of (?i:node) {_NODE}\.\.\.$"),
        (Kind.POST_DONE, rf"^POST Script of (?i:node) {_NODE} completed successfully"),
        (Kind.POST_FAILED, rf"^POST Script of (?i:node) {_NODE} (?P<word>failed|died) .*"),
        (Kind.RETRY, rf"^(?:Retrying|Looking for retry of) node {_NODE} \(retry #(?P<n>\d+) of"),
        (Kind.NO_RETRY, rf"^Aborting further retries of node {_NODE} "),
        (Kind.SERVICE, rf"^Starting service node {_NODE}\.\.\.$"),
        (Kind.DUMP_NODE, rf"^\s+Node Name: {_NODE}$"),
        (Kind.DUMP_STATUS, r"^\s+Node Status: (?P<word>STATUS_\w+)"),
        (Kind.DUMP_ERROR, r"^\s+Error: (?P<word>.*\S)"),
        (Kind.DUMP_END, r"^-+\s+<END>"),
        (Kind.REMOVING, r"^Removing (?:any/all )?submitted "),
        (Kind.START, r"^\*\* .*\(CONDOR_DAGMAN\) STARTING UP"),
        (Kind.RECOVERY, r"^Running in RECOVERY mode"),
        (Kind.RESCUE, r"^(?:Found rescue DAG number|Rescue DAG (?:number|file)|USING RESCUE DAG) "),
        (Kind.COUNT, r"^Dag contains (?P<n>\d+) total"),
        (Kind.TABLE, r"^ {2,}(?P<table>\d+(?: +\d+){6,7})\s*$"),
        (Kind.STATUS, r"^DAG status: (?P<n>\d+) "),
        (Kind.EXIT, r"^\*\*\*\* .*EXITING WITH STATUS (?P<n>-?\d+)"),
    )
)


def parse_dagman_out(text: str) -> Iterator[Note]:
    """Yield the lines of a ``.dagman.out`` that tell something about nodes or about DAGMan."""
    for line in text.splitlines():
        stamp = _WHEN.match(line)
        words = line[stamp.end() :] if stamp else line
        for kind, pattern in _LINES:
            found = pattern.match(words)
            if found is not None:
                yield _note(kind, found, words, _moment(stamp))
                break


def _note(kind: Kind, found: re.Match[str], words: str, time: datetime | None) -> Note:
    given = found.groupdict()
    if kind is Kind.EVENT:
        time = _moment(_EVENT_WHEN.search(words, found.end())) or time
    job = None
    if given.get("cluster"):
        job = (int(given["cluster"]), int(given["proc"]), int(given.get("subproc") or 0))
    script = kind in {Kind.PRE_FAILED, Kind.POST_FAILED}
    message = words[words.index(given["node"]) + len(given["node"]) + 1 :] if script else ""
    return Note(
        kind=kind,
        time=time,
        node=given.get("node"),
        word=message or given.get("word") or "",
        job=job,
        number=int(given["n"]) if given.get("n") else None,
        numbers=tuple(int(part) for part in (given.get("table") or "").split()),
    )


def _moment(found: re.Match[str] | None) -> datetime | None:
    """Return the access point's local time, marked as UTC so that times can be compared."""
    if found is None:
        return None
    if found["date"]:
        return datetime.fromisoformat(f"{found['date']} {found['iso']}").replace(tzinfo=UTC)
    year = found["year"] if len(found["year"]) == 4 else f"20{found['year']}"
    date = f"{year}-{found['month']}-{found['day']} {found['clock']}"
    return datetime.fromisoformat(date).replace(tzinfo=UTC)
