"""Lists of checksums: ``digest  name`` as sha256sum and md5sum write them, and BSD's form."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.fits_header import Unreadable

ALGORITHMS = {".sha256": "sha256", ".md5": "md5"}
"""Algorithm by a list's suffix."""

_MOST_BYTES = 64 << 20
_LINE = re.compile(r"\\?([0-9A-Fa-f]{8,128})(?:\s+[*]?|\s*)(.*)")
_BSD = re.compile(r"[A-Za-z0-9-]+ \((.+)\) = ([0-9A-Fa-f]{8,128})")


@dataclass(frozen=True)
class Listed:
    """One line of a list."""

    name: str
    digest: str


def algorithm_of(name: str) -> str | None:
    """Return the algorithm of a list by its name; None when it is no list."""
    return next((how for end, how in ALGORITHMS.items() if name.lower().endswith(end)), None)


def parse_list(text: str, algorithm: str, alone: str = "") -> tuple[Listed, ...]:
    """Return what a list names.

    Parameters
    ----------
    text
        Of the list.
    algorithm
        By which its digests were made.
    alone
        The file that a line without a name means.

    Raises
    ------
    Unreadable
        A line is none, or names a file elsewhere, or names one twice with two digests.
    """
    digits = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        bsd = _BSD.fullmatch(line.strip())
        plain = _LINE.fullmatch(line.strip())
        name, digest = (bsd[1], bsd[2]) if bsd else (plain[2], plain[1]) if plain else ("", "")
        name = name.strip().removeprefix("./") or alone
        if len(digest) != digits or not name:
            raise Unreadable(f"line {number} is not '{algorithm} digest  name'")
        if "/" in name or name in {".", ".."}:
            raise Unreadable(f"line {number} names {name!r}, which is not in the same folder")
        if found.setdefault(name, digest.lower()) != digest.lower():
            raise Unreadable(f"line {number} names {name!r} a second time, with another digest")
    if not found:
        raise Unreadable("it names no file")
    return tuple(Listed(name, digest) for name, digest in found.items())


def read_list(path: Path, algorithm: str, alone: str = "") -> tuple[Listed, ...]:
    """Read a list; see :func:`parse_list`."""
    with filing.opened(path) as stream:
        raw = stream.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise Unreadable("it is too long for a list of checksums")
    try:
        return parse_list(raw.decode("utf-8"), algorithm, alone)
    except UnicodeDecodeError as error:
        raise Unreadable("it is no text") from error


def companion_fault(companion: Path, file: Path, sha256: str) -> str | None:
    """Return what is wrong with a file by its companion's digest; None when they agree."""
    algorithm = algorithm_of(companion.name) or "sha256"
    named = {item.name: item.digest for item in read_list(companion, algorithm, file.name)}
    if file.name not in named:
        return f"its companion {companion.name} names {', '.join(named)} instead"
    digest = sha256
    if algorithm != "sha256":
        with filing.opened(file) as stream:
            digest = filing.digest_of(stream, algorithm)
    if digest == named[file.name]:
        return None
    return f"its {algorithm} is {digest}, but {companion.name} says {named[file.name]}"
