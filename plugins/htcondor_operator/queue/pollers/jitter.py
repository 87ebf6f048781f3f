"""Exposures that wait for their jitter file (``awaiting_sci_jit``), and go on with it."""

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

AWAITING = Informational.AWAITING_SCI_JIT
JITTER_NAMES = ("{}_jit.fits", "{}_jit.fits.gz", "{}.jit")

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
        arrival_rows.settle(
            cur,
            [t.arrival for t in waiting],
            ArrivalState.COLLECTED,
            type_=AWAITING.value,
            reason="waits for its jitter file",
        )
        for fileset in sorted({str(t.what.fileset) for t in waiting}):
            reason = f"{fileset}_jit.fits has not come; at the latest {self.seconds:g} s on"
            inform(cur, fileset, AWAITING, reason, requested_by=self.poller)
        return [t for t in exposures if t.what.fileset in there], len(waiting)

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
        resolve(cur, AWAITING, sorted({str(row.fileset) for row in due if row.id in over}))
        words = "it vanished while it waited for its jitter file: deliver it again"
        arrival_rows.settle(cur, gone, ArrivalState.QUARANTINED, reason=words)
        return taken


def with_jitter(cur: Cursor, filesets: Sequence[str]) -> set[str]:
    """Return the filesets whose jitter file has come."""
    names = {form.format(fileset): fileset for fileset in filesets for form in JITTER_NAMES}
    found = arrival_rows.named(cur, list(names))
    return {
        names[name]
        for name, rows in found.items()
        if any(row.state is ArrivalState.STORED for row in rows)
    }


def _again(row: arrival_rows.Arrival, examine: Examine) -> Taken:
    path = Path(row.path)
    with filing.opened(path) as stream:
        about = path.stat()
        what = examine(row.name, stream, about.st_size)
    return Taken(
        row.id, Verdict(Found(row.name, Stamp.of(about)), row.sha256, row.bytes, what), row.path
    )
