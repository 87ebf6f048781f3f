"""What is asked of the queue and its history: filters, patterns of names, and pages."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from htcondor_operator.vocabulary import ErrorKind, InvalidName, OwlError

PAGE_MOST = 1_000
_PATTERN = re.compile(r"[A-Za-z0-9_+\-*?]{1,63}", re.ASCII)
_WILD = re.compile(r"[*?]")

_BEYOND_NAMES = "~"
"""Sorts behind every character that a fileset's name may have."""


@dataclass(frozen=True)
class Pattern:
    """A fileset's name with the wildcards ``*`` and ``?``."""

    text: str

    def __post_init__(self) -> None:
        if not _PATTERN.fullmatch(self.text):
            raise InvalidName(
                "fileset", self.text, "1 to 63 letters, digits, '_', '+', '-', '*' or '?'"
            )

    @property
    def exact(self) -> bool:
        """Whether it has no wildcards."""
        return not _WILD.search(self.text)

    @property
    def prefix(self) -> str:
        """What all names that fit begin with."""
        return _WILD.split(self.text, maxsplit=1)[0]

    @property
    def only_prefix(self) -> bool:
        """Whether all names with the prefix fit."""
        return self.text == self.prefix + "*"

    @property
    def like(self) -> str:
        """The pattern for SQL's LIKE."""
        escaped = self.text.replace("_", r"\_")
        return escaped.replace("*", "%").replace("?", "_")

    @property
    def above(self) -> str:
        """The end of the range of names that begin with the prefix; no name is like it."""
        return self.prefix + _BEYOND_NAMES


@dataclass(frozen=True)
class Filter:
    """Which entries are meant; what is None does not matter.

    Parameters
    ----------
    type, campaign, priority
        As in the entry.
    state
        State of an entry in the queue, or outcome of one in the history.
    fileset
        Name or pattern.
    """

    type: str | None = None
    state: str | None = None
    campaign: str | None = None
    fileset: Pattern | None = None
    priority: int | None = None


@dataclass(frozen=True)
class Page:
    """Rows, and where the next page begins (None at the end)."""

    rows: list[dict[str, Any]]
    next: str | None


def token(values: tuple[Any, ...]) -> str:
    """Return a page's end as a word for a command line or a URL."""
    text = json.dumps(values, default=_plain, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(value)


def from_token(word: str | None, kinds: tuple[type, ...]) -> tuple[Any, ...] | None:
    """Return the values of a :func:`token` whose list is ordered by columns of `kinds`.

    Raises
    ------
    OwlError
        ``BAD_CONF``: it is not one, or one of a list in another order.
    """
    if word is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        if len(values) != len(kinds):
            raise ValueError(values)
        return tuple(_read(kind, value) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError, binascii.Error) as error:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"after {word!r} is not the `next` of a page of this list. Begin without it.",
        ) from error


def _read(kind: type, value: object) -> object:
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise TypeError(value)
