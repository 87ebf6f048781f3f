"""PVW: a PNG preview and a JPEG thumbnail beside the archived product."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calibration import observation
from calibration.archive import Entry, load, sha256_of, store
from calibration.arrays.dq import ALL_FLAGS
from calibration.arrays.stretch import autoscale, mosaic, shrink
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read, read_table
from calibration.fits.planes import ImageSet, image_sets
from calibration.suffixes import SHOWN, SPECTRA

PREVIEW_SIDE, THUMBNAIL_SIDE = 1024, 128
_PREVIEWS = ((PREVIEW_SIDE, "_preview.png", "PNG"), (THUMBNAIL_SIDE, "_thumb.jpg", "JPEG"))
#: Rows between the chips on the sky, in pixels of the detector.
_GAPS = {("ACS", "WFC"): 50, ("WFC3", "UVIS"): 31}
_PAPER, _INK, _LINE = 16, 220, 70


@dataclass
class Picture:
    """Grey levels with the first row at the top, and what is to be said about them."""

    grey: Any
    notes: dict[str, str] = field(default_factory=dict)


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
        shown = picture(read(product), product.name)
        files = {
            f"{context.dataset}{ending}": Entry(_encoded(shown, side, form), {
                **observation.product(Path(ending).stem[1:], context.dataset), "made_of": digest,
            })
            for side, ending, form in _PREVIEWS
        }  # fmt: skip
    except (ValueError, KeyError) as error:
        raise CalibrationError(
            ExitCode.PREVIEW_ERROR, f"{product.name}: {error}; check the product"
        ) from error
    store(context.shelf, files, {}, replace=context.replace)
    step(f"PVW {', '.join(files)} of {product.name}; {'; '.join(shown.notes.values())}")


def _best(shelf: Path, manifest: dict[str, Any]) -> Path:
    """Return the dataset's best product; of exposures side by side, the first one's."""
    for name in (shelf.name, *manifest.get("members", ())):
        for suffix in SHOWN:
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


def picture(hdus: list[Hdu], name: str) -> Picture:
    """Return a product as a picture; ValueError when there is nothing to be seen in it."""
    suffix = name.removesuffix(".fits").partition("_")[2]
    if suffix not in SPECTRA and any(hdu.name == "SCI" for hdu in hdus[1:]):
        return _image(hdus, name)
    table = next((h for h in hdus[1:] if h.name in ("SCI", "SPECTRUM")), None)
    if table is None:
        raise ValueError(f"{name} has neither SCI nor SPECTRUM")
    return _spectrum(table)


def _image(hdus: list[Hdu], name: str) -> Picture:
    primary = hdus[0].header
    sets = sorted(image_sets(hdus, name), key=lambda images: -images.chip)
    weight = next((hdu for hdu in hdus if hdu.name == "WHT"), None)
    parts = [_chip(images, weight) for images in sets]
    longest = max(max(image.shape) for image, _ in parts)
    step_of = max(1, longest // PREVIEW_SIDE)
    key = (primary.text("INSTRUME").upper(), primary.text("DETECTOR").upper())
    gap = _GAPS.get(key, 0) // step_of if longest > PREVIEW_SIDE else 0
    small = [shrink(image, good, longest // step_of) for image, good in parts]
    values = mosaic([image for image, _ in small], gap, np.nan)
    good = mosaic([mask for _, mask in small], gap, fill=0).astype(bool)
    scale = autoscale(values, good)
    unit = sets[0].sci.header.text("BUNIT").lower()
    notes = {"Stretch": f"{scale.kind} from {scale.low:.4g} to {scale.high:.4g} {unit}".strip()}
    orientation = orientation_of(sets[0].sci.header)
    if orientation:
        notes["Orientation"] = orientation
    return Picture(scale.levels(values)[::-1], notes)


def _chip(images: ImageSet, weight: Hdu | None) -> tuple[Any, Any]:
    """Return a chip's values, and which of them may set the scale."""
    sci = images.sci.image().astype(np.float32, copy=False)
    good = np.isfinite(sci)
    if weight is not None:
        covered = weight.image() > 0
        sci = np.where(covered, sci, np.float32(np.nan))
        good &= covered
    if images.dq is not None and images.dq.shape == sci.shape:
        dq = images.dq.image()
        good &= (dq & images.sci.header.integer("SDQFLAGS", ALL_FLAGS)) == 0
    return sci, good


def orientation_of(header: Header) -> str:
    """Return in words where north and east are in the picture; nothing without a WCS."""
    keys = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
    values = [header.get(key) for key in keys]
    if not all(isinstance(v, int | float) for v in values):
        return ""
    a, b, c, d = (float(v) for v in values if v is not None)
    determinant = a * d - b * c
    if not header.text("CTYPE1").upper().startswith("RA") or not abs(determinant) > 0:
        return ""
    # Rows of the CD matrix are (east, north) per pixel: the angle of +y, from north through east.
    angle = math.degrees(math.atan2(b, d)) % 360.0
    angle = 0.0 if angle > 359.95 else angle
    side = "left" if determinant < 0 else "right"
    scale = math.sqrt(abs(determinant)) * 3600.0
    return (
        f"up is {angle:.1f} deg east of north, east is to the {side} of north, "
        f"{scale:.4f} arcsec per pixel of the product"
    )


def _spectrum(table: Hdu) -> Picture:
    """Draw the rows of a spectrum below each other, each with its own scale."""
    rows = read_table(table)
    if not rows:
        raise ValueError("the table has no row")
    column = "FLUX" if "FLUX" in rows[0] else "NET"
    if np.ndim(rows[0][column]) == 0:  # one row per wavelength: a single spectrum
        rows = [{key: np.array([row[key] for row in rows]) for key in ("WAVELENGTH", column)}]
    rows = sorted(rows, key=lambda row: float(np.min(row["WAVELENGTH"])))
    height = PREVIEW_SIDE // 2 // len(rows)
    panels = [_panel(np.asarray(row[column], np.float64), height) for row in rows]
    ends = [(float(np.min(r["WAVELENGTH"])), float(np.max(r["WAVELENGTH"]))) for r in rows]
    ranges = ", ".join(f"{low:.1f} to {high:.1f}" for low, high in ends)
    return Picture(np.concatenate(panels), {"Spectrum": f"{column} over {ranges} Angstrom"})


def _panel(values: Any, height: int) -> Any:
    """Draw a spectrum as a filled curve; its middle 99.5 % fill the panel from zero up."""
    width = min(PREVIEW_SIDE, values.size)
    finite = np.where(np.isfinite(values), values, 0.0)
    means = np.array([part.mean() for part in np.array_split(finite, width)])
    top = float(np.percentile(means, 99.75))
    level = np.clip(means / (top if top > 0 else 1.0), 0.0, 1.0) * (height - 2)
    rows = np.arange(height)[::-1, None]
    panel = np.where(rows <= level[None, :], np.uint8(_INK), np.uint8(_PAPER))
    panel[0] = _LINE
    return panel


def _encoded(shown: Picture, side: int, form: str) -> bytes:
    """Return the picture's bytes, the same for the same picture."""
    from PIL import Image, PngImagePlugin

    image = Image.fromarray(np.ascontiguousarray(shown.grey))
    image.thumbnail((side, side), Image.Resampling.BOX)
    out = io.BytesIO()
    if form == "PNG":
        notes = PngImagePlugin.PngInfo()
        for key, text in shown.notes.items():
            notes.add_text(key, text)
        image.save(out, form, pnginfo=notes)
    else:
        image.save(out, form, comment="; ".join(shown.notes.values()).encode())
    return out.getvalue()
