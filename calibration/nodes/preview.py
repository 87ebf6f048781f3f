"""PVW: a PNG preview and a JPEG thumbnail beside the archived product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration import observation
from calibration.archive import load, record, sha256_of
from calibration.arrays.stretch import autoscale, shrink
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, read
from calibration.fits.files import temporary
from calibration.fits.tables import read_columns

_BEST_FIRST = ("drz", "crc", "crj", "flc", "flt", "qlx")
PREVIEW_SIDE, THUMBNAIL_SIDE = 1024, 128
_PREVIEWS = ((PREVIEW_SIDE, "_preview.png", "PNG"), (THUMBNAIL_SIDE, "_thumb.jpg", "JPEG"))


def run(context: Context) -> None:
    """Make the previews of the best archived product; current ones stay unless told otherwise."""
    manifest = load(context.shelf)
    if not manifest["files"]:
        raise CalibrationError(
            ExitCode.STEP_MISSING,
            f"{context.shelf} has no manifest; run INGEST_SCI of {context.dataset} first",
        )
    product = _best(context.shelf, manifest)
    digest = sha256_of(product)
    if digest != manifest["files"][product.name]["sha256"]:
        raise CalibrationError(
            ExitCode.ARCHIVE_NOT_VERIFIED,
            f"{product} has another sha256 than the manifest; restore it, then run PVW again",
        )
    if not context.replace and _are_current(context, manifest, digest):
        step(f"PVW the previews of {product.name} are current")
        return
    try:
        grey = _picture(read(product), product)
        files = {}
        for side, ending, form in _PREVIEWS:
            path = context.shelf / f"{context.dataset}{ending}"
            _save(grey, side, path, form)
            kind = observation.product(path.stem.rpartition("_")[2], context.dataset)
            size = path.stat().st_size
            files[path.name] = {
                "bytes": size, "sha256": sha256_of(path), **kind, "made_of": digest,
            }  # fmt: skip
    except (ValueError, KeyError) as error:
        raise CalibrationError(
            ExitCode.PREVIEW_ERROR, f"{product.name}: {error}; check the product"
        ) from error
    record(context.shelf, files, {})
    step(f"PVW {', '.join(files)} of {product.name}")


def _best(shelf: Path, manifest: dict[str, Any]) -> Path:
    """Return the dataset's best product; of exposures side by side, the first one's."""
    for name in (shelf.name, *manifest.get("members", ())):
        for suffix in _BEST_FIRST:
            path = shelf / f"{name}_{suffix}.fits"
            if path.name in manifest["files"] and path.is_file():
                return path
    raise CalibrationError(
        ExitCode.STEP_MISSING, f"{shelf} holds no product of {shelf.name}; run INGEST_SCI first"
    )


def _are_current(context: Context, manifest: dict[str, Any], digest: str) -> bool:
    """Whether all previews are there, undamaged, and made of this product."""
    for _, ending, _ in _PREVIEWS:
        path = context.shelf / f"{context.dataset}{ending}"
        entry = manifest["files"].get(path.name, {})
        if entry.get("made_of") != digest or not path.is_file():
            return False
        if sha256_of(path) != entry["sha256"]:
            return False
    return True


def _picture(hdus: list[Hdu], product: Path) -> Any:
    """Return grey levels, first row at the top."""
    images = [hdu for hdu in hdus[1:] if hdu.name == "SCI"]
    if images:
        # Chip 1 (EXTVER 2) lies above chip 2 on the sky and on the detector.
        stacked = np.concatenate([shrink(h.image(), PREVIEW_SIDE) for h in images], axis=0)
        return autoscale(stacked)[::-1]
    spectrum = next((h for h in hdus[1:] if h.name == "SPECTRUM"), None)
    if spectrum is None:
        raise ValueError(f"{product.name} has neither SCI nor SPECTRUM")
    return _plot(read_columns(spectrum)["NET"].astype(np.float64))


def _plot(values: Any) -> Any:
    """Draw a spectrum as a filled curve."""
    width, height = PREVIEW_SIDE, PREVIEW_SIDE // 2
    bins = (
        np.array_split(values, width)
        if values.size >= width
        else [values[i : i + 1] for i in range(values.size)]
    )
    means = np.array([b.mean() for b in bins])
    top = float(np.percentile(means, 99.75)) or 1.0
    level = np.clip(means / top, 0.0, 1.0) * (height - 1)
    rows = np.arange(height)[::-1, None]
    return np.where(rows <= level[None, :], np.uint8(220), np.uint8(16))


def _save(grey: Any, side: int, path: Path, form: str) -> None:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(grey), mode=None)
    picture.thumbnail((side, side))
    draft = temporary(path)
    try:
        picture.save(draft, format=form)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
