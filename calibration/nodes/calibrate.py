"""CA: raw exposure to calibrated ``_flt`` (and ``_blv_tmp`` for a CR-split association)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import ccd
from calibration.arrays.overscan import NoOverscan
from calibration.arrays.photometry import NoSuchMode, value_at
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, image_hdu, read, write
from calibration.fits.files import temporary
from calibration.fits.planes import ImageSet
from calibration.instruments import detector_of, is_performed
from calibration.instruments.geometry import Geometry
from calibration.nodes.exposure import (
    Exposure,
    header_float,
    make_chip,
    open_exposure,
    set_statistics,
    shift_header,
)
from calibration.software import VERSION

SCI_STATISTICS = (
    "NGOODPIX", "GOODMIN", "GOODMAX", "GOODMEAN", "SNRMIN", "SNRMAX", "SNRMEAN",
)  # fmt: skip
_PHOT = {"PHOTFLAM": 1, "PHOTPLAM": 2, "PHOTBW": 3}


@dataclass
class Calibrated:
    """One chip's result with its place in the file."""

    images: ImageSet
    where: Geometry
    chip: ccd.Chip
    result: ccd.Result


def run(context: Context) -> None:
    """Calibrate the dataset's raw file."""
    path = context.raw()
    hdus = read(path)
    detector = detector_of(hdus[0].header, path.name)
    if detector.order == "events":
        from calibration.nodes.cos import run as run_cos

        run_cos(context)
        return
    exposure = open_exposure(context, path.name, hdus, detector)
    keep = detector.order == "electrons" and is_performed(hdus[0].header, "CRCORR")
    chips = [_calibrate(exposure, images, keep) for images in exposure.sets]
    _tell(exposure, chips)
    if keep:
        _write(context, exposure, chips, "blv_tmp")
    photometry(exposure, [c.images for c in chips])
    _write(context, exposure, chips, "flt")
    _trailer(context, exposure)


def _calibrate(exposure: Exposure, images: ImageSet, keep: bool) -> Calibrated:
    chip, where = make_chip(exposure, images)
    with timed(f"CA SCI,{images.version} amps {''.join(a.name for a in where.amps)}"):
        try:
            result = ccd.calibrate(chip, keep_before=keep, after_rows=exposure.release)
        except NoOverscan as error:
            raise CalibrationError(
                ExitCode.CALIBRATION_ERROR,
                f"{exposure.file}: SCI,{images.version}: BLEVCORR: {error}; check the raw pixels "
                "and OSCNTAB",
            ) from error
    if exposure.detector.order == "dn" and chip.flat is not None:
        gain = np.float32(ccd.mean_gain(chip))
        result.sci *= gain
        result.err *= gain
    if chip.dark is not None:
        result.mean_dark = ccd.mean_of_good(chip.dark, chip.dark_time, chip.serious)
    return Calibrated(images, where, chip, result)


def _tell(exposure: Exposure, chips: list[Calibrated]) -> None:
    """Note in states and history what the kernel did."""
    references = exposure.references
    chip = chips[0].chip
    exposure.history += ["CCD parameters table:", *references["CCDTAB"].history()]
    if is_performed(exposure.primary, "DQICORR"):
        table = references.get("BPIXTAB")
        exposure.done(
            "DQICORR", "  values checked for saturation", *(table.history() if table else [])
        )
    if chip.bias is not None:
        exposure.done("BIASCORR", *references["BIASFILE"].history())
    if chip.subtract_level:
        table = references.get("OSCNTAB")
        exposure.done("BLEVCORR", *(table.history() if table else []))
        if _is_post_repair(exposure):
            exposure.history.append(
                "BLEVCORR by the classic fit: bias shift, cross talk and stripes not corrected"
            )
    exposure.history.append("Uncertainty array initialized.")
    if chip.dark is not None:
        exposure.done("DARKCORR", *references["DARKFILE"].history())
    if chip.flat is not None:
        exposure.done("FLATCORR", *references["PFLTFILE"].history())


def _is_post_repair(exposure: Exposure) -> bool:
    """Whether this WFC exposure was read by the electronics of the 2009 repair."""
    return exposure.detector.name == "WFC" and exposure.primary.real("EXPSTART", 0.0) >= 54962


def _mode(exposure: Exposure) -> tuple[str, str]:
    """Return the IMPHTTAB mode and the PHOTMODE text."""
    primary = exposure.primary
    detector = {"WFC": "WFC1", "UVIS": "UVIS1"}.get(exposure.detector.name, exposure.detector.name)
    names = [primary.text(k).upper() for k in ("FILTER1", "FILTER2", "FILTER")]
    filters = [n for n in names if n and not n.startswith("CLEAR")]
    parts = [exposure.detector.instrument, detector, *filters]
    mjd = primary.real("EXPSTART", 0.0)
    return ",".join(parts).lower(), f"{' '.join(parts)} MJD#{mjd:.4f}"


