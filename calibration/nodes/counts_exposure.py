"""From a raw file of WFC3/UVIS or STIS/CCD and its references to chips for the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calibration.arrays.chip import Chip, Counts, Image
from calibration.arrays.crrej import Noise
from calibration.arrays.dq import ALL_FLAGS, BadPixels, flag_bad_pixels
from calibration.context import step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header
from calibration.fits.planes import ImageSet, plane
from calibration.instruments import is_performed
from calibration.instruments.counts_layout import (
    CountsGeometry,
    matching_row,
    mean_gain_of,
    stis_layout,
    uvis_layout,
)
from calibration.instruments.geometry import (
    CHIP_AMPS,
    Gap,
    Geometry,
    amp_of,
    binning,
    corner,
    fits,
)
from calibration.nodes.exposure import Exposure, Reference, reference_image

#: calstis: side 2 of STIS began on 2001 July 1; from then on the housing's temperature counts.
SIDE_2 = 52091.0
REFERENCE_TEMPERATURE, DARK_PER_DEGREE = 18.0, 0.07


def make_counts_chip(exposure: Exposure, images: ImageSet) -> tuple[Chip, Geometry]:
    """Return what the kernel needs for one chip of WFC3/UVIS, or one imset of STIS/CCD."""
    primary = exposure.primary
    stis = exposure.detector.order == "counts"
    shape: Any = images.sci.shape
    where = _stis(exposure, images) if stis else _uvis(exposure, images)
    gap = where.gap if isinstance(where, CountsGeometry) else None
    trim = where.trim_x, where.trim_y
    exposure.atod_gain = where.amps[0].gain

    def raw(switch: str, keyword: str) -> Image | None:
        return reference_image(exposure.usable(switch, keyword), images, shape, gap=gap)

    def trimmed(switch: str, keyword: str) -> Image | None:
        reference = exposure.usable(switch, keyword)
        return reference_image(reference, images, where.shape, trim=trim)

    checked = is_performed(primary, "DQICORR")
    wells = raw("DQICORR", "SATUFILE")
    sinks = raw("DQICORR", "SNKCFILE") if binning(images.sci.header) == (1, 1) else None
    seconds = exposure_time(exposure, images)
    flats = [trimmed("FLATCORR", k) for k in ("DFLTFILE", "LFLTFILE")]
    counts = Counts(
        stis=stis,
        gain=where.gain if isinstance(where, CountsGeometry) else where.amps[0].gain,
        lookup=a_to_d_lookup(exposure, images),
        raw_limit=where.full_well_level if checked else None,
        flash=raw("FLSHCORR", "FLSHFILE") if _is_flashed(exposure) else None,
        flash_time=primary.real("FLASHDUR", 1.0),
        sink=sinks.sci if sinks else None,
        start=primary.real("EXPSTART", 0.0),
        down=images.chip != 1,
        dark_factor=dark_factor(exposure, images) if stis else 1.0,
        flats=[f for f in flats if f is not None],
        shading=trimmed("SHADCORR", "SHADFILE"),
        shutter_time=seconds / max(images.sci.header.integer("NCOMBINE", 1), 1),
    )
    chip = Chip(
        raw=images.sci.stored(),
        zero=images.sci.header.real("BZERO", 0.0),
        dq=_data_quality(exposure, images, where),
        amps=where.amps,
        trim_y=where.trim_y,
        shape=where.shape,
        serious=images.sci.header.integer("SDQFLAGS", ALL_FLAGS),
        a_to_d_limit=where.a_to_d_limit if checked else None,
        bias=trimmed("BIASCORR", "BIASFILE") if stis else raw("BIASCORR", "BIASFILE"),
        dark=trimmed("DARKCORR", "DARKFILE"),
        dark_time=seconds,
        flat=trimmed("FLATCORR", "PFLTFILE"),
        full_well=wells.sci if wells else None,
        subtract_level=is_performed(primary, "BLEVCORR"),
        electrons=False,
        counts=counts,
    )
    return chip, where


def trimmed_chip(exposure: Exposure, images: ImageSet, seconds: float) -> Chip:
    """Return what DARKCORR and the steps after it need for an image without overscan.

    Parameters
    ----------
    exposure, images
        Of a ``_blv_tmp`` file, or what was combined from several.
    seconds
        Exposure time of the whole; NCOMBINE of `images` says of how many.
    """
    shape: Any = images.sci.shape
    stis = exposure.detector.order == "counts"
    row = _ccd_row(exposure, images, binning(images.sci.header))
    amp_names = exposure.primary.text("CCDAMP").upper()
    names = amp_names if stis else "".join(a for a in CHIP_AMPS[images.chip] if a in amp_names)
    half = int(row.get("AMPX", 0)) if len(names) > 1 else shape[1]
    places = [slice(0, half), slice(half, shape[1])][: len(names)]
    amps = [amp_of(row, a, x, x, []) for a, x in zip(names, places, strict=True)]
    exposure.atod_gain = amps[0].gain

    def image(switch: str, keyword: str) -> Image | None:
        return reference_image(exposure.usable(switch, keyword), images, shape)

    flats = [image("FLATCORR", k) for k in ("DFLTFILE", "LFLTFILE")]
    counts = Counts(
        stis=stis,
        gain=amps[0].gain if stis else mean_gain_of(row),
        dark_factor=dark_factor(exposure, images) if stis else 1.0,
        flats=[f for f in flats if f is not None],
        shading=image("SHADCORR", "SHADFILE"),
        shutter_time=seconds / max(images.sci.header.integer("NCOMBINE", 1), 1),
    )
    return Chip(
        raw=np.broadcast_to(np.int16(0), shape),
        zero=0.0,
        dq=np.broadcast_to(np.int16(0), shape),
        amps=amps,
        trim_y=0,
        shape=shape,
        serious=images.sci.header.integer("SDQFLAGS", ALL_FLAGS),
        dark=image("DARKCORR", "DARKFILE"),
        dark_time=seconds,
        flat=image("FLATCORR", "PFLTFILE"),
        electrons=False,
        counts=counts,
    )


def noise_of(chip: Chip) -> Noise:
    """Return the noise model of a trimmed chip, one value per column."""
    read, gain = np.zeros((2, 1, chip.shape[1]), np.float32)
    for amp in chip.amps:
        noise = np.float32(amp.read_noise) / np.float32(amp.gain)
        read[:, amp.out_x], gain[:, amp.out_x] = noise * noise, amp.gain
    return Noise(read, gain)


def exposure_time(exposure: Exposure, images: ImageSet) -> float:
    """Return EXPTIME: of the imset for STIS, of the file for WFC3.

    calwf3 multiplies dark by EXPTIME, not by DARKTIME.
    """
    if exposure.detector.order == "counts":
        return images.sci.header.real("EXPTIME", exposure.exposure_time)
    return exposure.exposure_time


def _ccd_row(exposure: Exposure, images: ImageSet, bins: tuple[int, int]) -> Mapping[str, Any]:
    """Return CCDTAB's row of this read-out."""
    primary, table = exposure.primary, exposure.references["CCDTAB"]
    keys = ["CCDAMP", "CCDGAIN", "CCDOFFST", *(f"CCDOFST{a}" for a in "ABCD")]
    wanted = {key: primary.get(key) for key in keys}
    wanted |= {"BINAXIS1": bins[0], "BINAXIS2": bins[1]}
    if exposure.detector.order != "counts":
        wanted["CCDCHIP"] = images.chip
    return matching_row(table.rows(), wanted, f"CCDTAB {table.name}")


