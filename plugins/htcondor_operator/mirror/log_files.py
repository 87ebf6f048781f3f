"""The files of one event log: the current one and its rotations, told apart by their headers."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(rb"Global JobLog:.*? id=(\S+) sequence=(\d+)")


@dataclass(frozen=True)
class LogFile:
    """One file of the log."""

    path: Path
    inode: int
    size: int
    header_id: str | None = None
    sequence: int | None = None


def inspect(path: Path) -> LogFile | None:
    """Return what identifies the file at `path`; None when there is none.

    The header can be missing for a moment: the file is created before its first line is written.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(1024)
            status = os.fstat(stream.fileno())
    except FileNotFoundError:
        return None
    match = _HEADER.search(head)
    if match is None:
        return LogFile(path, status.st_ino, status.st_size)
    return LogFile(path, status.st_ino, status.st_size, match[1].decode(), int(match[2]))


def all_files(path: Path) -> list[LogFile]:
    """Return the log's files, oldest first: rotations (``.old``, ``.1`` ...), then the current."""
    rotated = [
        other
        for other in path.parent.glob(path.name + ".*")
        if other.suffix == ".old" or other.suffix[1:].isdigit()
    ]
    found = [file for file in map(inspect, [*rotated, path]) if file is not None]
    # A file without a readable header can only be the newest.
    return sorted(found, key=lambda file: (file.sequence is None, file.sequence or 0))
