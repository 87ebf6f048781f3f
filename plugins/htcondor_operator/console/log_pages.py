"""A log file in pages: numbered lines, of the end or around a line, or those that match a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.vocabulary import ErrorKind, OwlError

MOST_BYTES = 8 * 1024 * 1024
_PIECE = 1 << 20
# Colours and cursor movements of a terminal mean nothing on a page.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


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
    text = _CONTROL.sub("", data.decode("utf-8", errors="replace").replace("\r\n", "\n"))
    lines = list(enumerate(text.splitlines(), skipped + 1))
    total = lines[-1][0] if lines else skipped
    matches = None
    if search:
        wanted = search.casefold()
        lines = [line for line in lines if wanted in line[1].casefold()]
        matches = len(lines)
    shown = [line for line in lines if line[0] >= first][:most] if first else lines[-most:]
    return Page(shown, total, matches, skipped > 0)


def _end_of(path: Path) -> tuple[int, bytes]:
    """Return the number of lines before the file's last bytes, and these, from a whole line on."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        before, skipped = max(0, size - MOST_BYTES), 0
        stream.seek(0)
        while before > 0:
            piece = stream.read(min(_PIECE, before))
            if not piece:
                break
            before -= len(piece)
            skipped += piece.count(b"\n")
        data = stream.read(MOST_BYTES)
    if size > MOST_BYTES:
        rest = data.partition(b"\n")[2]
        return skipped + 1, rest
    return 0, data
