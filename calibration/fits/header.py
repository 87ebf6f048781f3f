"""A FITS header as its cards: what is not changed stays as it was, byte for byte."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode

Value = str | bool | int | float

CARD = 80
_COMMENTARY = frozenset({"COMMENT", "HISTORY", ""})


def _parse_string(text: str) -> tuple[str, str]:
    """Split the value field of a string card into value and rest."""
    out = []
    i = 1
    while i < len(text):
        if text[i] == "'":
            if text[i + 1 : i + 2] != "'":
                break
            i += 1
        out.append(text[i])
        i += 1
    return "".join(out).rstrip(), text[i + 1 :]


def parse_value(card: str) -> tuple[Value | None, str]:
    """Return value and comment of a card; the value is None for a commentary or empty card."""
    if card[8:10] != "= ":
        return None, card[8:].rstrip()
    text = card[10:].strip()
    if text.startswith("'"):
        value, rest = _parse_string(text)
        return value, rest.partition("/")[2].strip()
    field, _, comment = text.partition("/")
    field = field.strip()
    if field in {"T", "F"}:
        return field == "T", comment.strip()
    try:
        return int(field), comment.strip()
    except ValueError:
        pass
    try:
        return float(field.replace("D", "E").replace("d", "e")), comment.strip()
    except ValueError:
        return (field or None), comment.strip()


def _format_float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written in a FITS header")
    text = str(value).upper()
    return text if any(c in text for c in ".E") else text + ".0"


def format_card(key: str, value: Value, comment: str = "") -> str:
    """Return the 80 characters of a card (fixed format)."""
    kind: Any = value
    if isinstance(kind, str):
        escaped = kind.replace("'", "''")
        field = f"'{escaped:<8}'"
        field = f"{field:<20}"
    elif isinstance(kind, bool) or type(kind).__name__ == "bool":
        field = f"{'T' if kind else 'F':>20}"
    elif hasattr(kind, "__index__"):
        field = f"{int(kind):>20}"
    else:
        field = f"{_format_float(kind):>20}"
    if len(field) > CARD - 10:
        raise ValueError(f"{key}: value of {len(field)} characters does not fit a FITS card")
    text = f"{key.upper():<8}= {field}"
    if comment:
        text = f"{text} / {comment}"
    return f"{text:<80.80}"


class Header:
    """Cards in order, with access by keyword.

    Parameters
    ----------
    cards
        80-character strings, without END.
    """

    def __init__(self, cards: Iterable[str] = ()) -> None:
        self.cards: list[str] = list(cards)
        self._index: dict[str, int] | None = None
        self.file = "header"

    @classmethod
    def from_bytes(cls, block: bytes) -> Header:
        """Read cards up to END."""
        text = block.decode("latin-1")
        cards = []
        for start in range(0, len(text), CARD):
            card = text[start : start + CARD]
            if card[:8] == "END     ":
                break
            cards.append(card)
        return cls(cards)

    def to_bytes(self) -> bytes:
        """Return the header's blocks with END and padding."""
        text = "".join(self.cards) + f"{'END':<80}"
        return text.encode("latin-1").ljust(-(-len(text) // 2880) * 2880)

    def copy(self) -> Header:
        """Return an independent copy."""
        out = Header(self.cards)
        out.file = self.file
        return out

    def _position(self, key: str) -> int | None:
        if self._index is None:
            index: dict[str, int] = {}
            for i, card in enumerate(self.cards):
                index.setdefault(card[:8].rstrip(), i)
            self._index = index
        return self._index.get(key.upper())

    def __contains__(self, key: str) -> bool:
        return self._position(key) is not None

    def __iter__(self) -> Iterator[str]:
        return (card[:8].rstrip() for card in self.cards)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default` when it is absent or undefined."""
        position = self._position(key)
        if position is None:
            return default
        value, _ = parse_value(self.cards[position])
        return default if value is None else value

    def real(self, key: str, default: float = 0.0) -> float:
        """Return the value of `key` as a number; INPUT_CORRUPT when it is none."""
        value = self.get(key, default)
        if isinstance(value, int | float):
            return float(value)
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT,
            f"{self.file}: {key} = {value!r} is not a number; correct the header or deliver the "
            "file again",
        )

    def integer(self, key: str, default: float = 0) -> int:
        """Return the value of `key` as the nearest whole number; INPUT_CORRUPT when it is none."""
        value = self.real(key, default)
        return round(value) if math.isfinite(value) else 0

    def text(self, key: str, default: str = "") -> str:
        """Return the value of `key` as stripped text."""
        return str(self.get(key, default)).strip()

    def set(self, key: str, value: Value, comment: str | None = None) -> None:
        """Set `key`; the old comment stays unless a new one is given."""
        position = self._position(key)
        if position is None:
            self.cards.append(format_card(key, value, comment or ""))
            if self._index is not None:
                self._index.setdefault(key.upper(), len(self.cards) - 1)
            return
        if comment is None:
            comment = parse_value(self.cards[position])[1]
        self.cards[position] = format_card(key, value, comment)

    def remove(self, *keys: str) -> None:
        """Remove all cards of these keywords."""
        drop = {key.upper() for key in keys}
        self.cards = [card for card in self.cards if card[:8].rstrip() not in drop]
        self._index = None

    def history(self, *lines: str) -> None:
        """Append HISTORY cards, folded at 72 characters."""
        for line in lines:
            clean = line.encode("ascii", "replace").decode("ascii")
            for start in range(0, max(len(clean), 1), 72):
                self.cards.append(f"HISTORY {clean[start : start + 72]:<72}")

    def histories(self) -> list[str]:
        """Return the text of all HISTORY cards."""
        return [card[8:].rstrip() for card in self.cards if card.startswith("HISTORY ")]
