"""Kind ``telemetry``: exposures, association tables and their companions become entries.

A single exposure goes to the workflow ``single``, a member of an association is collected for the
workflow ``association``. Options: ``association_deadline`` (seconds that an association waits for
its members), ``needs: [jit]`` with ``jit_deadline`` (exposures wait for their jitter file).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
from htcondor_operator.queue.pollers import deliveries, filing
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.collecting import Collector
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.jitter import Jitter
from htcondor_operator.queue.pollers.options import Options
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState, ErrorKind, OwlError

ASSOCIATION_DEADLINE_S = 86_400.0
JITTER_DEADLINE_S = 86_400.0


def make_poller(declaration: Declaration, settings: Settings) -> FolderPoller:
    """Make a poller of exposures."""
    return FolderPoller(declaration, settings, TelemetryHandler(declaration, settings))


class TelemetryHandler:
    """What is done with the files of exposures.

    Parameters
    ----------
    declaration, settings
        What it is, and where everything is.
    """

    once = True

    def __init__(self, declaration: Declaration, settings: Settings) -> None:
        if "single" not in declaration.workflow:
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"Poller {declaration.name}: workflow {dict(declaration.workflow)!r} is not right: "
                "name a workflow, or {single: ..., association: ...}.",
            )
        options = Options(declaration)
        deadline = options.seconds("association_deadline", ASSOCIATION_DEADLINE_S)
        jitter_deadline = options.seconds("jit_deadline", JITTER_DEADLINE_S)
        needs_jitter = "jit" in options.words("needs", {"jit"})
        options.nothing_else()
        self._declaration = declaration
        self._incoming = settings.incoming
        self._single = declaration.workflow["single"]
        association = declaration.workflow.get("association")
        self._collector = association and Collector(
            poller=declaration.name,
            instrument=declaration.instrument,
            priority=declaration.priority,
            workflow=association,
            single_workflow=self._single,
            seconds=deadline,
            templates=settings.templates,
        )
        self._needs_jitter = needs_jitter
        # What waited when the declaration said so goes on at once when it no longer does.
        self._jitter = Jitter(declaration.name, jitter_deadline if needs_jitter else 0.0)

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:
        """Read headers or packets."""
        return deliveries.examine(name, stream, size, self._declaration.instrument)

    def place(self, name: str) -> Path:
        """Return where the payload's nodes read deliveries."""
        return self._incoming / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Queue what can go, collect what waits."""
        counts: Counter[str] = Counter()
        by_use: dict[str, list[Taken]] = {}
        later = {item.verdict.name for item in taken}
        for item in taken:
            by_use.setdefault(item.what.use, []).append(item)
            later.discard(item.verdict.name)
            # Of two forms in one round the one that is delivered last stays.
            for name in set(deliveries.replaced_by(item.verdict.name)) - later:
                filing.drop(self._incoming / name)
        companions = by_use.get(deliveries.COMPANION, [])
        arrival_rows.settle(cur, [t.arrival for t in companions], ArrivalState.STORED)
        counts["stored"] += len(companions)
        exposures = by_use.get(deliveries.EXPOSURE, [])
        if self._needs_jitter and exposures:
            exposures, waiting = self._jitter.sort(cur, exposures)
            counts["awaiting_jitter"] += waiting
        counts.update(self._enter(cur, exposures, by_use.get(deliveries.TABLE, [])))
        return +counts

    def each_round(self, cur: Cursor) -> Mapping[str, int]:
        """Release what waited for jitter; let associations go on whose deadline is over."""
        counts: Counter[str] = Counter()
        ready = self._jitter.release(cur, self.examine)
        self._jitter.follow(cur)
        if ready:
            counts["jitter_released"] += len(ready)
            counts.update(self._enter(cur, ready, []))
        if self._collector:
            counts.update(self._collector.expire(cur))
        return counts

    def _enter(
        self, cur: Cursor, exposures: Sequence[Taken], tables: Sequence[Taken]
    ) -> Counter[str]:
        counts: Counter[str] = Counter()
        if self._collector:
            members = [t for t in exposures if t.what.facts["association"]]
            singles = [t for t in exposures if not t.what.facts["association"]]
            counts.update(self._collector.collect(cur, members, tables))
        else:
            singles = list(exposures)
            arrival_rows.settle(cur, [t.arrival for t in tables], ArrivalState.STORED)
        counts.update(self._enter_singles(cur, singles))
        return counts

    def _enter_singles(self, cur: Cursor, singles: Sequence[Taken]) -> Counter[str]:
        if not singles:
            return Counter()
        entries = [
            NewEntry(
                fileset=str(t.what.fileset),
                type=self._single,
                priority=self._declaration.priority,
                instrument=self._declaration.instrument,
                reason=f"delivered: {t.verdict.name}",
                requested_by=self._declaration.name,
            )
            for t in singles
        ]
        added = add_entries(cur, entries, when_open=WhenOpen.WAIT)
        numbers = entry_ids(cur, self._single, [entry.fileset for entry in entries])
        arrival_rows.settle(
            cur,
            [t.arrival for t in singles],
            ArrivalState.QUEUED,
            type_=self._single,
            entries={t.arrival: numbers[str(t.what.fileset)] for t in singles},
        )
        return +Counter(queued=added.added, merged=added.merged)
