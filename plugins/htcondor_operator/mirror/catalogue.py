"""Keeps the archive's catalogue, in a thread and a connection of its own: the mirror never waits.

Jobs write manifests and carry no credentials; the mirror knows when a node has ended. So whenever
a node of a dataset has ended, the manifest on its shelf is looked at, and what is new in it is
written. Nothing needs to be kept between two lives of the thread: it begins an hour before the
newest product that is catalogued, and writing a manifest twice changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard import catalogue_rows
from htcondor_operator.mirror.background import Background
from htcondor_operator.mirror.manifest import MANIFEST, read_rows, shelf_of
from htcondor_operator.vocabulary import OwlError

log = logging.getLogger(__name__)

_EVERY_SECONDS = 1.0
# A transaction of the mirror is dated by its beginning and seen at its end; and a network file
# system may show a folder as it was some seconds ago.
_OVERLAP = timedelta(seconds=20)
_BEFORE_NEWEST = timedelta(hours=1)
# What took longer than the overlap is found by a look further back.
_WIDE_LOOK_SECONDS = 600.0
_GIVE_UP_SECONDS = 600.0
_BATCH = 200
_REMEMBERED = 50_000

Stamp = tuple[int, int, int]


class Cataloguer(Background):
    """Writes manifests that have changed into the catalogue.

    Parameters
    ----------
    connect
        Opens a connection that is not in autocommit mode.
    archive
        The archive's folder.
    """

    def __init__(self, connect: Callable[[], Connection], archive: Path) -> None:
        super().__init__("catalogue", "the catalogue waits", connect, _EVERY_SECONDS)
        self._archive = archive
        self._since: datetime | None = None
        self._began = False
        self._wide_at = 0.0
        self._known: dict[str, Stamp] = {}
        # Datasets whose manifest could not be read, and since when.
        self._unread: dict[str, float] = {}

    def work(self, connection: Connection) -> bool:
        """Look once."""
        self.look(connection)
        return False

    def look(self, connection: Connection) -> int:
        """Catalogue what has changed since the last look; return rows that are new or changed."""
        if not self._archive.is_dir():
            raise FileNotFoundError(f"the archive {self._archive} is not there")
        with connection, connection.cursor() as cur:
            if not catalogue_rows.be_the_only_one(cur):
                return 0
            if not self._began:
                newest = catalogue_rows.catalogued_until(cur)
                self._since = newest - _BEFORE_NEWEST if newest else None
                self._began = True
            is_wide = time.monotonic() >= self._wide_at
            since = self._since - _BEFORE_NEWEST if self._since and is_wide else self._since
            news = catalogue_rows.datasets_with_news(cur, since)
        written = 0
        changed = self._changed({*news, *self._unread})
        for start in range(0, len(changed), _BATCH):
            written += self._write(connection, changed[start : start + _BATCH])
        # Only now: what a lost connection left undone is found again.
        if news:
            latest = max(news.values()) - _OVERLAP
            self._since = max(self._since, latest) if self._since else latest
        if is_wide:
            self._wide_at = time.monotonic() + _WIDE_LOOK_SECONDS
        return written

    def _changed(self, datasets: set[str]) -> list[tuple[str, Stamp]]:
        """Return the datasets whose manifest is another one than the last time."""
        found = []
        for dataset in sorted(datasets):
            try:
                stamp = _stamp(shelf_of(self._archive, dataset) / MANIFEST)
            except OSError as error:  # of this shelf only: the others are looked at
                self._later(dataset, error)
                continue
            if stamp is not None and self._known.get(dataset) != stamp:
                found.append((dataset, stamp))
        return found

    def _write(self, connection: Connection, datasets: list[tuple[str, Stamp]]) -> int:
        rows: list[dict[str, Any]] = []
        done: dict[str, Stamp] = {}
        for dataset, stamp in datasets:
            try:
                rows += read_rows(shelf_of(self._archive, dataset))
                done[dataset] = stamp
            except OwlError as error:
                log.warning("not catalogued: %s", error.message)
                done[dataset] = stamp
            except OSError as error:
                self._later(dataset, error)
        try:
            with connection, connection.cursor() as cur:
                written = catalogue_rows.upsert_products(cur, rows)
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            if len(datasets) > 1:
                return sum(self._write(connection, [each]) for each in datasets)
            # Trying again would stop all that come after it.
            log.warning("%s is not catalogued: %s", datasets[0][0], str(error).strip())
            written = 0
        for dataset in done:
            self._unread.pop(dataset, None)
        self._remember(done)
        if written:
            log.info("catalogued: %s rows of %s", written, ", ".join(sorted(done)[:5]))
        return written

    def _later(self, dataset: str, error: OSError) -> None:
        """Note that a manifest is to be read again; for ten minutes."""
        began = self._unread.setdefault(dataset, time.monotonic())
        if time.monotonic() - began > _GIVE_UP_SECONDS:
            log.warning("%s is not catalogued: %s; run `owl archive rebuild`", dataset, error)
            del self._unread[dataset]

    def _remember(self, done: dict[str, Stamp]) -> None:
        self._known.update(done)
        for dataset in list(self._known)[: max(0, len(self._known) - _REMEMBERED)]:
            del self._known[dataset]


def _stamp(path: Path) -> Stamp | None:
    """Return what changes with a file's content; None if there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
