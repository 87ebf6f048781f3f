"""Kind ``engineering``: parts of engineering streams are collected, jitter files made of them.

``<root>.eng`` or ``<root>_<n>.eng``. When the parts of an exposure cover it, it is queued for the
workflow; at the deadline (option ``deadline``, seconds after the first part) with what there is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.arrival_rows import Arrival
from htcondor_operator.blackboard.queue_entries import (
    NewEntry,
    WhenOpen,
    add_entries,
    entry_ids,
    inform,
    resolve,
)
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.options import Options
from htcondor_operator.queue.pollers.telemetry_file import Engineering, read_engineering
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState, Informational

COLLECTING = Informational.COLLECTING_ENG
WORKFLOW = "eng_jitter"
DEADLINE_S = 86_400.0
_NAME = re.compile(r"(?P<root>[a-z0-9][a-z0-9+\-]{0,40})(?:_[0-9]{1,6})?\.eng", re.ASCII)


def make_poller(declaration: Declaration, settings: Settings) -> FolderPoller:
    """Make a poller of engineering streams."""
    return FolderPoller(declaration, settings, EngineeringHandler(declaration, settings))


def covered(parts: Iterable[Engineering]) -> tuple[int, int, list[tuple[int, int]]]:
    """Return how many seconds are there, how many are needed, and the gaps (first, last)."""
    seconds: set[int] = set()
    needed = 0
    for part in parts:
        needed = max(needed, part.needed)
        seconds |= part.seconds
    gaps: list[tuple[int, int]] = []
    for second in range(needed):
        if second in seconds:
            continue
        if gaps and gaps[-1][1] == second - 1:
            gaps[-1] = gaps[-1][0], second
        else:
            gaps.append((second, second))
    return len(seconds & set(range(needed))), needed, gaps


class EngineeringHandler:
    """What is done with parts of engineering streams.

    Parameters
    ----------
    declaration, settings
        What it is, and where everything is.
    """

    once = True

    def __init__(self, declaration: Declaration, settings: Settings) -> None:
        options = Options(declaration)
        self._seconds = options.seconds("deadline", DEADLINE_S)
        options.nothing_else()
        self._declaration = declaration
        self._incoming = settings.incoming
        self._workflow = declaration.workflow.get("single", WORKFLOW)
        self._known: dict[tuple[str, str], Engineering] = {}

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:
        """Read a part."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise Unreadable("its name is not <root>.eng or <root>_<n>.eng")
        found = read_engineering(stream, size)
        said = found.exposure.rootname.lower()
        if said != match["root"]:
            raise Unreadable(f"its ROOTNAME is {said!r}, but its name says {match['root']!r}")
        return Examined(match["root"], "part")

    def place(self, name: str) -> Path:
        """Return where the payload's nodes read deliveries."""
        return self._incoming / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Collect parts; queue the exposures that are covered with them."""
        arrival_rows.settle(
            cur,
            [t.arrival for t in taken],
            ArrivalState.COLLECTED,
            type_=COLLECTING.value,
            reason="waits for the rest of its engineering stream",
        )
        names = sorted({str(t.what.fileset) for t in taken})
        return Counter(collected=len(taken)) + self._go_on(cur, names, late=set())

    def each_round(self, cur: Cursor) -> Mapping[str, int]:
        """Let exposures go on whose deadline is over."""
        waiting = arrival_rows.waiting_of_type(cur, self._declaration.name, [COLLECTING.value])
        numbers = [row.id for rows in waiting.values() for row in rows]
        over = arrival_rows.older_than(cur, numbers, self._seconds) if numbers else set()
        late = {name for name, rows in waiting.items() if any(row.id in over for row in rows)}
        return self._go_on(cur, sorted(late), late=late)

    def _go_on(self, cur: Cursor, names: Sequence[str], *, late: set[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        if not names:
            return counts
        by_name: dict[str, list[Arrival]] = {name: [] for name in names}
        for row in arrival_rows.of_filesets(cur, self._declaration.name, names):
            by_name[str(row.fileset)].append(row)
        for name, rows in by_name.items():
            there, needed, gaps = covered(self._parts(rows))
            if gaps and name not in late:
                missing = ", ".join(f"{a} to {b}" if a < b else f"{a}" for a, b in gaps[:5])
                reason = f"{there} of {needed} s, without {missing}"
                inform(cur, name, COLLECTING, reason, requested_by=self._declaration.name)
                continue
            reason = f"deadline: {there} of {needed} s" if gaps else f"covered: {needed} s"
            self._enter(
                cur, name, reason, [row for row in rows if row.state != ArrivalState.QUEUED]
            )
            counts["queued"] += 1
        return counts

    def _parts(self, rows: Iterable[Arrival]) -> list[Engineering]:
        """Read the parts; one that was replaced or cannot be read counts for nothing."""
        found: dict[str, Engineering] = {}
        for row in rows:
            key = row.name, row.sha256
            if key not in self._known:
                try:
                    with filing.opened(Path(row.path)) as stream:
                        if filing.digest_of(stream) != row.sha256:
                            continue
                        stream.seek(0)
                        self._known[key] = read_engineering(stream, row.bytes)
                except (OSError, filing.Changed, Unreadable):
                    continue
            found[row.name] = self._known[key]
        if len(self._known) > 10_000:
            self._known.clear()
        return list(found.values())

    def _enter(self, cur: Cursor, fileset: str, reason: str, rows: Sequence[Arrival]) -> None:
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
            [row.id for row in rows],
            ArrivalState.QUEUED,
            type_=self._workflow,
            reason=reason,
            entries={row.id: number for row in rows},
        )
        resolve(cur, COLLECTING, [fileset])
