"""From a landing folder to the journal, to its place, to the queue: at any crash point once.

A file's way: the journal says ``accepted`` (committed) -> it is moved to its place -> one
transaction says what became of it, with its entry. A round begins by finishing what a crash left
between the first and the last step. What is bad is journalled as quarantined before it is moved;
a crash in between lets the next round find the file, and the row, again.
"""

from __future__ import annotations

import fnmatch
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.arrival_rows import Arrival, NewArrival
from htcondor_operator.blackboard.link import Link
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.arrival_plan import Action, Plan, plan
from htcondor_operator.queue.pollers.checksums import companion_fault
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.deliveries import replaced_by
from htcondor_operator.queue.pollers.filing import files
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.kinds import RoundResult
from htcondor_operator.queue.pollers.scanning import Found, Look, Scanner, Stamp
from htcondor_operator.queue.pollers.verdicts import Examined, Taken, Verdict
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState, ErrorKind, OwlError

MOST_FILES = 500
"""So many files in one round at the most; the next one follows at once."""

_COUNTED = {Action.DUPLICATE: "duplicate", Action.QUARANTINE: "quarantined"}

log = logging.getLogger(__name__)


class Handler(Protocol):
    """What one kind of poller does with delivered files."""

    once: bool
    """Whether a file is taken once for its content."""

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:
        """Say what a file is; raise :class:`Unreadable` when it is bad."""

    def place(self, name: str) -> Path:
        """Return where a good file goes."""

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Do what follows from good files in their places; return what was done, counted.

        It must say of each of them what became of it (:func:`arrival_rows.settle`).
        """

    def each_round(self, cur: Cursor) -> Mapping[str, int]:
        """Do what is due without a file (deadlines)."""


@dataclass(frozen=True)
class _Planned:
    """A file, what is done with it, and where it goes."""

    verdict: Verdict
    plan: Plan
    target: Path
    number: int = 0


class FolderPoller:
    """A poller that watches a folder; its :class:`Handler` knows what the files are.

    Parameters
    ----------
    declaration, settings
        What it is, and where everything is.
    handler
        What its kind does.
    point
        Called between the steps: a place for tests to stop.
    """

    def __init__(
        self,
        declaration: Declaration,
        settings: Settings,
        handler: Handler,
        *,
        point: Callable[[str], None] = lambda _: None,
    ) -> None:
        if declaration.directory is None:
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"Poller {declaration.name}: directory None is not right: "
                "name a folder below OWL_INCOMING.",
            )
        self.name = declaration.name
        self.folder = settings.incoming / declaration.directory
        self.quarantine = settings.quarantine / declaration.name
        self._declaration = declaration
        self._handler = handler
        self._point = point
        self.link = Link(settings, f"arrivals {declaration.name}")
        self._scanner: Scanner | None = None

    def round(self) -> RoundResult:
        """Finish what was begun, take what is whole, do what is due."""
        counts: Counter[str] = Counter()
        self._finish(counts)
        look = self._look()
        verdicts = [v for found in look.found if (v := self._examine(found)) is not None]
        failures = self._take(verdicts, counts) if verdicts else []
        with self.link.transaction() as cur:
            counts.update(self._handler.each_round(cur))
        if failures:
            raise OwlError(
                ErrorKind.NOT_WRITABLE,
                f"{files(len(failures))} in {self.folder} cannot be moved, the first: "
                f"{failures[0]}. Correct owner and mode of the folders.",
            )
        note = f"{files(look.waiting)} not whole yet" if look.waiting else ""
        return RoundResult(sum(counts.values()), dict(counts), note, look.more)

    def preview(self) -> list[dict[str, Any]]:
        """Say what a round would do with every file in the folder; nothing is changed."""
        found = [f for _ in range(2) for f in self._look().found]
        verdicts = [v for item in found if (v := self._examine(item)) is not None]
        with self.link.transaction() as cur:
            planned = self._planned(cur, verdicts)
        return [
            {
                "name": filing.shown(item.verdict.name),
                "bytes": item.verdict.bytes,
                "fileset": item.verdict.what.fileset,
                "use": item.verdict.what.use,
                "action": item.plan.action.name.lower(),
                "reason": item.plan.reason,
                "to": str(item.target),
            }
            for item in planned
        ]

    def close(self) -> None:
        """Give the connection back."""
        self.link.close()

    @property
    def scanner(self) -> Scanner:
        """The looks at the folder, which is made if it is not there."""
        if self._scanner is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._scanner = Scanner(self.folder, self._declaration.complete)
        return self._scanner

    def _look(self) -> Look:
        return self.scanner.look(MOST_FILES)

    # What a file is.

    def _examine(self, found: Found) -> Verdict | None:
        """Return what a file is; None when it is not what was seen, and is looked at again."""
        if found.fault is not None:
            return Verdict(found, "", found.stamp.size, fault=found.fault)
        try:
            return self._verdict(found, self.folder / found.name)
        except (filing.Changed, FileNotFoundError):
            pass
        except OSError as error:
            if isinstance(error, PermissionError):
                words = f"it cannot be read: {os.strerror(error.errno or 0)}"
                return Verdict(found, "", found.stamp.size, fault=words)
            log.warning("%s: %s: %s; looked at again", self.name, filing.shown(found.name), error)
        self.scanner.again(found.name)
        return None

    def _verdict(self, found: Found, path: Path) -> Verdict:
        with filing.opened(path, found.stamp) as stream:
            sha256 = filing.digest_of(stream)
            try:
                self._check(found, sha256)
                what = self._handler.examine(found.name, stream, found.stamp.size)
            except Unreadable as fault:
                return Verdict(found, sha256, found.stamp.size, fault=filing.said(str(fault)))
            except (OSError, filing.Changed):
                raise
            except Exception as error:  # one file must not stop all that come after it
                log.exception("%s: %s", self.name, filing.shown(found.name))
                words = f"OWL cannot read it ({type(error).__name__}: {error})"
                return Verdict(found, sha256, found.stamp.size, fault=filing.said(words))
        return Verdict(found, sha256, found.stamp.size, what)

    def _check(self, found: Found, sha256: str) -> None:
        patterns = self._declaration.patterns
        if filing.shown(found.name) != found.name:
            raise Unreadable("its name has odd bytes: send it under a plain name")
        if not any(fnmatch.fnmatchcase(found.name, pattern) for pattern in patterns):
            raise Unreadable(f"its name is not of the form {' or '.join(patterns)}")
        if found.stamp.size == 0:
            raise Unreadable("it is empty (0 bytes)")
        if found.companion is not None and self._declaration.complete.rule == "checksum":
            fault = companion_fault(self.folder / found.companion, self.folder / found.name, sha256)
            if fault:
                raise Unreadable(fault)

    # What is done with it.

    def _take(self, verdicts: Sequence[Verdict], counts: Counter[str]) -> list[str]:
        """Journal, move, and route files; return what could not be moved."""
        planned = self._journal(verdicts)
        self._point("journalled")
        taken: list[Taken] = []
        failures: list[str] = []
        for item in planned:
            try:
                self._move(item)
            except (OSError, filing.Changed) as error:
                why = error.strerror if isinstance(error, OSError) else "it changed meanwhile"
                failures.append(f"{filing.shown(item.verdict.name)}: {why}")
                continue
            if item.plan.action is Action.ACCEPT:
                taken.append(Taken(item.number, item.verdict, str(item.target)))
            else:
                counts[_COUNTED[item.plan.action]] += 1
            self._point("moved")
        self._route(taken, counts)
        return failures

    def _journal(self, verdicts: Sequence[Verdict]) -> list[_Planned]:
        with self.link.transaction() as cur:
            planned = self._planned(cur, verdicts)
            numbers = arrival_rows.write(cur, self.name, [self._row(p) for p in planned])
        return [
            _Planned(p.verdict, p.plan, p.target, number)
            for p, number in zip(planned, numbers, strict=True)
        ]

    def _planned(self, cur: Cursor, verdicts: Sequence[Verdict]) -> list[_Planned]:
        known = arrival_rows.named(cur, [filing.shown(v.name) for v in verdicts])
        planned = []
        for verdict in verdicts:
            rows = known.get(filing.shown(verdict.name), [])
            what = plan(verdict, rows, self.name, once=self._handler.once)
            planned.append(_Planned(verdict, what, self._target(verdict, what)))
        return planned

    def _target(self, verdict: Verdict, what: Plan) -> Path:
        if what.action is not Action.QUARANTINE:
            return self._handler.place(verdict.name)
        row = what.row
        if row is not None and row.state is ArrivalState.QUARANTINED and verdict.sha256:
            path = Path(row.path)
            if path.parent == self.quarantine:
                return path
        return filing.quarantine_path(self.quarantine, verdict.name, verdict.sha256)

    def _row(self, item: _Planned) -> NewArrival:
        states = {
            Action.ACCEPT: ArrivalState.ACCEPTED,
            Action.DUPLICATE: ArrivalState.DUPLICATE,
            Action.QUARANTINE: ArrivalState.QUARANTINED,
        }
        verdict = item.verdict
        return NewArrival(
            name=filing.shown(verdict.name),
            directory=str(self.folder),
            sha256=verdict.sha256,
            bytes=verdict.bytes,
            fileset=verdict.what.fileset,
            state=states[item.plan.action],
            path=str(item.target.parent / filing.shown(item.target.name)),
            modified_at=datetime.fromtimestamp(verdict.found.stamp.mtime_ns / 1e9, UTC),
            reason=item.plan.reason or verdict.what.facts.get("words"),
            id=item.plan.row.id if item.plan.row else None,
        )

    def _move(self, item: _Planned) -> None:
        source = self.folder / item.verdict.name
        if item.plan.action is Action.DUPLICATE and self._is_there(item.target):
            filing.drop(source)
        elif item.plan.action is Action.QUARANTINE:
            self._to_quarantine(source, item)
        else:
            filing.move(source, item.target)
        companion = item.verdict.found.companion
        if companion is not None:
            filing.drop(self.folder / companion)

    @staticmethod
    def _is_there(target: Path) -> bool:
        """Whether a file is in its place, or what replaced it in another packing."""
        names = (target.name, *replaced_by(target.name))
        return any(target.with_name(name).exists() for name in names)

    def _to_quarantine(self, source: Path, item: _Planned) -> None:
        facts = {
            "poller": self.name,
            "name": filing.shown(item.verdict.name),
            "reason": item.plan.reason,
            "delivered_in": str(self.folder),
            "bytes": item.verdict.bytes,
            "sha256": item.verdict.sha256,
            "arrival": item.number,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        companion = item.verdict.found.companion
        try:
            filing.write_reason(item.target, facts)
            filing.move(source, item.target)
            if companion is not None and (self.folder / companion).exists():
                filing.move(self.folder / companion, item.target.with_name(companion))
        except FileNotFoundError:
            filing.drop(item.target.with_name(item.target.name + filing.REASON))
            raise
        except OSError as error:
            # It stays where it is, and the journal says so.
            self.scanner.leave(item.verdict.found)
            reason = f"{item.plan.reason}; it cannot be moved: {error.strerror}"
            with self.link.transaction() as cur:
                arrival_rows.stays(cur, item.number, filing.shown(str(source)), reason)
            raise

    def _route(self, taken: Sequence[Taken], counts: Counter[str]) -> None:
        if not taken:
            return
        with self.link.transaction() as cur:
            counts.update(self._handler.route(cur, taken))
            self._point("routed")
        self._point("committed")

    # What a crash left.

    def _finish(self, counts: Counter[str]) -> None:
        with self.link.transaction() as cur:
            begun = arrival_rows.of_poller(cur, self.name, ArrivalState.ACCEPTED)
        taken = []
        lost = []
        for row in begun:
            try:
                done = self._in_place(row)
            except OSError as error:
                # It is there and cannot be read just now: the next round looks again.
                log.warning("%s: %s: %s; looked at again", self.name, row.path, error)
                continue
            if done is not None:
                taken.append(done)
            elif not os.path.lexists(self.folder / row.name):
                lost.append(row.id)
        if lost:
            with self.link.transaction() as cur:
                words = "it vanished before it was taken: deliver it again"
                arrival_rows.settle(cur, lost, ArrivalState.QUARANTINED, reason=words)
            counts["lost"] += len(lost)
        self._route(taken, counts)

    def _in_place(self, row: Arrival) -> Taken | None:
        """Return an accepted arrival as taken, when its file was moved before the crash."""
        path = Path(row.path)
        if path.parent == self.folder:
            return None  # `retry` has put it back: the scanner finds it
        try:
            about = path.lstat()
            with filing.opened(path) as stream:
                if filing.digest_of(stream) != row.sha256:
                    return None
                what = self._handler.examine(row.name, stream, about.st_size)
        except (FileNotFoundError, filing.Changed, Unreadable):
            return None
        if row.reason:
            what = replace(what, facts={"words": row.reason, **what.facts})
        found = Found(row.name, Stamp.of(about))
        return Taken(row.id, Verdict(found, row.sha256, row.bytes, what), row.path)
