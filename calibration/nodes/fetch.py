"""FETCH: an archived exposure's raw file and companions back into the work area, verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from calibration import delivered
from calibration.archive import load, sha256_of
from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes.to_fits import copy_unpacked

_COMPANIONS = ("spt", "jit", "asn")


def run(context: Context) -> None:
    """Stage the dataset from its own shelf, or from that of its association."""
    shelf = next(iter(shelves(context, RAW_SUFFIXES)), None)
    if shelf is None:
        raise not_archived(context, "raw file")
    manifest = load(shelf)
    staged = stage(context, shelf, manifest, (*RAW_SUFFIXES, *_COMPANIONS))
    step(f"FETCH {', '.join(staged)} from {shelf}")


def shelves(context: Context, suffixes: Iterable[str]) -> Iterator[Path]:
    """Yield the shelves whose manifest lists a file of the dataset with one of these suffixes."""
    wanted = [f"{context.dataset}_{suffix}.fits" for suffix in suffixes]
    own = [context.shelf]
    if context.association:
        own.insert(0, context.archive / context.association)
    for shelf in own:
        if any(name in load(shelf)["files"] for name in wanted):
            yield shelf
    # A member of two associations may lie on the other one's shelf: rare, and slow to find.
    found = {path.parent for name in wanted for path in context.archive.glob(f"*/{name}")}
    yield from (shelf for shelf in sorted(found - set(own)))


def stage(
    context: Context, shelf: Path, manifest: dict[str, Any], suffixes: Iterable[str]
) -> list[str]:
    """Copy the dataset's files from a shelf into the work folder; return their names.

    Raises
    ------
    CalibrationError
        ARCHIVE_NOT_VERIFIED when a file is not what the manifest says.
    """
    context.folder.mkdir(parents=True, exist_ok=True)
    names = [f"{context.dataset}_{suffix}.fits" for suffix in suffixes]
    staged = [name for name in names if name in manifest["files"]]
    for name in staged:
        copy_verified(shelf / name, context.folder / name, manifest["files"][name]["sha256"])
    facts = manifest.get("observations", {}).get(context.dataset, {}).get("delivered")
    if facts:
        delivered.write(context, facts)
    return staged


def copy_verified(source: Path, target: Path, digest: str) -> None:
    """Copy an archived file; the copy appears only if it has the digest of the manifest."""
    if not source.is_file():
        raise CalibrationError(
            ExitCode.ARCHIVE_NOT_VERIFIED, f"{source} is missing although the manifest lists it"
        )
    if sha256_of(source) != digest:
        raise CalibrationError(
            ExitCode.ARCHIVE_NOT_VERIFIED,
            f"{source} has another sha256 than the manifest; restore it from the archive's copy",
        )
    copy_unpacked(source, target)


def not_archived(context: Context, what: str) -> CalibrationError:
    """Return the error that the archive has no such file of the dataset."""
    return CalibrationError(
        ExitCode.NOT_ARCHIVED,
        f"no {what} of {context.dataset} is in {context.archive}; have it calibrated from its "
        "delivery (sdp_prearch), then run this node again",
    )
