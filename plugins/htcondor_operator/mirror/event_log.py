"""Reads a schedd's event log across rotations and restarts, without losing or guessing anything.

``htcondor2.JobEventLog`` parses; this module decides which file is read, and from where. After a
rotation the bindings return nothing for ever, so the old object is drained and a new one opened.
Rotations go on meanwhile: whatever is opened by its path is asked afterwards whether it was the
file that was meant.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htcondor_operator.blackboard.cursor import LogPosition
from htcondor_operator.dagman.events import JobEvent, event_from_ad
from htcondor_operator.mirror.log_files import LogFile, Rotating, all_files, inspect, is_still

log = logging.getLogger(__name__)

_DELIMITER = b"\n...\n"
# HTCondor's writers do not lock the log (EVENT_LOG_LOCKING): one that looked at it just before
# another one rotated it writes its event into the old file, after the rotation.
_LATE_WRITER_SECONDS = 3.0


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
        """Return up to `limit` events; None while there is no log that could be read."""
        try:
            if self._log is None and not self._open_first():
                return None
        except Rotating as error:
            log.info("%s", error)
            return None
        events, full = self._drain(limit)
        if not full and self._is_superseded():
            following = self._next_file()
            # What was written between the drain and the rotation, or by a late writer.
            more, full = self._drain(limit)
            events += more
            if not full and following is not None and self._open_following(following):
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
            return self._open(files[0], 0)
        for file in files:
            known = file.header_id == where.header_id if where.header_id else False
            if known or (where.header_id is None and file.inode == where.inode):
                return self._open(file, where.offset if where.offset <= file.size else 0)
        first = _oldest_after(files, where.header_sequence)
        if not self._open(first, 0):
            return False
        self._gap(where.header_sequence, first)
        return True

    def _gap(self, sequence: int | None, found: LogFile) -> None:
        self.gaps += 1
        log.error(
            "event log %s: file number %s is gone, reading goes on with number %s;"
            " reconciliation fills the gap (raise EVENT_LOG_MAX_ROTATIONS)",
            self.path,
            sequence,
            found.sequence,
        )

    def _open(self, file: LogFile, offset: int) -> bool:
        """Open `file`; False, with nothing changed, when its path names another one by now."""
        import htcondor2

        # The documented way to go on at an offset is to unpickle; this is what that does.
        opened = htcondor2.JobEventLog.__new__(htcondor2.JobEventLog)
        try:
            opened.__setstate__(({"_deadline": 0, "_filename": str(file.path)}, offset))
        except htcondor2.HTCondorException:
            if is_still(file):
                raise
            return False
        if not is_still(file):
            opened.close()
            return False
        self.close()
        self._log, self._file = opened, file
        return True

    def _offset(self) -> int:
        return int(self._log.__getstate__()[1])

    def _position(self) -> LogPosition:
        assert self._file is not None
        if self._file.header_id is None:
            with suppress(Rotating):
                self._file = self._where_it_is() or self._file
        file = self._file
        return LogPosition(file.inode, file.header_id, file.sequence, self._offset())

    def _where_it_is(self) -> LogFile | None:
        """Return the open file with its name of now; None when it has none any more."""
        assert self._file is not None
        inode = self._file.inode
        return next((file for file in all_files(self.path) if file.inode == inode), None)

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
        offset = self._offset()
        try:
            file = self._where_it_is()
            if file is None:
                return False
            with file.path.open("rb") as stream:
                stream.seek(offset)
                found = stream.read().find(_DELIMITER)
        except (Rotating, FileNotFoundError):
            return True  # Where it is now will be known at the next look.
        if not is_still(file):
            return True
        if found < 0:
            return False
        if self._open(file, offset + found + len(_DELIMITER)):
            self.damaged += 1
            log.warning("%s at byte %s: event skipped: %s", file.path, offset, error)
        return True

    def _is_superseded(self) -> bool:
        current = inspect(self.path)
        assert self._file is not None
        if current is None:
            return False
        return current.inode != self._file.inode or current.size < self._offset()

    def _next_file(self) -> LogFile | None:
        """Return the file to be read after this one; None while that cannot be told."""
        assert self._file is not None
        try:
            files = all_files(self.path)
        except Rotating:
            return None
        if not files:
            return None
        inodes = [file.inode for file in files]
        if self._file.inode not in inodes:
            return _oldest_after(files, self._file.sequence)
        if self._file.inode == inodes[-1]:
            # Without a current file the next rotation has just begun.
            return files[-1] if files[-1].path == self.path else None
        following = files[inodes.index(self._file.inode) + 1]
        if following.born is None or 0 <= time.time() - following.born < _LATE_WRITER_SECONDS:
            return None
        return following

    def _open_following(self, file: LogFile) -> bool:
        assert self._file is not None
        before = self._file
        if not self._open(file, 0):
            return False
        if file.inode == before.inode:
            log.warning("%s was truncated: reading it again from the start", self.path)
        elif before.sequence is not None and (file.sequence or 0) > before.sequence + 1:
            self._gap(before.sequence + 1, file)
        return True


def _oldest_after(files: list[LogFile], sequence: int | None) -> LogFile:
    """Return where to go on when file number `sequence` is gone: rather too early than too late."""
    numbers = [file.sequence for file in files if file.sequence is not None]
    if sequence is None or numbers != sorted(set(numbers)):
        return files[0]
    return next((file for file in files if (file.sequence or 0) > sequence), files[0])
