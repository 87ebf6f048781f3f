"""PHOTCORR: the photometric keywords from IMPHTTAB."""

from __future__ import annotations

from calibration.arrays.photometry import NoSuchMode, value_at
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits.planes import ImageSet
from calibration.nodes.exposure import Exposure, header_float

_PHOT = {"PHOTFLAM": 1, "PHOTPLAM": 2, "PHOTBW": 3}


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
