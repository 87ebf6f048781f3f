"""Exposures that wait for their jitter file, and go on with it.

``awaiting_sci_jit``: nothing is known of it, so it has to be delivered. ``awaiting_gsa_jit``: its
engineering stream is coming in or has come; our own pipeline makes the file, and the exposure goes
on when it is in the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.queue_entries import inform, resolve
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.scanning import Found, Stamp
from htcondor_operator.queue.pollers.verdicts import Examined, Taken, Verdict
from htcondor_operator.vocabulary import ArrivalState, Informational

DELIVERED, MADE_HERE = Informational.AWAITING_SCI_JIT, Informational.AWAITING_GSA_JIT
JITTER_NAMES = ("{}_jit.fits", "{}_jit.fits.gz", "{}.jit")

_WHY = {
    DELIVERED: "has not come",
    MADE_HERE: "is made of its engineering stream",
}

log = logging.getLogger(__name__)

Examine = Callable[[str, BinaryIO, int], Examined]


@dataclass(frozen=True)
class Jitter:
    """The wait of one poller's exposures.

    Parameters
    ----------
    poller
        Its name.
    seconds
        How long an exposure waits.
    """

    poller: str
    seconds: float

    def sort(self, cur: Cursor, exposures: Sequence[Taken]) -> tuple[list[Taken], int]:
        """Return the exposures whose jitter file is there, and how many have to wait."""
        there = with_jitter(cur, [str(t.what.fileset) for t in exposures])
        waiting = [t for t in exposures if t.what.fileset not in there]
        names = sorted({str(t.what.fileset) for t in waiting})
        here = arrival_rows.with_engineering(cur, names)
        for kind in (DELIVERED, MADE_HERE):
            mine = [n for n in names if (n in here) == (kind is MADE_HERE)]
            self._wait(cur, kind, mine, [t.arrival for t in waiting if str(t.what.fileset) in mine])
        return [t for t in exposures if t.what.fileset in there], len(waiting)

    def follow(self, cur: Cursor) -> None:
        """Say of those that wait for a delivery that their file is made here, when it is."""
        waiting = arrival_rows.waiting_of_type(cur, self.poller, [DELIVERED.value])
        here = sorted(arrival_rows.with_engineering(cur, list(waiting))) if waiting else []
        if here:
            self._wait(cur, MADE_HERE, here, [row.id for name in here for row in waiting[name]])

    def _wait(
        self, cur: Cursor, kind: Informational, filesets: Sequence[str], arrivals: Sequence[int]
    ) -> None:
        """Let exposures wait for one kind of jitter file, and for no other."""
        if not filesets:
            return
        why = _WHY[kind]
        arrival_rows.settle(
            cur, arrivals, ArrivalState.COLLECTED, type_=kind.value, reason=f"waits: {why}"
        )
        other = DELIVERED if kind is MADE_HERE else MADE_HERE
        resolve(cur, other, filesets)
        for fileset in filesets:
            reason = f"{fileset}_jit.fits {why}; at the latest {self.seconds:g} s on"
            inform(cur, fileset, kind, reason, requested_by=self.poller)

    def release(self, cur: Cursor, examine: Examine) -> list[Taken]:
        """Return the exposures that waited and go on, because of the file or of the deadline."""
        due = arrival_rows.waiting_for_jitter(cur, self.poller, self.seconds, JITTER_NAMES)
        taken: list[Taken] = []
        gone: list[int] = []
        for row in due:
            try:
                taken.append(_again(row, examine))
            except (FileNotFoundError, filing.Changed, Unreadable) as error:
                log.warning("%s waited for its jitter file, and is not there: %s", row.path, error)
                gone.append(row.id)
            except OSError as error:
                # It is there and cannot be read just now: it waits on.
                log.warning("%s: %s; looked at again", row.path, error)
        over = {*gone, *(t.arrival for t in taken)}
        names = sorted({str(row.fileset) for row in due if row.id in over})
        for kind in (DELIVERED, MADE_HERE):
            resolve(cur, kind, names)
        words = "it vanished while it waited for its jitter file: deliver it again"
        arrival_rows.settle(cur, gone, ArrivalState.QUARANTINED, reason=words)
        return taken


def with_jitter(cur: Cursor, filesets: Sequence[str]) -> set[str]:
    """Return the filesets whose jitter file has come, or is in the archive."""
    names = {form.format(fileset): fileset for fileset in filesets for form in JITTER_NAMES}
    found = arrival_rows.named(cur, list(names))
    delivered = {
        names[name]
        for name, rows in found.items()
        if any(row.state is ArrivalState.STORED for row in rows)
    }
    return delivered | arrival_rows.archived_jitter(cur, filesets)


def _again(row: arrival_rows.Arrival, examine: Examine) -> Taken:
    path = Path(row.path)
    with filing.opened(path) as stream:
        about = path.stat()
        what = examine(row.name, stream, about.st_size)
    return Taken(
        row.id, Verdict(Found(row.name, Stamp.of(about)), row.sha256, row.bytes, what), row.path
    )
