"""What differs between instruments, as tables."""

from __future__ import annotations

from dataclasses import dataclass

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header


@dataclass(frozen=True)
class Detector:
    """A detector: which order of operations it has, and what its files are called.

    Parameters
    ----------
    instrument, name
        INSTRUME and DETECTOR.
    order
        ``electrons`` (ACS), ``dn`` (WFC3/UVIS: DN up to FLATCORR), ``counts`` (STIS: DN to the
        end) or ``events`` (COS).
    prefix
        Environment variable of the reference folder in header values (``jref$...``).
    drizzled
        Whether MD makes a product.
    references
        Header keyword of each reference file -> the switch that needs it. ``""``: always.
    optional
        Keywords that may stay N/A although their switch is PERFORM.
    """

    instrument: str
    name: str
    order: str
    prefix: str
    drizzled: bool
    references: tuple[tuple[str, str], ...]
    optional: frozenset[str] = frozenset()


_CCD = (
    ("CCDTAB", ""),
    ("OSCNTAB", "BLEVCORR"),
    ("BPIXTAB", "DQICORR"),
    ("BIASFILE", "BIASCORR"),
    ("SATUFILE", "DQICORR"),
    ("DARKFILE", "DARKCORR"),
    ("PFLTFILE", "FLATCORR"),
    ("IMPHTTAB", "PHOTCORR"),
    ("CRREJTAB", "CRCORR"),
)
_CTE = (("PCTETAB", "PCTECORR"), ("DRKCFILE", "PCTECORR"))
_STIS = (
    ("CCDTAB", ""),
    ("BPIXTAB", "DQICORR"),
    ("BIASFILE", "BIASCORR"),
    ("DARKFILE", "DARKCORR"),
    ("PFLTFILE", "FLATCORR"),
)
_SATURATION = frozenset({"SATUFILE"})

DETECTORS = {
    (d.instrument, d.name): d
    for d in (
        Detector("ACS", "WFC", "electrons", "jref", True, (*_CCD, *_CTE), _SATURATION),
        Detector("ACS", "HRC", "electrons", "jref", True, _CCD, _SATURATION),
        Detector("WFC3", "UVIS", "dn", "iref", True, _CCD, _SATURATION | {"IMPHTTAB"}),
        Detector("STIS", "CCD", "counts", "oref", False, _STIS),
        Detector("COS", "FUV", "events", "lref", False, ()),
        Detector("COS", "NUV", "events", "lref", False, ()),
    )
}


def detector_of(header: Header, file: str) -> Detector:
    """Return the detector of a primary header; raise NOT_SUPPORTED when there is none."""
    key = (header.text("INSTRUME").upper(), header.text("DETECTOR").upper())
    if key in DETECTORS:
        return DETECTORS[key]
    known = ", ".join("/".join(k) for k in DETECTORS)
    raise CalibrationError(
        ExitCode.NOT_SUPPORTED,
        f"{file}: INSTRUME/DETECTOR = {key[0] or '?'}/{key[1] or '?'} is not one of {known}",
    )


def is_performed(header: Header, switch: str) -> bool:
    """Whether a calibration switch is PERFORM (or already COMPLETE: re-runs are idempotent)."""
    return not switch or header.text(switch).upper() in ("PERFORM", "COMPLETE")
