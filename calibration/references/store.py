"""The reference store: files that never change, and an index that says what was added when.

The store is a folder. ``store.json`` lists name, size, sha256, the version of the store since which
a file is in it, and when that was. Each call of :func:`add` that brings something makes the next
version. A file keeps its name and content for ever: what changes gets a new name, so that a name in
a header means one content. Files that are in the folder without being listed can be used as well;
their digest is then computed each time, and nothing is known of their age.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from calibration.archive import sha256_of
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.fits.files import temporary
from calibration.names import reference_file

INDEX = "store.json"
_LOCK = ".store.lock"


@dataclass(frozen=True)
class Used:
    """A reference file as it was found when it was used.

    Parameters
    ----------
    path
        Where it is.
    sha256, size
        Its content, as stored (a gzipped file is not unpacked for this).
    version
        Version of the store since which it is there; None when the store does not list it.
    """

    path: Path
    sha256: str
    size: int
    version: int | None


def locate(references: Path, name: str) -> Path | None:
    """Return a reference file, gzipped or not; None when it is not there."""
    for folder in (references, references / "references" / "hst"):
        for ending in ("", ".gz"):
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path
    return None


def load(folder: Path) -> dict[str, Any]:
    """Return the index: ``version`` and ``files`` (empty when the folder has none).

    Raises
    ------
    CalibrationError
        REFERENCE_BAD when the index is damaged.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text())
        if not isinstance(index["files"], dict) or not isinstance(index["version"], int):
            raise TypeError("files or version")
        return dict(index)
    except FileNotFoundError:
        return {"version": 0, "files": {}}
    except (ValueError, KeyError, TypeError) as error:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{path} is damaged ({error!r}); move it away, then add the files again",
        ) from error


def used(references: Path, name: str, index: dict[str, Any] | None = None) -> Used | None:
    """Return a reference file for use; None when it is not there.

    A listed file whose size and time of change are those of the index is taken for what the index
    says, without reading it.

    Raises
    ------
    CalibrationError
        REFERENCE_BAD when its content is not what was added.
    """
    path = locate(references, name)
    if path is None:
        return None
    entry = (load(references) if index is None else index)["files"].get(name)
    state = path.stat()
    if entry is not None and (state.st_size, state.st_mtime_ns) == (
        entry["bytes"], entry["mtime_ns"],
    ):  # fmt: skip
        return Used(path, entry["sha256"], state.st_size, entry["version"])
    digest = sha256_of(path)
    if entry is None:
        return Used(path, digest, state.st_size, None)
    if digest != entry["sha256"]:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{path.name} is not what was added to the store on {entry['added']}: sha256 "
            f"{digest[:12]}... instead of {entry['sha256'][:12]}...; restore it",
        )
    return Used(path, digest, state.st_size, entry["version"])


def add(folder: Path, sources: Sequence[Path], context: str | None = None) -> list[str]:
    """Bring files into the store, all or none; return the names that are new in it.

    Parameters
    ----------
    folder
        The store.
    sources
        FITS files, gzipped or not; files that lie in the store already are listed as they are.
    context
        CRDS context with which they came.

    Raises
    ------
    CalibrationError
        REFERENCE_BAD for a file that cannot be read, or whose name has another content already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        index = load(folder)
        wanted: dict[str, tuple[Path, str]] = {}
        for source in sources:
            name = reference_file(source.name, "the file").removesuffix(".gz")
            digest = _readable(source)
            if wanted.setdefault(name, (source, digest))[1] != digest:
                raise _refused(name, digest, f"{wanted[name][0]} was given with")
            _check_new(folder, name, digest, index["files"].get(name))
        new = {n: item for n, item in wanted.items() if n not in index["files"]}
        if not new:
            return []
        version, now = index["version"] + 1, datetime.now(UTC).isoformat(timespec="seconds")
        for name, (source, digest) in new.items():
            target = folder / source.name
            if locate(folder, name) is None:
                _copy(source, target, digest)
            state = (locate(folder, name) or target).stat()
            index["files"][name] = {
                "bytes": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": digest,
                "version": version, "added": now, "context": context,
            }  # fmt: skip
        _write(folder, {"version": version, "files": dict(sorted(index["files"].items()))})
    return sorted(new)


def verify(folder: Path) -> tuple[list[str], list[str]]:
    """Read every file of the store; return what is wrong, and the names that are not listed.

    The times of change of good files are written into the index, so that a copied store is as cheap
    to use as the first one.
    """
    faults: list[str] = []
    with _locked(folder):
        index = load(folder)
        for name, entry in index["files"].items():
            path = locate(folder, name)
            if path is None:
                faults.append(f"{name} is missing")
                continue
            state, digest = path.stat(), sha256_of(path)
            if digest != entry["sha256"]:
                faults.append(
                    f"{name} has sha256 {digest[:12]}... instead of {entry['sha256'][:12]}..."
                )
            else:
                entry.update(bytes=state.st_size, mtime_ns=state.st_mtime_ns)
        if index != load(folder):
            _write(folder, index)
    present = {p.name.removesuffix(".gz") for p in folder.glob("*.fits*") if _is_file_of(p)}
    return faults, sorted(present - set(index["files"]))


def _is_file_of(path: Path) -> bool:
    return path.name.endswith((".fits", ".fits.gz")) and not path.name.startswith(".")


def _readable(source: Path) -> str:
    """Return the digest of a file that can be read as FITS."""
    try:
        read(source)
    except CalibrationError as error:
        if error.code == ExitCode.INPUT_MISSING:
            raise
        raise CalibrationError(ExitCode.REFERENCE_BAD, error.message) from error
    return sha256_of(source)


def _check_new(folder: Path, name: str, digest: str, entry: dict[str, Any] | None) -> None:
    """Refuse a file whose name means another content already."""
    if entry is not None:
        if entry["sha256"] != digest:
            raise _refused(name, digest, f"it is in the store since {entry['added']} with",
                           entry["sha256"])  # fmt: skip
        return
    path = locate(folder, name)
    if path is not None and (there := sha256_of(path)) != digest:
        raise _refused(name, digest, f"{path} (not listed) has", there)


def _refused(name: str, digest: str, known: str, other: str = "") -> CalibrationError:
    return CalibrationError(
        ExitCode.REFERENCE_BAD,
        f"{name} with sha256 {digest[:12]}... is refused: {known} "
        f"{'sha256 ' + other[:12] + '...' if other else 'another content'}; a reference that was "
        "changed needs a new name",
    )


def _copy(source: Path, target: Path, digest: str) -> None:
    draft = temporary(target)
    try:
        with source.open("rb") as stream, draft.open("wb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        if sha256_of(draft) != digest:
            raise CalibrationError(
                ExitCode.REFERENCE_BAD,
                f"{target} reads back differently from {source}; check the store's disk",
            )
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _write(folder: Path, index: dict[str, Any]) -> None:
    path = folder / INDEX
    draft = temporary(path)
    try:
        with draft.open("w") as out:
            out.write(json.dumps(index, indent=1) + "\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time; the lock goes with the process that holds it."""
    if not folder.is_dir():
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING, f"the store {folder} does not exist; correct --references"
        )
    with (folder / _LOCK).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
