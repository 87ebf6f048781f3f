"""Looks at one folder, again and again, and says which files in it are whole.

Written for folders with 100,000 files and for network file systems: what has not changed is not
looked at again, entries may vanish at any moment, an attribute that cannot be read now is read the
next time. Nothing in a folder is ever followed: no subfolder, no symbolic link.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.queue.pollers.declarations import Completeness

TEMPORARY = re.compile(
    r"\A\.|~\Z|\.(part|partial|tmp|temp|filepart|crdownload|swp|lock|writing)\Z", re.IGNORECASE
)
"""Names of files that somebody is still writing: ``.nfs...`` and rsync's ``.x.fits.Ab12`` too."""

FULL_LOOK_S = 60.0
"""So often the whole folder is looked at, even if it seems unchanged."""

_SETTLED_FOLDER_NS = 2_000_000_000
_TRANSIENT = frozenset({errno.ESTALE, errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR})

Scandir = Callable[[str], AbstractContextManager[Iterator[os.DirEntry[str]]]]


@dataclass(frozen=True)
class Stamp:
    """By what a file is known not to have changed."""

    inode: int
    size: int
    mtime_ns: int

    @staticmethod
    def of(about: os.stat_result) -> Stamp:
        """Return the stamp of what was looked at."""
        return Stamp(about.st_ino, about.st_size, about.st_mtime_ns)


@dataclass(frozen=True)
class Found:
    """A file that is whole, or something that can never be taken (`fault`)."""

    name: str
    stamp: Stamp
    companion: str | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Look:
    """What one look found.

    Parameters
    ----------
    found
        Whole files, the oldest first.
    waiting
        How many files are not whole yet.
    more
        Whether there are more whole files than were asked for.
    """

    found: tuple[Found, ...] = ()
    waiting: int = 0
    more: bool = False


@dataclass
class _Pending:
    stamp: Stamp
    since: float


class Scanner:
    """The looks at one folder.

    Parameters
    ----------
    folder
        It must exist.
    rule
        When a file is whole.
    scandir
        Lists it (:func:`os.scandir`).
    clock, monotonic
        Tell the time of files, and how long something has lasted.
    """

    def __init__(
        self,
        folder: Path,
        rule: Completeness,
        *,
        scandir: Scandir = os.scandir,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._rule = rule
        self._scandir = scandir
        self._clock = clock
        self._monotonic = monotonic
        self._pending: dict[str, _Pending] = {}
        self._known: dict[str, Stamp] = {}
        self._ready: deque[Found] = deque()
        self._folder_stamp: Stamp | None = None
        self._full_look_at = float("-inf")

    def look(self, most: int) -> Look:
        """Look, and return `most` whole files at the most."""
        if not self._ready:
            about = self.folder.stat()
            if not self._is_quiet(about):
                self._list(about)
        found = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        return Look(tuple(found), len(self._pending), bool(self._ready))

    def leave(self, found: Found) -> None:
        """Say that a file stays where it is, and need not be found again before it changes."""
        self._known[found.name] = found.stamp

    def again(self, name: str) -> None:
        """Find a file again, as if it were new."""
        self._known.pop(name, None)
        self._folder_stamp = None

    def _is_quiet(self, about: os.stat_result) -> bool:
        """Whether there is nothing new by the folder's own time."""
        if self._pending or self._folder_stamp != Stamp.of(about):
            return False
        return self._monotonic() - self._full_look_at < FULL_LOOK_S

    def _list(self, about: os.stat_result) -> None:
        now = self._monotonic()
        full = now - self._full_look_at >= FULL_LOOK_S
        entries: dict[str, os.DirEntry[str]] = {}
        with self._scandir(os.fspath(self.folder)) as listing:
            for entry in listing:
                if not TEMPORARY.search(entry.name):
                    entries[entry.name] = entry
        self._known = {name: s for name, s in self._known.items() if name in entries}
        found: list[Found] = []
        pending: dict[str, _Pending] = {}
        unsure = False
        for name, entry in entries.items():
            known = self._known.get(name)
            if known is not None and not full and known.inode == entry.inode():
                continue
            if self._is_companion(name):
                continue
            try:
                stamp, fault = _examine(entry)
            except OSError as error:
                # Vanished, or a stale handle: whatever it is, the next look sees it.
                unsure = unsure or error.errno != errno.ENOENT
                if error.errno not in _TRANSIENT | {errno.ENOENT}:
                    raise
                continue
            if stamp is None or known == stamp:
                continue
            self._known.pop(name, None)
            if fault is not None:
                found.append(Found(name, stamp, fault=fault))
            elif self._is_whole(name, stamp, entries, pending, now):
                found.append(Found(name, stamp, self._companion(name)))
        self._pending = pending
        self._ready.extend(sorted(found, key=lambda f: (f.stamp.mtime_ns, f.name)))
        # A change within the tick of the folder's clock would not be seen by its time.
        fresh = self._clock() * 1e9 - about.st_mtime_ns < _SETTLED_FOLDER_NS
        self._folder_stamp = None if fresh or unsure else Stamp.of(about)
        if full:
            self._full_look_at = now

    def _is_companion(self, name: str) -> bool:
        return bool(self._rule.suffix) and name.endswith(self._rule.suffix)

    def _companion(self, name: str) -> str | None:
        return name + self._rule.suffix if self._rule.suffix else None

    def _is_whole(
        self,
        name: str,
        stamp: Stamp,
        entries: dict[str, os.DirEntry[str]],
        pending: dict[str, _Pending],
        now: float,
    ) -> bool:
        if self._rule.rule == "marker":
            if self._companion(name) in entries:
                return True
            pending[name] = _Pending(stamp, now)
            return False
        before = self._pending.get(name)
        if before is None or before.stamp != stamp:
            pending[name] = _Pending(stamp, now)
            return False
        age = self._clock() - stamp.mtime_ns / 1e9
        # A file from the future (a server's clock) counts from when it was first seen like this.
        settled = age if age >= 0 else now - before.since
        companion = self._companion(name)
        if settled >= self._rule.seconds and (companion is None or companion in entries):
            return True
        pending[name] = before
        return False


def _examine(entry: os.DirEntry[str]) -> tuple[Stamp | None, str | None]:
    """Return an entry's stamp and why it can never be taken; no stamp for a subfolder."""
    about = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(about.st_mode):
        return None, None
    if stat.S_ISLNK(about.st_mode):
        return Stamp.of(about), "it is a symbolic link: deliver the file itself"
    if not stat.S_ISREG(about.st_mode):
        return Stamp.of(about), "it is not a regular file"
    return Stamp.of(about), None
