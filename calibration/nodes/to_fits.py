"""2FITS: telemetry packets, or a delivered raw file, to the work folder's ``_raw`` and ``_spt``."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from calibration import delivered as delivery
from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.fits.files import checksum_faults, temporary

TELEMETRY = ".tlm"
_COMPANIONS = ("spt", "asn", "jit")


def run(context: Context) -> None:
    """Stage the dataset's raw file and companions into its work folder."""
    context.folder.mkdir(parents=True, exist_ok=True)
    telemetry = context.incoming / f"{context.dataset}{TELEMETRY}"
    delivered = {suffix: find_delivered(context, suffix) for suffix in RAW_SUFFIXES}
    if telemetry.is_file():
        from calibration.telemetry.to_raw import convert

        convert(telemetry, context)
        delivery.note(context, telemetry)
    elif any(delivered.values()):
        for suffix, path in delivered.items():
            if path is not None:
                _stage_raw(context, path, suffix)
        delivery.note(context, next(path for path in delivered.values() if path is not None))
    else:
        raise CalibrationError(
            ExitCode.INPUT_MISSING,
            f"neither {telemetry.name} nor {context.dataset}_raw.fits[.gz] is in "
            f"{context.incoming}; deliver one of them",
        )
    for suffix in _COMPANIONS:
        path = find_delivered(context, suffix)
        if path is not None:
            read(path)
            copy_unpacked(path, context.product(suffix))
            step(f"2FITS {path.name} staged")


def find_delivered(context: Context, suffix: str) -> Path | None:
    """Return the delivered file with this suffix, gzipped or not."""
    for ending in (".fits", ".fits.gz"):
        path = context.incoming / f"{context.dataset}_{suffix}{ending}"
        if path.is_file():
            return path
    return None


def _stage_raw(context: Context, path: Path, suffix: str) -> None:
    hdus = read(path)
    faults = checksum_faults(hdus)
    if faults:
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT, f"{path.name}: {'; '.join(faults)}; deliver it again"
        )
    rootname = hdus[0].header.text("ROOTNAME").lower()
    if rootname and rootname != context.dataset:
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT,
            f"{path.name}: ROOTNAME = {rootname!r} is not {context.dataset!r}; "
            "correct the file's name or deliver the right file",
        )
    if len(hdus) < 2:
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT, f"{path.name} has no extension with data; deliver it again"
        )
    copy_unpacked(path, context.product(suffix))
    step(f"2FITS {path.name} staged: {len(hdus)} HDUs")


def copy_unpacked(source: Path, target: Path) -> None:
    """Copy a file, gunzipped if need be, through a rename."""
    draft = temporary(target)
    try:
        with source.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        with (
            gzip.open(source) if packed else source.open("rb") as stream,
            draft.open("wb") as out,
        ):
            shutil.copyfileobj(stream, out, 1 << 20)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
