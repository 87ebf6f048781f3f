"""The imsets of one STIS file: cosmic-ray rejection (``_crj``) and repeated exposures (``_sfl``).

STIS writes CR-SPLIT and REPEATOBS exposures into one raw file, an image set each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from calibration.arrays.counts import finish
from calibration.arrays.crrej import Combined, Member, Noise, Parameters
from calibration.arrays.dq import COSMIC_RAY
from calibration.arrays.ocrreject import combine_imsets
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, image_hdu, write
from calibration.fits.planes import ImageSet
from calibration.instruments import is_performed
from calibration.nodes.combine import read_parameters, set_parameters
from calibration.nodes.counts_exposure import exposure_time, trimmed_chip
from calibration.nodes.exposure import Exposure, header_float, shift_header
from calibration.nodes.products import Calibrated, primary_header, unit_of
from calibration.nodes.repeat import add, combined_extensions, write_sum


def reject_between_imsets(context: Context, exposure: Exposure, chips: list[Calibrated]) -> None:
    """CRCORR: write ``_crj`` from the imsets; flag the rays in their `result.dq`.

    The imsets' state before dark and flat is combined, then calibrated further.
    """
    times = _times(exposure, chips)
    parameters = read_parameters(context, exposure.primary, exposure.file, times)
    if exposure.primary.text("OBSTYPE").upper() == "SPECTROSCOPIC":
        parameters = replace(parameters, sky="none")
    with timed(f"CA CRCORR of {len(chips)} imsets"):
        members = [_member(c, t) for c, t in zip(chips, times, strict=True)]
        combined = combine_imsets(members, parameters)
    for item, rays in zip(chips, combined.rays, strict=True):
        item.result.dq = item.result.dq & ~np.int16(COSMIC_RAY) | rays * np.int16(COSMIC_RAY)
    images = _whole(exposure, chips, times)
    chip = trimmed_chip(exposure, images, sum(times))
    result = finish((combined.sci, combined.err, combined.dq), chip)
    path = context.product("crj")
    primary = _crj_header(exposure, path.name, chips, times, combined, parameters)
    write(path, [image_hdu(primary, None, primary=True),
                 *combined_extensions(images, result, len(chips))])  # fmt: skip
    step(f"CA CRCORR {path.name} written: {combined.rejected} pixels of {len(chips)} imsets")


def _times(exposure: Exposure, chips: Sequence[Calibrated]) -> list[float]:
    shapes = {c.where.shape for c in chips}
    if len(shapes) > 1:
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED,
            f"{exposure.file}: CRCORR of imsets of other shapes: {sorted(shapes)}; set it to OMIT",
        )
    times = [exposure_time(exposure, c.images) for c in chips]
    if min(times) <= 0 < max(times):
        raise CalibrationError(
            ExitCode.CALIBRATION_ERROR,
            f"{exposure.file}: EXPTIME of SCI,{times.index(min(times)) + 1} is {min(times):g} but "
            "that of others is not; set CRCORR to OMIT",
        )
    return times


def _member(item: Calibrated, time: float) -> Member:
    assert item.result.before is not None
    amp = item.chip.amps[0]
    noise = np.float32(amp.read_noise) / np.float32(amp.gain)
    read, gain = np.full((1, 1), noise * noise), np.full((1, 1), amp.gain, np.float32)
    return Member(*item.result.before, time, Noise(read, gain))


def _whole(exposure: Exposure, chips: Sequence[Calibrated], times: Sequence[float]) -> ImageSet:
    """Return the first imset's headers with the times of all and the mean temperature."""
    first = chips[0]
    parts = []
    for name, hdu in zip(
        ("SCI", "ERR", "DQ"), (first.images.sci, first.images.err, first.images.dq), strict=True
    ):
        header = shift_header(hdu.header if hdu else Header(), first.where)
        header.set("EXTNAME", name)
        header.set("EXTVER", 1)
        if name != "DQ":
            header.set("BUNIT", unit_of(exposure))
        parts.append(header)
    sci = parts[0]
    headers = [c.images.sci.header for c in chips]
    sci.set("EXPTIME", header_float(sum(times)))
    sci.set("NCOMBINE", len(chips))
    for key, choose in (("EXPSTART", min), ("EXPEND", max)):
        if all(key in h for h in headers):
            sci.set(key, choose(h.real(key) for h in headers))
    warmth = sum(h.real("OCCDHTAV", -1.0) * t for h, t in zip(headers, times, strict=True))
    if warmth > 0:
        sci.set("OCCDHTAV", header_float(warmth / sum(times)))
    empty: Any = np.zeros(first.where.shape, np.float32)
    return ImageSet(1, *(image_hdu(h, empty) for h in parts))


def _crj_header(  # noqa: PLR0917 - the facts of a combination
    exposure: Exposure,
    file: str,
    chips: list[Calibrated],
    times: Sequence[float],
    combined: Combined,
    parameters: Parameters,
) -> Header:
    out = primary_header(exposure, file, chips)
    total = sum(times)
    set_parameters(out, parameters, total / len(times))
    for key, value in (
        ("CRCORR", "COMPLETE"), ("NEXTEND", 3), ("TEXPTIME", header_float(total)),
        ("SKYSUM", header_float(sum(combined.skies))),
    ):  # fmt: skip
        out.set(key, value)
    if total > 0:
        out.set("REJ_RATE", header_float(combined.rejected / total))
    out.history("CRCORR complete ...", f"  {len(times)} imsets combined")
    return out


def sum_imsets(context: Context, exposure: Exposure, chips: list[Calibrated]) -> None:
    """RPTCORR: write ``_sfl``, the sum of the calibrated imsets."""
    times = _times(exposure, chips)
    images = _whole(exposure, chips, times)
    sets = [
        ImageSet(n, *(image_hdu(Header(), a) for a in (r.sci, r.err, r.dq)))
        for n, r in enumerate((c.result for c in chips), 1)
    ]
    primary = primary_header(exposure, "", chips)
    primary.set("TEXPTIME", header_float(sum(times)))
    names = [f"{exposure.file}[SCI,{c.images.version}]" for c in chips]
    write_sum(context, primary, [images], [add(sets)], names)


def combine_within(context: Context, exposure: Exposure, chips: list[Calibrated]) -> None:
    """Do CRCORR or RPTCORR of a file with several imsets; CRCORR goes first, RPTCORR without."""
    if len(chips) < 2:
        return
    if is_performed(exposure.primary, "CRCORR"):
        exposure.history.append(f"CRCORR of {len(chips)} imsets in {context.dataset}_crj.fits")
        exposure.states["CRCORR"] = "COMPLETE"
        reject_between_imsets(context, exposure, chips)
    elif is_performed(exposure.primary, "RPTCORR"):
        sum_imsets(context, exposure, chips)
