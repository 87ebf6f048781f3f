"""The files of one event log: the current one and its rotations, told apart by their headers.

Their names tell their age. The numbers in their headers do so mostly: a daemon that opens the log
while another one rotates it may begin at 1 again.

A rotation renames every file (``.1`` becomes ``.2`` ...) while others read: what a path names may
be another file a moment later. :func:`all_files` is a listing that held for all files at once, and
:func:`is_still` tells whether a path that was just opened was the file that the listing meant.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(rb"Global JobLog: ctime=(\d+) .*?\bid=(\S+) sequence=(\d+)")
_HEADER_TYPE = b"008 ("
_DELIMITER = b"\n...\n"
_LISTINGS = 20


class Rotating(Exception):
    """The files change their names faster than they can be listed: try again a little later."""


@dataclass(frozen=True)
class LogFile:
    """One file of the log."""

    path: Path
    inode: int
    size: int
    header_id: str | None = None
    sequence: int | None = None
    born: int | None = None
    """When its header was written: seconds since 1970, cut off to whole ones; 0 for a file that
    has events but no header, which it will not get any more; None while it may get one."""


def inspect(path: Path) -> LogFile | None:
    """Return what identifies the file at `path`; None when there is none.

    The header can be missing for a moment: the file is created before its first line is written.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
            status = os.fstat(stream.fileno())
    except FileNotFoundError:
        return None
    match = _HEADER.search(head)
    if match is None:
        is_begun = not _HEADER_TYPE.startswith(head[: len(_HEADER_TYPE)]) or _DELIMITER in head
        return LogFile(path, status.st_ino, status.st_size, born=0 if is_begun else None)
    born, header_id, sequence = int(match[1]), match[2].decode(), int(match[3])
    return LogFile(path, status.st_ino, status.st_size, header_id, sequence, born)


def is_still(file: LogFile) -> bool:
    """Return whether the path of `file` names it still.

    A path is given to ever newer files: if it names the same file before and after something, it
    did so in between.
    """
    return _inode(file.path) == file.inode


def all_files(path: Path) -> list[LogFile]:
    """Return the log's files, oldest first: rotations (``.old``, ``.1`` ...), then the current.

    Raises
    ------
    Rotating
        When no listing could be finished between two rotations.
    """
    for _ in range(_LISTINGS):
        names = _names(path)
        found = [file for file in map(inspect, names) if file is not None]
        if {file.path: file.inode for file in found} == _inodes(path):
            return _in_order(found)
    raise Rotating(f"the files of {path} were renamed while they were listed, {_LISTINGS} times")


def _names(path: Path) -> list[Path]:
    numbered = {
        int(other.suffix[1:]): other
        for other in path.parent.glob(path.name + ".*")
        if other.suffix[1:].isdecimal()
    }
    rotated = [numbered[number] for number in sorted(numbered, reverse=True)]
    return [path.with_name(path.name + ".old"), *rotated, path]


def _in_order(files: list[LogFile]) -> list[LogFile]:
    """Put ``.old`` after numbered files that are left from when more rotations were kept."""
    if not files or files[0].path.suffix != ".old":
        return files
    numbered = [file for file in files[1:] if file.path.suffix[1:].isdecimal()]
    if any((file.born or 0) > (files[0].born or 0) for file in numbered):
        return files
    return [*numbered, files[0], *files[1 + len(numbered) :]]


def _inodes(path: Path) -> dict[Path, int]:
    found = {name: _inode(name) for name in _names(path)}
    return {name: inode for name, inode in found.items() if inode is not None}


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
