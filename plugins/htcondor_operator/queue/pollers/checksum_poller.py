"""Kind ``checksum``: files are verified by lists (``*.sha256``, ``*.md5``) that come with them.

A file that its list agrees with goes to the folder ``to`` (option; below OWL_INCOMING), for
instance where another poller looks. One that differs goes into quarantine; the reason names it and
the list. After ``deadline`` seconds (option) so do a file that no list names, and a list whose
files have not come.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.arrival_rows import Arrival
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.checksums import Listed, algorithm_of, read_list
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.filing import files
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.options import Options
from htcondor_operator.queue.pollers.scanning import Found, Look
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState

DEADLINE_S = 3600.0


def make_poller(declaration: Declaration, settings: Settings) -> ChecksumPoller:
    """Make a poller that verifies files by lists."""
    options = Options(declaration)
    to = options.text("to", ".")
    if PurePosixPath(to).is_absolute() or ".." in PurePosixPath(to).parts:
        raise options.wrong("to", to, "name a folder below OWL_INCOMING, without '..'")
    seconds = options.seconds("deadline", DEADLINE_S)
    options.nothing_else()
    lists = Lists(settings.incoming, settings.incoming / to)
    return ChecksumPoller(declaration, settings, lists, seconds)


@dataclass
class OpenList:
    """A list whose files are being verified.

    Parameters
    ----------
    found
        The list itself.
    algorithm
        Of its digests.
    left
        Digest by name, of files that have not come.
    """

    found: Found
    algorithm: str
    left: dict[str, str]


@dataclass
class Lists:
    """The lists in the folder, and what is done with what they name.

    Parameters
    ----------
    incoming, to
        Where lists go that are done, and where verified files go.
    opened
        By name.
    faults
        Why a file goes into quarantine whatever its digest is.
    """

    incoming: Path
    to: Path
    opened: dict[str, OpenList] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    once = False

    def name(self, file: str) -> bool:
        """Whether a list names a file."""
        return any(file in item.left for item in self.opened.values())

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:  # noqa: ARG002
        """Verify a file by all lists that name it; a list itself is good when it is done."""
        if name in self.faults:
            raise Unreadable(self.faults.pop(name))
        if algorithm_of(name):
            return Examined(None, "list", {"words": "all that it names has come"})
        words = ""
        for item in [item for item in self.opened.values() if name in item.left]:
            said = item.left.pop(name)
            digest = filing.digest_of(stream, item.algorithm)
            if digest != said:
                raise Unreadable(
                    f"its {item.algorithm} is {digest}, but {item.found.name} says {said}"
                )
            words = f"{item.algorithm} {digest} of {item.found.name}"
        return Examined(None, "file", {"words": words} if words else {})

    def place(self, name: str) -> Path:
        """Return where a good file goes."""
        return (self.incoming if algorithm_of(name) else self.to) / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Write that files are verified."""
        for item in taken:
            words = item.what.facts.get("words")
            arrival_rows.settle(cur, [item.arrival], ArrivalState.VERIFIED, reason=words)
        return {"verified": len(taken)}

    def each_round(self, cur: Cursor) -> Mapping[str, int]:  # noqa: ARG002
        """Nothing is due here."""
        return {}


class ChecksumPoller(FolderPoller):
    """Looks for lists and the files that they name.

    Parameters
    ----------
    declaration, settings
        What it is, and where everything is.
    lists
        What is done with files.
    seconds
        How long a file waits for a list, and a list for its files.
    """

    def __init__(
        self, declaration: Declaration, settings: Settings, lists: Lists, seconds: float
    ) -> None:
        super().__init__(declaration, settings, lists)
        self._lists = lists
        self._seconds = seconds
        self._held: dict[str, tuple[Found, float]] = {}

    def _look(self) -> Look:
        """Return the files that lists name, the lists that are done, and what waits no longer."""
        look = super()._look()
        ready = [found for found in look.found if not self._hold(found)]
        ready += [found for name, (found, _) in self._held.items() if self._is_ready(name)]
        for found in ready:
            self._held.pop(found.name, None)
            # Should it change or vanish now, the scanner finds it again.
            self.scanner.again(found.name)
            if algorithm_of(found.name):
                self._lists.opened.pop(found.name, None)
        return Look(tuple(ready), look.waiting + len(self._held), look.more)

    def _hold(self, found: Found) -> bool:
        """Keep a file until its list has come, and a list until its files have."""
        if found.fault or filing.shown(found.name) != found.name:
            return False
        algorithm = algorithm_of(found.name)
        if algorithm:
            try:
                listed = read_list(self.folder / found.name, algorithm)
            except Unreadable as fault:
                self._lists.faults[found.name] = str(fault)
                return False
            except (OSError, filing.Changed):
                return False
            left = self._left(listed)
            self._lists.opened[found.name] = OpenList(found, algorithm, left)
        self._held[found.name] = (found, _since(self.folder / found.name))
        self.scanner.leave(found)
        return True

    def _is_ready(self, name: str) -> bool:
        item = self._lists.opened.get(name)
        if self._lists.name(name) or (item is not None and not item.left):
            return True
        if time.monotonic() - self._held[name][1] < self._seconds:
            return False
        names = ", ".join(list(item.left)[:5]) if item else ""
        self._lists.faults[name] = (
            f"{files(len(item.left))} that it names did not come: {names}"
            if item
            else "no list of checksums names it"
        )
        return True

    def _left(self, listed: Sequence[Listed]) -> dict[str, str]:
        """Return what a list names without what was verified before a restart."""
        left = {item.name: item.digest for item in listed}
        gone = [name for name in left if not os.path.lexists(self.folder / name)]
        if gone:
            with self.link.transaction() as cur:
                known = arrival_rows.named(cur, gone)
            for name, rows in known.items():
                if any(self._says(row, left[name]) for row in rows):
                    del left[name]
        return left

    def _says(self, row: Arrival, digest: str) -> bool:
        return row.poller == self.name and digest in (row.sha256, *(row.reason or "").split())


def _since(path: Path) -> float:
    """Return since when a file lies there, by the clock of :func:`time.monotonic`.

    By the file's own time: a poller begins anew with each of its DAG runs, which are no longer
    than a deadline.
    """
    try:
        age = max(0.0, time.time() - path.lstat().st_ctime)
    except OSError:
        age = 0.0
    return time.monotonic() - age