def _uvis(exposure: Exposure, images: ImageSet) -> CountsGeometry:
    primary, sci = exposure.primary, images.sci.header
    x, y = binning(sci)
    chip = {"CCDCHIP": images.chip}
    ccd = _ccd_row(exposure, images, (x, y))
    osctab = exposure.references.get("OSCNTAB")
    part = primary.text("SUBARRAY").upper() in ("T", "TRUE")
    if osctab is None:
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"{exposure.file}: OSCNTAB names no file; WFC3 frames cannot be laid out without it",
        )
    sizes = {} if part else dict(zip(("NY", "NX"), images.sci.shape, strict=True))
    osc = matching_row(
        osctab.rows(),
        {"CCDAMP": primary.get("CCDAMP"), **chip, "BINX": x, "BINY": y, **sizes},
        f"OSCNTAB {osctab.name}",
    )
    shape: Any = images.sci.shape
    ltv1 = sci.real("LTV1", 0.0)
    amps = primary.text("CCDAMP").upper()
    return uvis_layout(amps, images.chip, shape, ltv1=ltv1, ccd=ccd, osc=osc, part=part)


def _stis(exposure: Exposure, images: ImageSet) -> Geometry:
    primary = exposure.primary
    shape: Any = images.sci.shape
    bins = binning(images.sci.header)
    row = _ccd_row(exposure, images, bins)
    return stis_layout(primary.text("CCDAMP").upper(), shape, bins, row)


