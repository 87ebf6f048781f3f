"""Reading the archive again: is every file still what the catalogue says?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard import catalogue_rows
from htcondor_operator.blackboard.catalogue import Due, products_to_verify
from htcondor_operator.mirror.manifest import read_rows, shelf_of, shelves
from htcondor_operator.vocabulary import ErrorKind, OwlError

_BATCH = 50
_REBUILT = 200


@dataclass(frozen=True)
class Verdict:
    """What the verification of one file found; ``fault`` is None when all is well."""

    dataset: str
    name: str
    bytes: int
    fault: str | None


def verify(connection: Connection, archive: Path, due: Due) -> Iterator[Verdict]:
    """Read files, yield a verdict for each, and write the verdicts in batches.

    Parameters
    ----------
    connection
        Not in autocommit mode; no transaction is open while files are read.
    archive
        The archive's folder.
    due
        Which files.
    """
    after = ("", "")
    while True:
        with connection, connection.cursor() as cur:
            rows = products_to_verify(cur, due, after=after, limit=_BATCH)
        if not rows:
            return
        after = (rows[-1]["dataset"], rows[-1]["name"])
        verdicts = []
        for row in rows:
            fault = _fault(archive, row)
            verdicts.append((row["id"], row["sha256"], fault))
            yield Verdict(row["dataset"], row["name"], row["bytes"], fault)
        if any(fault for _, _, fault in verdicts):
            _check_there(archive)
        with connection, connection.cursor() as cur:
            catalogue_rows.save_verdicts(cur, verdicts)


def _check_there(archive: Path) -> None:
    """Refuse to call files missing whose file system is not mounted.

    Raises
    ------
    OwlError
        ``BAD_CONF``: the archive's folder is not there, or nothing is in it.
    """
    try:
        with os.scandir(archive) as entries:
            if next(entries, None) is not None:
                return
        words = "is empty"
    except OSError as error:
        words = f"cannot be read ({error.strerror})"
    raise OwlError(
        ErrorKind.BAD_CONF,
        f"OWL_ARCHIVE {str(archive)!r} {words}: nothing is called missing. Mount it, or correct "
        "OWL_ARCHIVE.",
    )


def _fault(archive: Path, row: Mapping[str, Any]) -> str | None:
    shelf = shelf_of(archive, row["dataset"])
    fault = file_fault(shelf / row["name"], row["bytes"], row["sha256"])
    if fault is None:
        return None
    # A run may have replaced the file since the catalogue was read: its manifest knows.
    for new in _rows(shelf):
        if new["name"] == row["name"] and new["sha256"] != row["sha256"]:
            return file_fault(shelf / row["name"], new["bytes"], new["sha256"])
    return fault


def _rows(shelf: Path) -> list[dict[str, Any]]:
    try:
        return read_rows(shelf)
    except (OwlError, OSError):
        return []


def file_fault(path: Path, size: int, sha256: str) -> str | None:
    """Return what is wrong with a file; None when it has this size and digest."""
    try:
        with path.open("rb") as stream:
            found = path.stat().st_size
            if found != size:
                return f"has {found} bytes instead of {size}"
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if digest == sha256 else f"has sha256 {digest[:12]}... instead of {sha256[:12]}..."


@dataclass
class Rebuilt:
    """What a rebuild did so far."""

    shelves: int = 0
    written: int = 0
    removed: int = 0
    damaged: tuple[str, ...] = ()


def rebuild(connection: Connection, archive: Path, *, prune: bool) -> Iterator[Rebuilt]:
    """Write all manifests of the archive into the catalogue; yield the state after each batch.

    Parameters
    ----------
    connection
        Not in autocommit mode.
    archive
        The archive's folder.
    prune
        Delete the rows of files that no manifest lists any more.
    """
    state = Rebuilt()
    batch: list[Path] = []
    for shelf in shelves(archive):
        batch.append(shelf)
        if len(batch) == _REBUILT:
            _write(connection, batch, state, prune=prune)
            yield state
    _write(connection, batch, state, prune=prune)
    yield state


def _write(connection: Connection, batch: list[Path], state: Rebuilt, *, prune: bool) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for shelf in batch:
        state.shelves += 1
        try:
            found[shelf.name] = read_rows(shelf)
        except (OwlError, OSError) as error:
            state.damaged = (*state.damaged, str(error))
    try:
        _save(connection, found, state, prune=prune)
    except (psycopg2.DataError, psycopg2.IntegrityError):
        for dataset, rows in found.items():
            try:
                _save(connection, {dataset: rows}, state, prune=prune)
            except (psycopg2.DataError, psycopg2.IntegrityError) as error:
                words = f"{dataset} is not catalogued: {' '.join(str(error).split())}"
                state.damaged = (*state.damaged, words)
    batch.clear()


def _save(
    connection: Connection,
    found: Mapping[str, list[dict[str, Any]]],
    state: Rebuilt,
    *,
    prune: bool,
) -> None:
    with connection, connection.cursor() as cur:
        rows = [row for rows in found.values() for row in rows]
        state.written += catalogue_rows.upsert_products(cur, rows)
        if prune:
            for dataset, listed in found.items():
                names = [row["name"] for row in listed]
                state.removed += catalogue_rows.forget_products(cur, dataset, names)
