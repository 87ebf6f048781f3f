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
_ACS = (
    *((keyword, "BIASCORR" if keyword == "SATUFILE" else switch) for keyword, switch in _CCD),
    ("SNKCFILE", "SINKCORR"),
    ("FLSHFILE", "FLSHCORR"),
)
#: WFC only: there is no model of HRC's traps.
_CTE = (("PCTETAB", "PCTECORR"), ("DRKCFILE", "PCTECORR"))
_MORE_FLATS = (("DFLTFILE", "FLATCORR"), ("LFLTFILE", "FLATCORR"))
_UVIS = (
    *((key, "" if key == "OSCNTAB" else switch) for key, switch in _CCD),
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
#: What calcos reads, by the step that reads it. Which of the optional ones a mode needs is decided
#: by CRDS's rules and, in the end, by calcos.
_COS = (
    ("FLATFILE", "FLATCORR"),
    ("BPIXTAB", "DQICORR"),
    ("GSAGTAB", "DQICORR"),
    ("SPOTTAB", "DQICORR"),
    ("BRFTAB", "TEMPCORR"),
    ("GEOFILE", "GEOCORR"),
    ("DGEOFILE", "DGEOCORR"),
    ("XWLKFILE", "XWLKCORR"),
    ("YWLKFILE", "YWLKCORR"),
    ("DEADTAB", "DEADCORR"),
    ("PHATAB", "PHACORR"),
    ("PHAFILE", "PHACORR"),
    ("BRSTTAB", "BRSTCORR"),
    ("BADTTAB", "BADTCORR"),
    ("LAMPTAB", "WAVECORR"),
    ("WCPTAB", "WAVECORR"),
    ("DISPTAB", "X1DCORR"),
    ("XTRACTAB", "X1DCORR"),
    ("SPWCSTAB", "X1DCORR"),
    ("TWOZXTAB", "ALGNCORR"),
    ("PROFTAB", "ALGNCORR"),
    ("TRACETAB", "TRCECORR"),
    ("FLUXTAB", "FLUXCORR"),
    ("IMPHTTAB", "PHOTCORR"),
    ("TDSTAB", "TDSCORR"),
    ("HVDSTAB", "HVDSCORR"),
)
_COS_OPTIONAL = frozenset(
    {"GSAGTAB", "SPOTTAB", "BRFTAB", "PHATAB", "PHAFILE", "XTRACTAB", "SPWCSTAB", "TWOZXTAB",
     "WCPTAB", "HVDSTAB", "IMPHTTAB", "TDSTAB"}
)  # fmt: skip
_SATURATION = frozenset({"SATUFILE"})
_OPTIONAL_FLATS = frozenset({"DFLTFILE", "LFLTFILE"})
#: What MD applies; without a file the header's own WCS is taken.
_DISTORTION = (("IDCTAB", "DRIZCORR"), ("NPOLFILE", "DRIZCORR"), ("D2IMFILE", "DRIZCORR"))
_NO_DISTORTION = frozenset(keyword for keyword, _ in _DISTORTION)

DETECTORS = {
    (d.instrument, d.name): d
    for d in (
        Detector(
            "ACS", "WFC", "electrons", "jref", True, (*_ACS, *_CTE, *_DISTORTION),
            _SATURATION | _NO_DISTORTION,
        ),
        Detector(
            "ACS", "HRC", "electrons", "jref", True, (*_ACS, *_DISTORTION),
            _SATURATION | _NO_DISTORTION,
        ),
        Detector(
            "WFC3", "UVIS", "dn", "iref", True, (*_UVIS, *_DISTORTION),
            _SATURATION | _NO_DISTORTION | _OPTIONAL_FLATS | {"IMPHTTAB", "SNKCFILE"},
        ),
        Detector(
            "STIS", "CCD", "counts", "oref", False, _STIS, _OPTIONAL_FLATS | {"IMPHTTAB"},
        ),
        Detector("COS", "FUV", "events", "lref", False, _COS, _COS_OPTIONAL),
        Detector("COS", "NUV", "events", "lref", False, _COS, _COS_OPTIONAL),
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