def a_to_d_lookup(exposure: Exposure, images: ImageSet) -> Any:
    """Return ATODTAB's table for this amplifier and gain; of several, the nearest in REF_KEY."""
    table = exposure.usable("ATODCORR", "ATODTAB")
    if table is None:
        return None
    primary = exposure.primary
    wanted = {"CCDAMP": primary.get("CCDAMP"), "CCDGAIN": primary.get("CCDGAIN")}
    rows = [r for r in table.rows() if all(fits(r, k, v) for k, v in wanted.items())]
    if not rows:
        matching_row([], wanted, f"ATODTAB {table.name}")
    header = images.sci.header if exposure.detector.order == "counts" else primary

    def distance(row: Mapping[str, Any]) -> float:
        return abs(header.real(str(row["REF_KEY"]), 0.0) - float(row["REF_KEY_VALUE"]))

    row = min(rows, key=distance)
    if str(row.get("PEDIGREE", "")).upper().startswith("DUMMY"):
        exposure.skipped("ATODCORR", f"the row of {table.name} is DUMMY")
        return None
    values, count = np.asarray(row["ATOD"], dtype=np.float32), int(row["NELEM"])
    if not 0 < count <= values.size:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"ATODTAB {table.name}: NELEM = {count} but ATOD has {values.size} values",
        )
    return values[:count]


def _is_flashed(exposure: Exposure) -> bool:
    if not is_performed(exposure.primary, "FLSHCORR"):
        return False
    if exposure.primary.real("FLASHDUR", 1.0) <= 0:
        exposure.skipped("FLSHCORR", "FLASHDUR = 0, the exposure was not flashed")
        return False
    if exposure.primary.text("FLASHSTA").upper() == "ABORTED":
        exposure.note("FLSHCORR: the post-flash was ABORTED: its level may be wrong")
    return True


def dark_factor(exposure: Exposure, images: ImageSet) -> float:
    """Return the factor of the dark for the detector's temperature (STIS, side 2).

    1 + DRK_VS_T (OCCDHTAV - REF_TEMP), with the dark's own REF_TEMP and DRK_VS_T.
    """
    sci = images.sci.header
    started = sci.real("EXPSTART", exposure.primary.real("TEXPSTRT", 0.0))
    temperature = sci.real("OCCDHTAV", -1.0) if started >= SIDE_2 else -1.0
    reference = exposure.references.get("DARKFILE")
    if temperature <= 0 or reference is None:
        return 1.0
    header: Header = reference.hdus[0].header
    per_degree = header.real("DRK_VS_T", DARK_PER_DEGREE)
    return 1.0 + per_degree * (temperature - header.real("REF_TEMP", REFERENCE_TEMPERATURE))


def _data_quality(exposure: Exposure, images: ImageSet, where: Geometry) -> Any:
    dq = np.array(plane(images.dq, images.sci.shape)).astype(np.int16)
    table = exposure.usable("DQICORR", "BPIXTAB")
    if table is None:
        return dq
    bins = binning(images.sci.header)
    x0, y0 = corner(images.sci.header)
    large = dq if bins == (1, 1) else np.zeros((dq.shape[0] * bins[1], dq.shape[1] * bins[0]), "i2")
    flag_bad_pixels(large, bad_pixels(exposure, images, table, where, bins[0]), (-x0, -y0))
    if large is not dq:
        for y in range(bins[1]):
            for x in range(bins[0]):
                dq |= large[y :: bins[1], x :: bins[0]]
    return dq


def bad_pixels(
    exposure: Exposure, images: ImageSet, table: Reference, where: Geometry, bin_x: int
) -> list[BadPixels]:
    """Return the runs of BPIXTAB that fit this read-out.

    BPIXTAB does not count the serial virtual overscan of a full UVIS frame: what lies right of it
    is moved.
    """
    primary = exposure.primary
    wanted = {key: primary.get(key) for key in ("CCDAMP", "CCDGAIN", "OPT_ELEM")}
    wanted["CCDCHIP"] = images.chip
    rows = [r for r in table.rows() if all(fits(r, k, v) for k, v in wanted.items())]
    if not rows:
        step(f"CA no row of {table.name} applies to this read-out")
    shift = where.shift if isinstance(where, CountsGeometry) else None
    return [_run(row, shift, where, bin_x) for row in rows]


def _run(row: Mapping[str, Any], shift: Gap | None, where: Geometry, bin_x: int) -> BadPixels:
    x = int(row["PIX1"])
    if shift is not None and x - 1 >= (shift.first - where.trim_x) * bin_x:
        x += shift.width * bin_x + (2 if bin_x == 2 else 0)
    return BadPixels(x, int(row["PIX2"]), int(row["LENGTH"]), int(row["AXIS"]), int(row["VALUE"]))
