"""CL: empty the dataset's work area, but only of what the archive holds and verifies."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from calibration.archive import faults, load, sha256_of
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes.association import members_of, sub_products

#: What nodes tell each other; it is in the manifest, or of no use any more.
_NOTES = ("_delivered.json",)


def run(context: Context) -> None:
    """Verify the archive, then remove the work folders of the dataset and its members."""
    manifest = load(context.shelf)
    members = tuple(manifest.get("members", ())) or members_of(context)
    wrong = faults(context.shelf)
    names = dict.fromkeys((*members, *sub_products(context), context.dataset))
    for path in (path for name in names for path in _files(context, name)):
        entry = manifest["files"].get(path.name)
        if entry is None:
            wrong.append(f"{path.name} is not in the archive")
        elif sha256_of(path) != entry["sha256"]:
            wrong.append(f"{path.name} in the work area is newer than the archive's")
    if wrong:
        raise CalibrationError(
            ExitCode.ARCHIVE_NOT_VERIFIED,
            f"{context.shelf}: {'; '.join(wrong)}; run INGEST_SCI again; nothing was cleaned",
        )
    removed = 0
    for name in names:
        folder = context.work / name
        if folder.is_dir():
            shutil.rmtree(folder)
            removed += 1
    # The work area may be the run's own (it is, under OWL); another dataset's files keep it.
    with contextlib.suppress(OSError):
        context.work.rmdir()
    step(f"CL archive verified ({len(manifest['files'])} files), {removed} work folders removed")


def _files(context: Context, name: str) -> Iterator[Path]:
    """Yield everything in a work folder that must be in the archive before it may go."""
    folder = context.work / name
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        is_draft = any(part.startswith(".") and part.endswith(".tmp") for part in parts)
        if path.is_file() and not is_draft and not path.name.endswith(_NOTES):
            yield path
