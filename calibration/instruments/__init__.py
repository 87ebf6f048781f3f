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
        Header keyword of each reference file -> the switch that needs it. ``""``: always;
        :data:`ANY_STEP`: when any step is on (acquisition images of STIS have none).
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


#: In place of a switch: whenever one of them is on.
ANY_STEP = "*"

#: Distortion, which MD applies; without a file the header's own WCS is taken.
_DISTORTION = (("IDCTAB", "DRIZCORR"), ("NPOLFILE", "DRIZCORR"), ("D2IMFILE", "DRIZCORR"))
_OPTIONAL = frozenset({"SATUFILE", *(keyword for keyword, _ in _DISTORTION)})
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
    *_DISTORTION,
)
_MORE_FLATS = (("DFLTFILE", "FLATCORR"), ("LFLTFILE", "FLATCORR"))
_UVIS = (
    *_CCD,
    ("ATODTAB", "ATODCORR"),
    ("SNKCFILE", "DQICORR"),
    ("FLSHFILE", "FLSHCORR"),
    *_MORE_FLATS,
)
_STIS = (
    ("CCDTAB", ANY_STEP),
    ("BPIXTAB", "DQICORR"),
    ("ATODTAB", "ATODCORR"),
    ("BIASFILE", "BIASCORR"),
    ("CRREJTAB", "CRCORR"),
    ("DARKFILE", "DARKCORR"),
    ("PFLTFILE", "FLATCORR"),
    *_MORE_FLATS,
    ("SHADFILE", "SHADCORR"),
    ("IMPHTTAB", "PHOTCORR"),
)
_OPTIONAL_FLATS = frozenset({"DFLTFILE", "LFLTFILE"})

DETECTORS = {
    (d.instrument, d.name): d
    for d in (
        Detector("ACS", "WFC", "electrons", "jref", True, _CCD, _OPTIONAL),
        Detector("ACS", "HRC", "electrons", "jref", True, _CCD, _OPTIONAL),
        Detector(
            "WFC3", "UVIS", "dn", "iref", True, _UVIS,
            _OPTIONAL | _OPTIONAL_FLATS | {"IMPHTTAB", "SNKCFILE"},
        ),
        Detector(
            "STIS", "CCD", "counts", "oref", False, _STIS, _OPTIONAL_FLATS | {"IMPHTTAB"},
        ),
        Detector("COS", "FUV", "events", "lref", False, ()),
        Detector("COS", "NUV", "events", "lref", False, ()),
    )
}  # fmt: skip


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
    if switch == ANY_STEP:
        return any(is_performed(header, key) for key in header if key.endswith("CORR"))
    return not switch or header.text(switch).upper() in ("PERFORM", "COMPLETE")
