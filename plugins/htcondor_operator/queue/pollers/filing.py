"""Delivered files on disk: read safely, moved whole, put into quarantine with a reason."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from htcondor_operator.queue.pollers.scanning import Stamp

REASON = ".reason.json"
_PIECE = 1 << 20
_LONGEST_NAME = 200
_LONGEST_SENTENCE = 1000


class Changed(Exception):
    """A file is no longer what the scanner saw: it is looked at again."""


@contextmanager
def opened(path: Path, stamp: Stamp | None = None) -> Iterator[BinaryIO]:
    """Open a regular file, never through a link and never waiting for a pipe's other end.

    Raises
    ------
    Changed
        It is not the file of `stamp`, before or after it was read.
    OSError
        It cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as stream:
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode) or stamp not in {None, Stamp.of(about)}:
            raise Changed(path.name)
        yield stream
        if Stamp.of(os.fstat(stream.fileno())) != Stamp.of(about):
            raise Changed(path.name)


def digest_of(stream: BinaryIO, algorithm: str = "sha256") -> str:
    """Return the digest of a stream, from its beginning; it stands at its beginning afterwards."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    stream.seek(0)
    while piece := stream.read(_PIECE):
        digest.update(piece)
    stream.seek(0)
    return digest.hexdigest()


def shown(name: str) -> str:
    """Return a file name as text for database and people: odd bytes become escapes."""
    return _printable(os.fsencode(name).decode("utf-8", "backslashreplace"))


def said(words: str) -> str:
    """Return a sentence that quotes a file: in one line, not endless, and nothing odd in it."""
    if len(words) > _LONGEST_SENTENCE:
        words = f"{words[:_LONGEST_SENTENCE]}..."
    return _printable(words)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def files(number: int) -> str:
    """Return ``1 file`` or ``3 files``."""
    return "1 file" if number == 1 else f"{number} files"


def move(source: Path, target: Path) -> None:
    """Move a file in one step, even to another file system; what is at the target is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return
    draft = target.with_name(f".{target.name[:_LONGEST_NAME]}.writing")
    try:
        with opened(source) as stream, draft.open("wb") as out:
            shutil.copyfileobj(stream, out, _PIECE)
            out.flush()
            os.fsync(out.fileno())
        shutil.copystat(source, draft, follow_symlinks=False)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    source.unlink()


def quarantine_path(folder: Path, name: str, sha256: str) -> Path:
    """Return a place in quarantine that no other file has, with a name that can be shown."""
    short = shown(name).encode()[:_LONGEST_NAME].decode("utf-8", "ignore")
    path = folder / short
    number = 1
    while os.path.lexists(path):
        mark = sha256[:8] or "again"
        path = folder / (f"{short}.{mark}" if number == 1 else f"{short}.{mark}-{number}")
        number += 1
    return path


def write_reason(path: Path, facts: Mapping[str, Any]) -> None:
    """Write why a file is in quarantine, beside it."""
    target = path.with_name(path.name + REASON)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.writing")
    draft.write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")
    draft.replace(target)


def drop(path: Path) -> None:
    """Remove a file if it is there."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
