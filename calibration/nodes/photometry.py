"""PHOTCORR: the photometric keywords from IMPHTTAB."""

from __future__ import annotations

from calibration.arrays.photometry import OUTSIDE, NoSuchMode, value_at
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header
from calibration.fits.planes import ImageSet
from calibration.nodes.exposure import Exposure, Reference, header_float

_PHOT = {"PHOTFLAM": 1, "PHOTPLAM": 2, "PHOTBW": 3}
#: PHOTFNU (Jy s/e-) = this x PHOTFLAM x PHOTPLAM**2, as calwf3 has it.
_TO_JANSKY = 3.33564e4


def _mode(exposure: Exposure, detector: str) -> tuple[str, str]:
    """Return the IMPHTTAB mode and the PHOTMODE text."""
    primary = exposure.primary
    names = [primary.text(k).upper() for k in ("FILTER1", "FILTER2", "FILTER")]
    filters = [n for n in names if n and not n.startswith("CLEAR")]
    parts = [exposure.detector.instrument, detector, *filters]
    mjd = primary.real("EXPSTART", 0.0)
    return ",".join(parts).lower(), f"{' '.join(parts)} MJD#{mjd:.4f}"


def photometry(exposure: Exposure, sets: list[ImageSet]) -> None:
    """PHOTCORR: write the photometric keywords into the headers that each pipeline uses."""
    if exposure.detector.order == "counts":
        _stis(exposure)
        return
    table = exposure.usable("PHOTCORR", "IMPHTTAB")
    if exposure.detector.order == "electrons":
        _acs(exposure, table, sets)
    elif table is not None:
        for images in sets:
            _uvis(exposure, table, images)
        exposure.done("PHOTCORR", *table.history())


def _acs(exposure: Exposure, table: Reference | None, sets: list[ImageSet]) -> None:
    """calacs: PHOTMODE whatever PHOTCORR says; outside the table's dates the step is skipped."""
    mode, text = _acs_mode(exposure.primary, exposure.detector.name)
    for images in sets:
        images.sci.header.set("PHOTMODE", text, "observation configuration")
    if table is None:
        return
    values = _values(exposure, table, mode)
    for images in sets:
        _write(images.sci.header, table, text, values)
    if values["PHOTFLAM"] == OUTSIDE:
        exposure.skipped("PHOTCORR", f"{table.name} does not reach to EXPSTART or LRFWAVE")
    else:
        exposure.done("PHOTCORR", *table.history())


def _acs_mode(primary: Header, detector: str) -> tuple[str, str]:
    """Return the IMPHTTAB mode and PHOTMODE; both chips of WFC are called WFC1."""
    parts = ["ACS", "WFC1" if detector == "WFC" else detector]
    if primary.text("OBSTYPE").upper().startswith("CORON"):
        parts.append("CORON")
    for name in (primary.text("FILTER1").upper(), primary.text("FILTER2").upper()):
        if not name or name.startswith(("N/A", "CLEAR")):
            continue
        if name.startswith("POL"):
            parts.append("POL_UV" if "UV" in name else "POL_V")
        elif name.startswith("FR"):
            parts.append(f"{name}#{primary.real('LRFWAVE', -1.0):.4g}")
        else:
            parts.append(name)
    date = f"MJD#{primary.real('EXPSTART', 0.0):.4f}"
    return ",".join(parts).lower(), " ".join([*parts, date])


def _values(exposure: Exposure, table: Reference, mode: str) -> dict[str, float]:
    mjd = exposure.primary.real("EXPSTART", 0.0)
    try:
        extrapolate = table.hdus[0].header.get("EXTRAP") is True
        return {
            key: value_at(table.rows(i), mode, mjd, extrapolate=extrapolate)
            for key, i in _PHOT.items()
        }
    except NoSuchMode:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"IMPHTTAB {table.name} has no row for {mode!r}; choose another file, or set "
            "PHOTCORR to OMIT",
        ) from None


def _write(header: Header, table: Reference, mode: str, values: dict[str, float]) -> None:
    zero = table.hdus[0].header.get("PHOTZPT", -21.1)
    header.set("PHOTMODE", mode, "observation configuration")
    header.set("PHOTZPT", header_float(zero))
    for key, value in values.items():
        header.set(key, header_float(value))


def _uvis(exposure: Exposure, table: Reference, images: ImageSet) -> None:
    """Each chip has its own mode; both have the sensitivities of both chips (PHTFLAM1, 2)."""
    modes = {n: _mode(exposure, f"UVIS{n}") for n in (1, 2)}
    mode, text = modes[images.chip]
    values = _values(exposure, table, mode)
    _write(images.sci.header, table, text, values)
    exposure.primary.set("PHOTFLAM", header_float(values["PHOTFLAM"]))
    exposure.primary.set("PHOTZPT", header_float(table.hdus[0].header.get("PHOTZPT", -21.1)))
    extensions = {hdu.name: i for i, hdu in enumerate(table.hdus)}
    if not {"PHTFLAM1", "PHTFLAM2"} <= extensions.keys():
        return
    mjd = exposure.primary.real("EXPSTART", 0.0)
    for number, (other, _) in modes.items():
        key = f"PHTFLAM{number}"
        try:
            sensitivity = value_at(table.rows(extensions[key]), other, mjd)
        except NoSuchMode:
            raise CalibrationError(
                ExitCode.REFERENCE_BAD,
                f"IMPHTTAB {table.name}, {key}: no row for {other!r}; choose another file",
            ) from None
        for header in (images.sci.header, exposure.primary):
            header.set(key, header_float(sensitivity), f"chip {number}: inverse sensitivity")
        if number == images.chip:
            flux = _TO_JANSKY * sensitivity * values["PHOTPLAM"] ** 2
            images.sci.header.set("PHOTFNU", header_float(flux), "inverse sensitivity, Jy*s/e-")


def _stis(exposure: Exposure) -> None:
    """calstis: keywords of the primary header, per count: PHOTFLAM is multiplied by the gain.

    A mode that the table has not is no error there: the step is skipped.
    """
    table = exposure.usable("PHOTCORR", "IMPHTTAB")
    primary = exposure.primary
    element = primary.text("OPT_ELEM").upper()
    parts = [primary.text("APERTURE"), "MIRROR" if element.startswith("MIR") else element]
    mode = ",".join(("STIS", *parts, "CCD")).lower()
    start = primary.real("TEXPSTRT", primary.get("EXPSTART", 0.0))
    gain = f"A2D{primary.integer('CCDGAIN', 1)}"
    text = f"STIS {parts[0]} {gain} {parts[1]} CCD MJD#{start:.4f}"
    if table is None:
        return
    if primary.text("OBSTYPE", "IMAGING").upper() != "IMAGING":
        exposure.skipped("PHOTCORR", "it is for images, not for spectra")
        return
    try:
        values = {key: value_at(table.rows(i), mode, start) for key, i in _PHOT.items()}
    except NoSuchMode:
        exposure.skipped("PHOTCORR", f"{table.name} has no row for {mode!r}")
        return
    values["PHOTFLAM"] *= exposure.atod_gain
    _write(primary, table, text, values)
    exposure.done("PHOTCORR", *table.history())
