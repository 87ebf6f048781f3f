"""A log file in pages: numbered lines, of the end or around a line, or those that match a word."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.vocabulary import ErrorKind, OwlError

MOST_BYTES = 8 * 1024 * 1024
_PIECE = 1 << 20
_COUNTED = 16 << 20
# Colours and cursor movements of a terminal mean nothing on a page.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_BLANKS = re.compile(r"\r+\n|\r")


@dataclass(frozen=True)
class Page:
    """Lines of a file.

    Parameters
    ----------
    lines
        Number (1-based, in the whole file) and text.
    total
        Lines in the file.
    matches
        Lines that match, among those that were looked at; None without a search.
    truncated
        Whether the beginning of the file was not looked at.
    """

    lines: list[tuple[int, str]]
    total: int
    matches: int | None
    truncated: bool


def read(path: Path, *, first: int | None, most: int, search: str | None) -> Page:
    """Return at most `most` lines: from line `first` on, or the last ones.

    Raises
    ------
    OwlError
        The file cannot be read (its machine's folder may not be shared).
    """
    try:
        skipped, data = _end_of(path)
    except OSError as error:
        raise OwlError(
            ErrorKind.NOT_WRITABLE,
            f"{path} cannot be read here ({error.strerror}). It is on the access point, or the "
            "job has not written anything yet.",
        ) from error
    # Lines are those of the file: only "\n" ends one, other separators of Unicode do not. What a
    # progress bar wrote over is shown side by side.
    text = _BLANKS.sub(lambda found: "\n" if found[0][-1] == "\n" else " ", _decoded(data))
    rows = _CONTROL.sub("", text).split("\n")
    if rows[-1] == "":
        rows.pop()
    lines = list(enumerate(rows, skipped + 1))
    total = lines[-1][0] if lines else skipped
    matches = None
    if search:
        wanted = search.casefold()
        lines = [line for line in lines if wanted in line[1].casefold()]
        matches = len(lines)
    shown = [line for line in lines if line[0] >= first][:most] if first else lines[-most:]
    return Page(shown, total, matches, skipped > 0)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _end_of(path: Path) -> tuple[int, bytes]:
    """Return the number of lines before the file's last bytes, and these, from a whole line on."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        before = max(0, size - MOST_BYTES)
        inode = os.fstat(stream.fileno()).st_ino
        stream.seek(before)
        data = stream.read(MOST_BYTES)
    if not before:
        return 0, data
    cut = data.find(b"\n") + 1
    return lines_before(path, inode, before) + 1, data[cut:]


def lines_before(path: Path, inode: int, end: int) -> int:
    """Return how many lines end before a place in a file that only grows.

    Whole blocks are counted once and remembered: a request reads what is new, not gigabytes.
    """
    whole, rest = divmod(end, _COUNTED)
    begin = _head(path, whole)
    lines = sum(_lines(path, inode, begin, n) for n in range(whole))
    return lines + _count(path, whole * _COUNTED, rest)


def _head(path: Path, whole: int) -> bytes:
    """Return the beginning of a file, which tells it from another one in its place."""
    if not whole:
        return b""
    with path.open("rb") as stream:
        return stream.read(256)


@functools.lru_cache(maxsize=4096)
def _lines(path: Path, inode: int, begin: bytes, block: int) -> int:  # noqa: ARG001
    # Inode and beginning are the key: another file in its place is counted again.
    return _count(path, block * _COUNTED, _COUNTED)


def _count(path: Path, start: int, length: int) -> int:
    found = 0
    with path.open("rb") as stream:
        stream.seek(start)
        while length > 0 and (piece := stream.read(min(_PIECE, length))):
            length -= len(piece)
            found += piece.count(b"\n")
    return found
