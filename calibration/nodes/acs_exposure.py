"""From a raw file of an ACS CCD and its references to chips that the kernel can calibrate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibration.arrays.acs_sink import SinkPixels
from calibration.arrays.chip import Array, Chip, Image
from calibration.arrays.dq import ALL_FLAGS, PLACE_HOLDER, BadPixels, flag_bad_pixels
from calibration.context import step
from calibration.fits.planes import ImageSet, plane
from calibration.instruments import is_performed
from calibration.instruments.geometry import Geometry, ccd_row, layout, overscan_row
from calibration.nodes.best_references import open_reference
from calibration.nodes.exposure import REPAIR, Exposure, Reference, reference_image

#: EXPSTART of Cycle 24: since then these subarrays have the full frame's overhead, too.
CYCLE_24 = 57662.0
SUBARRAYS_WITH_OVERHEAD = frozenset(
    [f"WFC{chip}{amp}-{size}" for chip, amps in ((1, "AB"), (2, "CD")) for amp in amps
     for size in ("2K", "1K", "512")]
    + ["WFC1-IRAMPQ", "WFC1-MRAMPQ", "WFC2-ORAMPQ", "WFC1-SMFL"]
    + [f"WFC1-POL{angle}{band}" for angle in (0, 60, 120) for band in ("UV", "V")]
)  # fmt: skip


def overhead(exposure: Exposure, ccd: Mapping[str, Any]) -> float:
    """Return the seconds of read-out that calacs adds to DARKTIME."""
    primary = exposure.primary
    start = primary.real("EXPSTART", 0.0)
    applies = start >= REPAIR
    if exposure.is_subarray:
        aperture = primary.text("APERTURE").upper()
        applies = start >= CYCLE_24 and aperture in SUBARRAYS_WITH_OVERHEAD
    flashed = primary.real("FLASHDUR", 0.0) > 0
    flashed = flashed and primary.text("FLASHSTA").upper() == "SUCCESSFUL"
    return float(ccd["OVRHFLS" if flashed else "OVRHUFLS"]) if applies else 0.0


def make_chip(exposure: Exposure, images: ImageSet) -> tuple[Chip, Geometry]:
    """Return what the kernel needs for one chip."""
    primary = exposure.primary
    where = _layout(exposure, images)
    checked = is_performed(primary, "DQICORR")
    flash_time = _flash_time(exposure)
    bias = exposure.usable("BIASCORR", "BIASFILE")
    levelled = bias is not None and is_performed(primary, "BLEVCORR")
    wells = _full_well(exposure, images, where) if levelled else None

    def trimmed(switch: str, keyword: str) -> Image | None:
        reference = exposure.usable(switch, keyword)
        trim = where.trim_x, where.trim_y
        return reference_image(reference, images, where.shape, trim=trim)

    sinks = trimmed("SINKCORR", "SNKCFILE")
    chip = Chip(
        raw=images.sci.stored(),
        zero=images.sci.header.real("BZERO", 0.0),
        dq=_data_quality(exposure, images),
        err=_raw_errors(images),
        amps=where.amps,
        trim_y=where.trim_y,
        shape=where.shape,
        serious=images.sci.header.integer("SDQFLAGS", ALL_FLAGS),
        a_to_d_limit=where.a_to_d_limit if checked else None,
        bias=reference_image(bias, images, _shape(images)),
        dark=trimmed("DARKCORR", "DARKFILE"),
        dark_time=exposure.dark_time,
        flash=trimmed("FLSHCORR", "FLSHFILE") if flash_time else None,
        flash_time=flash_time,
        flat=trimmed("FLATCORR", "PFLTFILE"),
        full_well=wells,
        full_well_level=where.full_well_level if levelled and wells is None else None,
        subtract_level=is_performed(primary, "BLEVCORR"),
        virtual=where.virtual,
        only_read_noise=primary.text("TARGNAME").startswith("BIAS"),
        sinks=SinkPixels(sinks.sci, down=images.chip != 1) if sinks else None,
        corrected=exposure.context.algorithm.corrects,
    )
    return chip, where


def _shape(images: ImageSet) -> tuple[int, int]:
    ny, nx = images.sci.shape
    return ny, nx


def _layout(exposure: Exposure, images: ImageSet) -> Geometry:
    primary = exposure.primary
    table = exposure.references["CCDTAB"]
    ccd = ccd_row(table.rows(), primary, images.chip, table.name)
    exposure.overhead = overhead(exposure, ccd)
    overscan = exposure.references.get("OSCNTAB") or _trim_table(exposure)
    osc = overscan_row(
        overscan.rows() if overscan else [],
        primary,
        images.sci.header,
        _shape(images),
        overscan.name if overscan else "",
    )
    return layout(
        exposure.detector, primary, images.sci.header, ccd=ccd, osc=osc,
        corrected=exposure.context.algorithm.corrects,
    )  # fmt: skip


def _trim_table(exposure: Exposure) -> Reference | None:
    """Return OSCNTAB though BLEVCORR is off: it says what is to be trimmed."""
    opened = open_reference(exposure.context, exposure.primary, "OSCNTAB")
    return Reference("OSCNTAB", *opened) if opened else None


def _raw_errors(images: ImageSet) -> Array | None:
    """Return the raw file's ERR (DN) if it holds any; Hubble's are null arrays of zero."""
    if images.err is None:
        return None
    errors = plane(images.err, images.sci.shape)
    return errors if np.any(errors[:1] if not images.err.shape else errors) else None


def _flash_time(exposure: Exposure) -> float:
    """Return FLASHDUR; FLSHCORR is skipped aloud when nothing was flashed."""
    if exposure.usable("FLSHCORR", "FLSHFILE") is None:
        return 0.0
    seconds = exposure.primary.real("FLASHDUR", 0.0)
    if seconds <= 0:
        exposure.skipped("FLSHCORR", "post-flash exposure was 0 seconds")
        return 0.0
    if exposure.primary.text("FLASHSTA").upper() == "ABORTED":
        line = "Post-flash STATUS was ABORTED. Post-flash may be compromised."
        if line not in exposure.history:
            exposure.note(line)
    return seconds


def _full_well(exposure: Exposure, images: ImageSet, where: Geometry) -> Array | None:
    """Return SATUFILE's limits, which calacs tests after BIASCORR and BLEVCORR only."""
    image = reference_image(exposure.references.get("SATUFILE"), images, _shape(images))
    if image is None:
        return None
    if not exposure.is_subarray or exposure.context.algorithm.corrects:
        return image.sci
    # calacs counts a subarray's rows and columns from the overscan's edge, not from the light's
    limits = np.array(image.sci, dtype=np.float32)
    limits[where.shape[0] :] = np.inf
    limits[:, where.shape[1] :] = np.inf
    return limits


def _data_quality(exposure: Exposure, images: ImageSet) -> Array:
    dq = np.array(plane(images.dq, images.sci.shape)).astype(np.int16)
    table = exposure.usable("DQICORR", "BPIXTAB")
    if table is None:
        return dq
    header = images.sci.header
    ltv = header.integer("LTV1", 0.0), header.integer("LTV2", 0.0)
    amp = exposure.primary.text("CCDAMP").upper()
    gain = exposure.primary.real("CCDGAIN", 0)
    runs = [
        BadPixels(int(r["PIX1"]), int(r["PIX2"]), int(r["LENGTH"]), int(r["AXIS"]), int(r["VALUE"]))
        for r in table.rows()
        if str(r.get("CCDAMP", "N/A")).strip() in (amp, "N/A")
        and float(r.get("CCDGAIN", -999)) in (gain, -999.0)
        and int(r.get("CCDCHIP", -999)) in (images.chip, -999)
    ]
    if flag_bad_pixels(dq, runs, ltv) == 0:
        dq[1, 1] |= np.int16(PLACE_HOLDER)
        step(f"CA no row of {table.name} applies to this read-out")
    return dq