def photometry(exposure: Exposure, sets: list[ImageSet]) -> None:
    """PHOTCORR: write the photometric keywords into the SCI headers."""
    table = exposure.usable("PHOTCORR", "IMPHTTAB")
    if table is None:
        return
    mode, text = _mode(exposure)
    mjd = exposure.primary.real("EXPSTART", 0.0)
    try:
        values = {key: value_at(table.rows(i), mode, mjd) for key, i in _PHOT.items()}
    except NoSuchMode:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"IMPHTTAB {table.name} has no row for {mode!r}; choose another file, or set "
            "PHOTCORR to OMIT",
        ) from None
    zero = table.hdus[0].header.get("PHOTZPT", -21.1)
    for images in sets:
        images.sci.header.set("PHOTMODE", text, "observation configuration")
        images.sci.header.set("PHOTZPT", header_float(zero))
        for key, value in values.items():
            images.sci.header.set(key, header_float(value))
    exposure.done("PHOTCORR", *table.history())


def primary_header(exposure: Exposure, file: str, chips: list[Calibrated]) -> Header:
    """Return the product's primary header: switches, amplifier values, HISTORY."""
    out = exposure.primary.copy()
    out.set("FILENAME", file)
    out.set("CAL_VER", VERSION)
    for switch, state in exposure.states.items():
        out.set(switch, state)
    for item in chips:
        for amp in item.where.amps:
            for key, value in (("ATODGN", amp.gain), ("READNSE", amp.read_noise)):
                out.set(f"{key}{amp.name}", header_float(value))
            if amp.name in item.result.levels:
                out.set(f"BIASLEV{amp.name}", header_float(item.result.levels[amp.name]))
    out.set("DARKTIME", header_float(exposure.dark_time))
    out.history(*exposure.history)
    return out


def _write(context: Context, exposure: Exposure, chips: list[Calibrated], suffix: str) -> None:
    path = context.product(suffix)
    primary = primary_header(exposure, path.name, chips)
    primary.set("NEXTEND", 3 * len(chips))
    if suffix == "blv_tmp":
        for switch in ("DARKCORR", "FLATCORR", "PHOTCORR"):
            if switch in exposure.states:
                primary.set(switch, "PERFORM")
    hdus = [image_hdu(primary, None, primary=True)]
    for item in chips:
        hdus += extensions(exposure, item, before=suffix == "blv_tmp")
    write(path, hdus)
    step(f"CA {path.name} written")


def extensions(exposure: Exposure, item: Calibrated, *, before: bool) -> list[Hdu]:
    """Return the SCI, ERR and DQ HDUs of one chip."""
    result = item.result
    arrays = result.before if before else (result.sci, result.err, result.dq)
    assert arrays is not None
    headers = []
    for name, hdu in (("SCI", item.images.sci), ("ERR", item.images.err), ("DQ", item.images.dq)):
        header = shift_header(hdu.header if hdu else Header(), item.where)
        header.set("EXTNAME", name)
        header.set("EXTVER", item.images.version)
        headers.append(header)
    unit = unit_of(exposure)
    good = (arrays[2] & item.chip.serious) == 0
    values = ccd.statistics(arrays[0], arrays[1], good)
    set_statistics(headers[0], values, SCI_STATISTICS)
    errors = ccd.statistics(arrays[1], None, good)
    set_statistics(headers[1], errors, SCI_STATISTICS[:4])
    for header in headers[:2]:
        header.set("BUNIT", unit)
    levels = list(result.levels.values())
    if levels:
        headers[0].set("MEANBLEV", header_float(sum(levels) / len(levels)))
    if not before and item.chip.dark is not None:
        headers[0].set("MEANDARK", header_float(result.mean_dark))
    return [image_hdu(h, a, consume=True) for h, a in zip(headers, arrays, strict=True)]


def unit_of(exposure: Exposure) -> str:
    """Return BUNIT of the product."""
    if exposure.detector.order == "electrons":
        return "ELECTRONS"
    flat = "FLATCORR" in exposure.states and exposure.states["FLATCORR"] == "COMPLETE"
    return "ELECTRONS" if exposure.detector.order == "dn" and flat else "COUNTS"


def _trailer(context: Context, exposure: Exposure) -> None:
    """Write the trailer: what was done, in words."""
    path = context.folder / f"{context.dataset}.tra"
    lines = [f"{VERSION} {exposure.file}", *exposure.history]
    lines += [f"{switch} {state}" for switch, state in sorted(exposure.states.items())]
    draft = temporary(path)
    draft.write_text("\n".join(lines) + "\n")
    draft.replace(path)
