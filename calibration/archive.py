"""The archive: one folder and one manifest per dataset, which change together or not at all.

A new state of a dataset's folder (its *shelf*) is built beside it: what is not changed is linked,
what is new is copied, read back and written through to the disk, and the manifest is added. Then
the two folders change places, in one call of the system. Whoever looks sees the old state or the
new one, whenever the program or the machine was stopped.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode

MANIFEST = "manifest.json"
#: Where states are built: two levels below the archive, so that no search for manifests sees them.
STAGING = ".staging"

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class Entry:
    """A file that comes into the archive.

    Parameters
    ----------
    content
        The file, or its content.
    facts
        What the manifest says of it beside size and sha256.
    """

    content: Path | bytes
    facts: Mapping[str, Any]


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


def store(
    shelf: Path,
    entries: Mapping[str, Entry],
    facts: Mapping[str, Any],
    observations: Mapping[str, dict[str, Any]] | None = None,
    *,
    replace: bool = False,
) -> bool:
    """Bring files into the archive; return whether anything changed.

    Doing it again changes nothing; a file that was damaged in the archive is replaced.

    Parameters
    ----------
    shelf
        The dataset's folder in the archive.
    entries
        File name -> the file. One whose content is another one than before gets a new ``archived``
        time, which tells the catalogue the run that made it.
    facts
        What is said about the whole dataset.
    observations
        obs_id -> what the exposure (or association) is and how it was calibrated.
    replace
        Whether to write files again that are there already.

    Raises
    ------
    CalibrationError
        ARCHIVE_ERROR when a copy reads back differently.
    """
    with _locked(shelf) as staging:
        _restore(shelf, staging)
        records = {name: _record(entry) for name, entry in entries.items()}
        manifest = _merged(load(shelf), records, facts, observations)
        new = [
            name
            for name in entries
            if replace or not _is_there(shelf / name, records[name]["sha256"])
        ]
        if manifest is None and not new:
            return False
        draft = staging / "new"
        draft.mkdir()
        for name in new:
            _copy(entries[name].content, draft / name, records[name]["sha256"])
        _link_others(shelf, draft, {*new, MANIFEST})
        text = json.dumps(load(shelf) if manifest is None else manifest, indent=1) + "\n"
        _write_through(draft / MANIFEST, text.encode())
        _sync(draft)
        _exchange(draft, shelf, staging / "old")
    return True


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


def _record(entry: Entry) -> dict[str, Any]:
    if isinstance(entry.content, bytes):
        size, digest = len(entry.content), hashlib.sha256(entry.content).hexdigest()
    else:
        size, digest = entry.content.stat().st_size, sha256_of(entry.content)
    return {"bytes": size, "sha256": digest, **entry.facts}


def _merged(
    manifest: dict[str, Any],
    files: Mapping[str, dict[str, Any]],
    facts: Mapping[str, Any],
    observations: Mapping[str, dict[str, Any]] | None,
) -> dict[str, Any] | None:
    """Return the new manifest; None when it is as it was."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    old = manifest["files"]
    merged = {**old, **{name: _dated(old.get(name), entry, now) for name, entry in files.items()}}
    new = {**facts}
    if observations:
        known = manifest.get("observations", {})
        new["observations"] = dict(sorted({**known, **observations}.items()))
    if merged == old and all(manifest.get(k) == v for k, v in new.items()):
        return None
    return {**manifest, **new, "files": dict(sorted(merged.items())), "updated": now}


def _dated(old: dict[str, Any] | None, entry: dict[str, Any], now: str) -> dict[str, Any]:
    if old is not None and old.get("sha256") == entry["sha256"] and "archived" in old:
        now = old["archived"]
    return {**entry, "archived": now}


def _is_there(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest


def _copy(content: Path | bytes, target: Path, digest: str) -> None:
    if isinstance(content, bytes):
        _write_through(target, content)
    else:
        with content.open("rb") as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
    if sha256_of(target) != digest:
        raise CalibrationError(
            ExitCode.ARCHIVE_ERROR,
            f"{target} reads back differently from what was written; check the archive's disk",
        )


def _link_others(shelf: Path, draft: Path, replaced: set[str]) -> None:
    """Take over everything on the shelf that is not replaced."""
    if not shelf.is_dir():
        return
    draft.chmod(shelf.stat().st_mode & 0o7777)
    for path in shelf.iterdir():
        if path.name in replaced:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, draft / path.name, symlinks=True)
            continue
        try:
            os.link(path, draft / path.name, follow_symlinks=False)
        except OSError as error:  # a file system without links
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV):
                raise
            shutil.copy2(path, draft / path.name, follow_symlinks=False)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    """Have the names in a folder written to the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _exchange(draft: Path, shelf: Path, old: Path) -> None:
    """Put the draft in the shelf's place; afterwards the former state is at `old`."""
    if not shelf.exists():
        draft.rename(shelf)
    elif _rename_exchange(draft, shelf):
        draft.rename(old)
    else:
        # Two calls: stopped between them, :func:`_restore` puts the old state back.
        shelf.rename(old)
        draft.rename(shelf)
    _sync(shelf.parent)


def _rename_exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once; False where the file system cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library from before 2018
        return False
    first, second = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _restore(shelf: Path, staging: Path) -> None:
    """Bring a stopped call to an end: its old state comes back if it was under way, else goes."""
    if (staging / "old").is_dir() and not shelf.exists():
        (staging / "old").rename(shelf)
    shutil.rmtree(staging)
    staging.mkdir()


@contextmanager
def _locked(shelf: Path) -> Iterator[Path]:
    """Yield the dataset's staging folder; the lock goes with the process that holds it."""
    staging = shelf.parent / STAGING / shelf.name
    lock = staging.with_name(f"{shelf.name}.lock")
    staging.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            # Whoever had the lock before has removed the file: another process may hold a new one.
            if not lock.exists() or not os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                continue
            try:
                staging.mkdir(exist_ok=True)
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
                lock.unlink()
        return
