"""Kind ``references`` (CRDS): mapping deliveries become contexts, and proposals to reprocess.

Rules (``.imap``, ``.rmap``) go to the site's mappings at once: nobody reads them before a context
names them. A context (``.pmap``) waits until all that it names is there, at the most ``deadline``
seconds (option); then it goes there too, which makes it the one that calibration uses, the payload
compares it with the one before, and the datasets that change are proposed as a campaign.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.arrival_rows import Arrival
from htcondor_operator.queue.campaigns.mapping_files import (
    CONTEXT,
    current_context,
    mapping_folder,
    missing_mappings,
    read_mapping,
    read_names,
)
from htcondor_operator.queue.campaigns.proposals import find_affected, propose
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.options import Options
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState

DEADLINE_S = 3_600.0
WAITING = "waiting"
"""Folder below the landing folder where contexts wait for their rules."""

_MOST_BYTES = 4 << 20
"""A mapping is parsed as Python, which takes 300 times its size of memory."""


class ReferenceHandler:
    """What is done with mappings."""

    once = True

    def __init__(self, declaration: Declaration, settings: Settings) -> None:
        options = Options(declaration)
        self._deadline_s = options.seconds("deadline", DEADLINE_S)
        options.nothing_else()
        self._name = declaration.name
        self._settings = settings
        self._folder = mapping_folder(settings.references)
        self._waiting = settings.incoming / (declaration.directory or "") / WAITING
        self._quarantine = settings.quarantine / declaration.name

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:
        """Check a mapping by itself, and that it does not replace another."""
        if size > _MOST_BYTES:
            raise Unreadable("it is too long for a mapping")
        content = stream.read()
        mapping = read_mapping(name, content)
        there = self._folder / name
        if there.is_file() and there.read_bytes() != content:
            raise Unreadable("there is another mapping of this name: mappings are never changed")
        return Examined(None, mapping.suffix)

    def place(self, name: str) -> Path:
        """Return where a mapping goes first."""
        return (self._waiting if name.endswith(CONTEXT) else self._folder) / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Keep rules; let contexts wait: the same round looks whether all is there."""
        rules = [each.arrival for each in taken if each.what.use != CONTEXT]
        contexts = [each.arrival for each in taken if each.what.use == CONTEXT]
        arrival_rows.settle(cur, rules, ArrivalState.STORED)
        arrival_rows.settle(cur, contexts, ArrivalState.COLLECTED, reason="waits for its rules")
        return {name: n for name, n in (("rules", len(rules)), ("contexts", len(contexts))) if n}

    def each_round(self, cur: Cursor) -> Mapping[str, int]:
        """Take the contexts whose rules are there, or whose deadline is over."""
        counts: Counter[str] = Counter()
        for row in arrival_rows.of_poller(cur, self._name, ArrivalState.COLLECTED):
            try:
                counts.update(self._context(cur, row))
            except Unreadable as fault:
                self._refuse(cur, row, filing.said(str(fault)))
                counts["quarantined"] += 1
            except FileNotFoundError:
                words = "it vanished while it waited for its rules: deliver it again"
                arrival_rows.settle(cur, [row.id], ArrivalState.QUARANTINED, reason=words)
                counts["lost"] += 1
        return counts

    def _context(self, cur: Cursor, row: Arrival) -> dict[str, int]:
        target = self._folder / row.name
        # After a crash it may be there already.
        path = target if target.is_file() else self._waiting / row.name
        missing = self._missing(row.name, path)
        if missing:
            words = f"waits for {len(missing)} rules: {', '.join(missing[:5])}"
            if arrival_rows.older_than(cur, [row.id], self._deadline_s):
                raise Unreadable(f"{words}; none came within {self._deadline_s:g} s")
            if words != row.reason:
                arrival_rows.settle(cur, [row.id], ArrivalState.COLLECTED, reason=words)
            return {}
        return self._compare(cur, row, path, target)

    def _missing(self, name: str, path: Path) -> list[str]:
        """Return what a delivery lacks; what the site lacked before it is not waited for."""
        missing = missing_mappings(self._folder, read_mapping(name, path.read_bytes()))
        before = self._before(name)
        if not missing or before is None:
            return missing
        old = read_names(self._folder / before)
        return sorted(set(missing) - set(missing_mappings(self._folder, old)))

    def _compare(self, cur: Cursor, row: Arrival, path: Path, target: Path) -> dict[str, int]:
        old = self._before(row.name)
        filing.move(path, target) if path != target else None
        arrival_rows.stays(cur, row.id, str(target), "")
        if old is None or old == row.name:
            words = "the first context" if old is None else "in use already"
            arrival_rows.settle(cur, [row.id], ArrivalState.STORED, reason=words)
            return {"stored": 1}
        affected = find_affected(cur, self._settings, old, row.name)
        name = propose(
            cur, self._settings.templates, affected, old=old, new=row.name, by=self._name
        )
        words = f"campaign {name}" if name else f"changes nothing archived since {old}"
        arrival_rows.settle(cur, [row.id], ArrivalState.STORED, reason=words)
        return {"proposed": 1} if name else {"stored": 1}

    def _before(self, new: str) -> str | None:
        """Return the context that was used before `new` came."""
        current = current_context(self._folder)
        if current != new:
            return current
        earlier = sorted(p.name for p in self._folder.glob("hst_*.pmap") if p.name < new)
        return earlier[-1] if earlier else None

    def _refuse(self, cur: Cursor, row: Arrival, why: str) -> None:
        target = filing.quarantine_path(self._quarantine, row.name, row.sha256)
        facts = {
            "poller": self._name,
            "name": row.name,
            "reason": why,
            "arrival": row.id,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        filing.write_reason(target, facts)
        for place in (self._folder, self._waiting):
            if os.path.lexists(place / row.name):
                filing.move(place / row.name, target)
        arrival_rows.settle(cur, [row.id], ArrivalState.QUARANTINED)
        arrival_rows.stays(cur, row.id, str(target), why)


def make_poller(declaration: Declaration, settings: Settings) -> FolderPoller:
    """Make a poller of mapping deliveries."""
    return FolderPoller(declaration, settings, ReferenceHandler(declaration, settings))
