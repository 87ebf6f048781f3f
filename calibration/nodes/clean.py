"""CL: empty the dataset's work area, but only of what the archive holds and verifies."""

from __future__ import annotations

import contextlib
import shutil

from calibration.archive import faults, load, sha256_of
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes.association import members_of, sub_products
from calibration.nodes.ingest import products


def run(context: Context) -> None:
    """Verify the archive, then remove the work folders of the dataset and its members."""
    manifest = load(context.shelf)
    members = tuple(manifest.get("members", ())) or members_of(context)
    wrong = faults(context.shelf)
    for path in products(context, members):
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
    for name in dict.fromkeys((*members, *sub_products(context), context.dataset)):
        folder = context.work / name
        if folder.is_dir():
            shutil.rmtree(folder)
            removed += 1
    # The work area may be the run's own (it is, under OWL); another dataset's files keep it.
    with contextlib.suppress(OSError):
        context.work.rmdir()
    step(f"CL archive verified ({len(manifest['files'])} files), {removed} work folders removed")
