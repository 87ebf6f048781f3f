"""The archive: one folder and one manifest per dataset; files come in by a rename."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits.files import temporary

MANIFEST = "manifest.json"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load(shelf: Path) -> dict[str, Any]:
    """Return a dataset's manifest (an empty one when there is none)."""
    path = shelf / MANIFEST
    if not path.is_file():
        return {"dataset": shelf.name, "files": {}}
    try:
        manifest = json.loads(path.read_text())
        if not isinstance(manifest["files"], dict):
            raise TypeError("files")
    except (ValueError, KeyError, TypeError) as error:
        raise CalibrationError(
            ExitCode.ARCHIVE_ERROR,
            f"{path} is damaged ({error!r}); move it away, then run INGEST_SCI again",
        ) from error
    return dict(manifest)


def put(shelf: Path, source: Path) -> dict[str, Any]:
    """Copy a file into the shelf and return its record; a copy that is there already is kept.

    Raises
    ------
    CalibrationError
        ARCHIVE_ERROR when the copy reads back differently.
    """
    shelf.mkdir(parents=True, exist_ok=True)
    wanted = sha256_of(source)
    target = shelf / source.name
    if not (target.is_file() and sha256_of(target) == wanted):
        draft = temporary(target)
        try:
            with source.open("rb") as stream, draft.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())
            if sha256_of(draft) != wanted:
                raise CalibrationError(
                    ExitCode.ARCHIVE_ERROR,
                    f"{target} reads back differently from {source}; check the archive's disk",
                )
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    return {"bytes": source.stat().st_size, "sha256": wanted}


def record(
    shelf: Path,
    files: Mapping[str, dict[str, Any]],
    facts: Mapping[str, Any],
    observations: Mapping[str, dict[str, Any]] | None = None,
) -> bool:
    """Merge records into the manifest; return whether it changed (a re-run leaves it as it is).

    Parameters
    ----------
    shelf
        The dataset's folder in the archive.
    files
        File name -> record. A file whose content is another one than before gets a new
        ``archived`` time, which tells the catalogue the run that made it.
    facts
        What is said about the whole dataset.
    observations
        obs_id -> what the exposure (or association) is and how it was calibrated.
    """
    with _alone(shelf):
        return _record(shelf, files, facts, observations)


@contextmanager
def _alone(shelf: Path) -> Iterator[None]:
    """Let nobody else merge into this manifest: jitter and science share a shelf."""
    shelf.mkdir(parents=True, exist_ok=True)
    folder = os.open(shelf, os.O_RDONLY)
    try:
        # Some network file systems lock no folders: there it is as it was without.
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _record(
    shelf: Path,
    files: Mapping[str, dict[str, Any]],
    facts: Mapping[str, Any],
    observations: Mapping[str, dict[str, Any]] | None,
) -> bool:
    manifest = load(shelf)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    old = manifest["files"]
    merged = {**old, **{name: _dated(old.get(name), entry, now) for name, entry in files.items()}}
    new = {**facts}
    if observations:
        known = manifest.get("observations", {})
        new["observations"] = dict(sorted({**known, **observations}.items()))
    if merged == old and all(manifest.get(k) == v for k, v in new.items()):
        return False
    manifest.update(new)
    manifest["files"] = dict(sorted(merged.items()))
    manifest["updated"] = now
    path = shelf / MANIFEST
    draft = temporary(path)
    try:
        draft.write_text(json.dumps(manifest, indent=1) + "\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _dated(old: dict[str, Any] | None, entry: dict[str, Any], now: str) -> dict[str, Any]:
    if old is not None and old.get("sha256") == entry["sha256"] and "archived" in old:
        now = old["archived"]
    return {**entry, "archived": now}


def faults(shelf: Path) -> list[str]:
    """Return a sentence for each archived file that is missing or does not verify."""
    files = load(shelf)["files"]
    if not files:
        return [f"{shelf / MANIFEST} lists no file"]
    out = []
    for name, entry in files.items():
        path = shelf / name
        if not path.is_file():
            out.append(f"{name} is missing")
        elif sha256_of(path) != entry.get("sha256"):
            out.append(f"{name} has another sha256 than the manifest")
    return out
