"""The headers of a FITS file, and whether the file is as long as they say.

Only what a poller asks of a delivery: the payload's programs read the data.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 2880
CARD = 80
_MOST_BLOCKS = 2000
_MOST_AXES = 999
_MOST_TABLE_BYTES = 4 << 20
_PIECE = 1 << 20

Value = str | int | float | bool


class Unreadable(ValueError):
    """What is wrong with a delivered file, in a sentence for the operator."""


@dataclass(frozen=True)
class Hdu:
    """One header, and the data of a small table behind it."""

    cards: Mapping[str, Value]
    data: bytes = b""

    def text(self, key: str) -> str:
        """Return a card's text without blanks around it; empty when there is none."""
        value = self.cards.get(key, "")
        return value.strip() if isinstance(value, str) else str(value)

    def number(self, key: str, default: int = 0) -> int:
        """Return a card's whole number."""
        value = self.cards.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unreadable(f"{key} = {value!r} is not a whole number")
        return value


@dataclass(frozen=True)
class FitsFile:
    """All headers of a file, and the digest of its content, unpacked."""

    hdus: tuple[Hdu, ...]
    sha256: str


def read_fits(stream: BinaryIO, *, packed: bool = False) -> FitsFile:
    """Read all headers and walk over all data, from the beginning to the end of the stream.

    Parameters
    ----------
    stream
        Of the file as delivered.
    packed
        Whether it is gzipped.

    Raises
    ------
    Unreadable
        It is no FITS file, or shorter than its headers say, or damaged.
    """
    try:
        if packed:
            with gzip.open(stream) as unpacked:
                return _read(_Source(unpacked))  # type: ignore[arg-type]
        return _read(_Source(stream))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable(f"the gzip stream is damaged or truncated: {error}") from error


class _Source:
    """A stream that is read once, from its beginning, and digested on the way."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.offset = 0

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.digest.update(data)
        self.offset += len(data)
        return data

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; return how many of them there were."""
        left = size
        while left:
            piece = self.read(min(left, _PIECE))
            if not piece:
                break
            left -= len(piece)
        return size - left


def _read(source: _Source) -> FitsFile:
    hdus: list[Hdu] = []
    while True:
        begin = source.offset
        block = source.read(BLOCK)
        if not block:
            break
        first = b"SIMPLE  =" if not hdus else b"XTENSION="
        if not block.startswith(first):
            if not hdus:
                raise Unreadable("it does not begin with SIMPLE: it is no FITS file")
            if len(block) < BLOCK:
                raise _cut(source.offset)
            source.skip(1 << 62)  # special records: allowed, and of no use to us
            break
        cards = _header(block, source, begin)
        hdus.append(Hdu(cards, _data(cards, source, len(hdus))))
    if not hdus:
        raise Unreadable("it is empty")
    if source.offset % BLOCK:
        raise _cut(source.offset)
    return FitsFile(tuple(hdus), source.digest.hexdigest())


def _cut(size: int) -> Unreadable:
    return Unreadable(f"its length of {size} bytes is not a multiple of {BLOCK}: it is truncated")


def _header(block: bytes, source: _Source, begin: int) -> dict[str, Value]:
    cards: dict[str, Value] = {}
    for _ in range(_MOST_BLOCKS):
        if len(block) < BLOCK:
            raise Unreadable(f"it is truncated in the header that begins at byte {begin}")
        for start in range(0, BLOCK, CARD):
            card = block[start : start + CARD]
            key = card[:8].rstrip().decode("ascii", "replace")
            if key == "END" and not card[3:].strip():
                return cards
            if card[8:10] == b"= ":
                cards.setdefault(key, parse_value(card[10:].decode("ascii", "replace")))
        block = source.read(BLOCK)
    raise Unreadable(f"the header that begins at byte {begin} has no END")


def parse_value(text: str) -> Value:
    """Return the value of a card's text after ``= ``."""
    field = text.strip()
    if field.startswith("'"):
        return _quoted(field)
    field = field.partition("/")[0].strip()
    if field in {"T", "F"}:
        return field == "T"
    try:
        return int(field)
    except ValueError:
        pass
    try:
        return float(field.replace("D", "E"))
    except ValueError:
        return field


def _quoted(field: str) -> str:
    letters = []
    place = 1
    while place < len(field):
        if field[place] == "'":
            if field[place + 1 : place + 2] != "'":
                break
            place += 1
        letters.append(field[place])
        place += 1
    return "".join(letters).rstrip()


def _data(cards: Mapping[str, Value], source: _Source, number: int) -> bytes:
    """Pass over the data behind a header; return them when they are a small table."""
    header = Hdu(cards)
    count = header.number("NAXIS")
    if not 0 <= count <= _MOST_AXES:
        raise Unreadable(f"HDU {number} has NAXIS = {count}, which is not 0 to {_MOST_AXES}")
    axes = [header.number(f"NAXIS{n}") for n in range(1, count + 1)]
    if any(axis < 0 for axis in axes):
        raise Unreadable(f"HDU {number} has a negative axis")
    size = 0
    if axes:
        elements = 1
        for axis in axes:
            elements *= axis
        bytes_each = abs(header.number("BITPIX", 8)) // 8
        groups = header.number("GCOUNT", 1)
        size = bytes_each * groups * (header.number("PCOUNT") + elements)
    if size < 0:
        raise Unreadable(f"HDU {number} has a negative size by its PCOUNT and GCOUNT")
    padded = -(-size // BLOCK) * BLOCK
    if header.text("XTENSION") == "BINTABLE" and padded <= _MOST_TABLE_BYTES:
        data = source.read(padded)
        there = len(data)
    else:
        data, there = b"", source.skip(padded)
    if there < padded:
        raise Unreadable(
            f"HDU {number} has {there} of the {padded} bytes that its header says: it is truncated"
        )
    return data[:size]


def table_rows(hdu: Hdu, columns: tuple[str, ...]) -> list[tuple[Value, ...]]:
    """Return columns of texts (``14A``) and logicals (``L``) of a binary table.

    Raises
    ------
    Unreadable
        A column is missing, or of another format.
    """
    places: dict[str, tuple[int, int, str]] = {}
    offset = 0
    for number in range(1, hdu.number("TFIELDS") + 1):
        width, letter = _format(hdu.text(f"TFORM{number}"))
        places[hdu.text(f"TTYPE{number}").upper()] = (offset, width, letter)
        offset += width
    missing = [name for name in columns if name not in places]
    if missing:
        raise Unreadable(f"its table has no column {', '.join(missing)}")
    length = hdu.number("NAXIS1")
    rows = []
    for start in range(0, length * hdu.number("NAXIS2"), max(length, 1)):
        row = hdu.data[start : start + length]
        rows.append(tuple(_cell(row, *places[name]) for name in columns))
    return rows


_WIDTHS = {"A": 1, "L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8}


def _format(form: str) -> tuple[int, str]:
    letter = form.lstrip("0123456789")[:1]
    if letter not in _WIDTHS:
        raise Unreadable(f"its table has a column of format {form!r}")
    return int(form.partition(letter)[0] or 1) * _WIDTHS[letter], letter


def _cell(row: bytes, offset: int, width: int, letter: str) -> Value:
    raw = row[offset : offset + width]
    if letter == "L":
        return raw == b"T"
    return raw.partition(b"\0")[0].decode("ascii", "replace").strip()
