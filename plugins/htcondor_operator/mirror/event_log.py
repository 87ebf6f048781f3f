"""Reads a schedd's event log across rotations and restarts, without losing or guessing anything.

``htcondor2.JobEventLog`` parses; this module decides which file is read, and from where. After a
rotation the bindings return nothing for ever, so the old object is drained and a new one opened.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htcondor_operator.blackboard.cursor import LogPosition
from htcondor_operator.dagman.events import JobEvent, event_from_ad
from htcondor_operator.mirror.log_files import LogFile, all_files, inspect

log = logging.getLogger(__name__)

_DELIMITER = b"\n...\n"


@dataclass(frozen=True)
class Batch:
    """Events in the order of the log, and the place after the last one."""

    events: list[JobEvent]
    position: LogPosition
    at_end: bool


class EventLogReader:
    """A polling reader of one event log.

    Parameters
    ----------
    path
        The pool's ``EVENT_LOG``.
    position
        Where to go on; None reads everything that is still there.
    """

    def __init__(self, path: Path, position: LogPosition | None) -> None:
        self.path = path
        self.gaps = 0
        self.damaged = 0
        self._resume = position
        self._file: LogFile | None = None
        self._log: Any = None

    def read(self, limit: int) -> Batch | None:
        """Return up to `limit` events; None while there is no log at all."""
        if self._log is None and not self._open_first():
            return None
        events, full = self._drain(limit)
        if not full and self._is_superseded():
            # What was written between the drain and the rotation.
            more, full = self._drain(limit)
            events += more
            if not full and self._open_next():
                return Batch(events, self._position(), at_end=False)
        return Batch(events, self._position(), at_end=not full)

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
        self._log = None

    def _open_first(self) -> bool:
        files = all_files(self.path)
        if not files:
            return False
        where = self._resume
        if where is None:
            self._open(files[0], 0)
            return True
        for file in files:
            known = file.header_id == where.header_id if where.header_id else False
            if known or (where.header_id is None and file.inode == where.inode):
                self._open(file, where.offset if where.offset <= file.size else 0)
                return True
        sequence = where.header_sequence or 0
        newer = [file for file in files if (file.sequence or sequence) > sequence]
        self._gap(sequence, newer[0] if newer else files[0])
        self._open(newer[0] if newer else files[0], 0)
        return True

    def _gap(self, sequence: int, found: LogFile) -> None:
        self.gaps += 1
        log.error(
            "event log %s: file number %s is gone, reading goes on with number %s;"
            " reconciliation fills the gap (raise EVENT_LOG_MAX_ROTATIONS)",
            self.path,
            sequence,
            found.sequence,
        )

    def _open(self, file: LogFile, offset: int) -> None:
        import htcondor2

        self.close()
        # The documented way to go on at an offset is to unpickle; this is what that does.
        opened = htcondor2.JobEventLog.__new__(htcondor2.JobEventLog)
        opened.__setstate__(({"_deadline": 0, "_filename": str(file.path)}, offset))
        self._log, self._file = opened, file

    def _offset(self) -> int:
        return int(self._log.__getstate__()[1])

    def _position(self) -> LogPosition:
        file = self._file
        assert file is not None
        if file.header_id is None and (again := inspect(file.path)) and again.inode == file.inode:
            self._file = file = again
        return LogPosition(file.inode, file.header_id, file.sequence, self._offset())

    def _drain(self, limit: int) -> tuple[list[JobEvent], bool]:
        import htcondor2

        events: list[JobEvent] = []
        try:
            for ad in self._log.events(stop_after=0):
                event = event_from_ad(ad)
                if event is not None:
                    events.append(event)
                    if len(events) >= limit:
                        return events, True
        except (htcondor2.HTCondorException, ValueError) as error:
            return events, self._step_over(error)
        return events, False

    def _step_over(self, error: Exception) -> bool:
        """Go on after an event that cannot be parsed; return whether there is more."""
        assert self._file is not None
        offset = self._offset()
        with self._file.path.open("rb") as stream:
            stream.seek(offset)
            found = stream.read(1 << 20).find(_DELIMITER)
        if found < 0:
            return False
        self.damaged += 1
        log.warning("%s at byte %s: event skipped: %s", self._file.path, offset, error)
        self._open(self._file, offset + found + len(_DELIMITER))
        return True

    def _is_superseded(self) -> bool:
        current = inspect(self.path)
        assert self._file is not None
        if current is None:
            return False
        return current.inode != self._file.inode or current.size < self._offset()

    def _open_next(self) -> bool:
        """Open the file after the drained one; False while it cannot be told which that is."""
        assert self._file is not None
        current = inspect(self.path)
        if current is not None and current.inode == self._file.inode:
            log.warning("%s was truncated: reading it again from the start", self.path)
            self._open(current, 0)
            return True
        ours = self._file.sequence
        later = [
            file
            for file in all_files(self.path)
            if file.sequence is not None and (ours is None or file.sequence > ours)
        ]
        if not later:
            return False
        if ours is not None and later[0].sequence != ours + 1:
            self._gap(ours + 1, later[0])
        self._open(later[0], 0)
        return True
