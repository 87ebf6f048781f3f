"""Kind ``delivery``: notices (``NAME.dan.json``) of what was sent become receipts.

A notice waits until the files that it names are in their place, at the most ``deadline`` seconds
(option); then it is queued, and the workflow checks the delivery against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.queue_entries import (
    NewEntry,
    WhenOpen,
    add_entries,
    entry_ids,
)
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.filing import files
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.options import Options
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState

NOTICE = ".dan.json"
WORKFLOW = "dan_receipt"
DEADLINE_S = 600.0
_MOST_BYTES = 32 << 20
_DELIVERY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+\-]{0,62}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+\-]{0,120}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@dataclass(frozen=True)
class Sent:
    """One file of a notice."""

    name: str
    size: int


def make_poller(declaration: Declaration, settings: Settings) -> FolderPoller:
    """Make a poller of delivery notices."""
    return FolderPoller(declaration, settings, DeliveryHandler(declaration, settings))


def parse_notice(text: bytes, delivery: str) -> tuple[Sent, ...]:
    """Return the files that a notice names.

    Raises
    ------
    Unreadable
        It is no notice of `delivery`; field and value are named.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"it is no JSON: {error}") from error
    if not isinstance(content, dict) or str(content.get("delivery", "")).lower() != delivery:
        said = content.get("delivery") if isinstance(content, dict) else None
        raise Unreadable(f"its delivery is {said!r}, but its name says {delivery!r}")
    files = content.get("files")
    if not isinstance(files, list) or not files:
        raise Unreadable("its files are not a list of {name, bytes, sha256}")
    return tuple(_sent(number, item) for number, item in enumerate(files))


def _sent(number: int, item: object) -> Sent:
    fields = item if isinstance(item, dict) else {}
    name, size, digest = (fields.get(key) for key in ("name", "bytes", "sha256"))
    if not isinstance(name, str) or not _FILE.fullmatch(name):
        raise Unreadable(f"its files[{number}].name {name!r} is not a plain file name")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise Unreadable(f"its files[{number}].bytes {size!r} is not a size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise Unreadable(f"its files[{number}].sha256 {digest!r} is not 64 hexadecimal digits")
    return Sent(name, size)


class DeliveryHandler:
    """What is done with notices."""

    once = True

    def __init__(self, declaration: Declaration, settings: Settings) -> None:
        options = Options(declaration)
        self._seconds = options.seconds("deadline", DEADLINE_S)
        options.nothing_else()
        self._declaration = declaration
        self._incoming = settings.incoming
        self._workflow = declaration.workflow.get("single", WORKFLOW)
        self._notices: dict[int, tuple[Sent, ...] | None] = {}

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:
        """Read a notice."""
        stem = name.removesuffix(NOTICE)
        if stem == name or not _DELIVERY.fullmatch(stem):
            raise Unreadable(f"its name is not <delivery>{NOTICE}")
        if size > _MOST_BYTES:
            raise Unreadable("it is too long for a notice")
        parse_notice(stream.read(), stem.lower())
        return Examined(stem.lower(), "notice")

    def place(self, name: str) -> Path:
        """Return where the payload's nodes read deliveries."""
        return self._incoming / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Let notices wait for what they name; the same round looks whether it is there."""
        arrival_rows.settle(
            cur,
            [t.arrival for t in taken],
            ArrivalState.COLLECTED,
            type_=self._workflow,
            reason="waits for the files that it names",
        )
        return {"notices": len(taken)}

    def each_round(self, cur: Cursor) -> Mapping[str, int]:
        """Queue the notices whose files are there, or whose deadline is over."""
        waiting = arrival_rows.of_poller(cur, self._declaration.name, ArrivalState.COLLECTED)
        late = arrival_rows.older_than(cur, [row.id for row in waiting], self._seconds)
        queued = 0
        for row in waiting:
            missing = self._missing(row)
            if missing and row.id not in late:
                reason = f"waits for {files(len(missing))}: {', '.join(missing[:5])}"
                if reason != row.reason:
                    arrival_rows.settle(cur, [row.id], ArrivalState.COLLECTED, reason=reason)
                continue
            self._enter(cur, row, missing)
            queued += 1
        self._notices = {row.id: self._notices[row.id] for row in waiting}
        return {"queued": queued} if queued else {}

    def _missing(self, row: arrival_rows.Arrival) -> list[str]:
        """Return the files of a notice that are not in their place."""
        if row.id not in self._notices:
            try:
                with filing.opened(Path(row.path)) as stream:
                    self._notices[row.id] = parse_notice(stream.read(), str(row.fileset))
            except (OSError, filing.Changed, Unreadable):
                self._notices[row.id] = None  # the workflow says what is wrong with it
        files = self._notices[row.id] or ()
        return [sent.name for sent in files if not self._is_there(sent)]

    def _is_there(self, sent: Sent) -> bool:
        try:
            return (self._incoming / sent.name).stat().st_size == sent.size
        except OSError:
            return False

    def _enter(self, cur: Cursor, row: arrival_rows.Arrival, missing: Sequence[str]) -> None:
        fileset = str(row.fileset)
        reason = f"deadline: without {files(len(missing))}" if missing else f"delivered: {row.name}"
        entry = NewEntry(
            fileset=fileset,
            type=self._workflow,
            priority=self._declaration.priority,
            instrument=self._declaration.instrument,
            reason=reason,
            requested_by=self._declaration.name,
        )
        add_entries(cur, [entry], when_open=WhenOpen.WAIT)
        number = entry_ids(cur, self._workflow, [fileset])[fileset]
        arrival_rows.settle(
            cur,
            [row.id],
            ArrivalState.QUEUED,
            type_=self._workflow,
            reason=reason,
            entries={row.id: number},
        )
