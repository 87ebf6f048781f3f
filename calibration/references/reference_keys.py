"""The header values by which CRDS chooses references: what must be kept to ask again later.

The archive's catalogue keeps these of every exposure, so that a new CRDS context can be compared
with the old one without opening a single file. The table is the union of the keywords that the
rules of each instrument match (``parkey``) or ask for (``rmap_relevance``), in the mappings up to
2025 and in the specifications of crds 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from calibration.fits import Hdu
from calibration.references.crds_rules import matching_header

_ALWAYS = ("INSTRUME", "DETECTOR", "DATE-OBS", "TIME-OBS", "APERTURE", "OBSTYPE")
_CCD = ("CCDAMP", "CCDGAIN", "BINAXIS1", "BINAXIS2", "NUMCOLS", "NUMROWS", "SHUTRPOS", "FLASHCUR")
_OFFSETS = ("CCDCHIP", "LTV1", "LTV2", "XCORNER", "YCORNER", "NAXIS1", "NAXIS2")

KEYS: dict[str, tuple[str, ...]] = {
    "ACS": (*_ALWAYS, *_CCD, *_OFFSETS, "FILTER1", "FILTER2", "FW1OFFST", "FW2OFFST", "FWSOFFST",
            "LRFWAVE"),
    "WFC3": (*_ALWAYS, *_CCD, "FILTER", "CHINJECT", "SAMP_SEQ", "SUBARRAY", "SUBTYPE"),
    "STIS": (*_ALWAYS, *_CCD, "CCDOFFST", "CENWAVE", "OPT_ELEM"),
    "COS": (*_ALWAYS, "EXPTYPE", "OBSMODE", "OPT_ELEM", "LIFE_ADJ", "SEGMENT", "CENWAVE", "FPPOS"),
}  # fmt: skip


def reference_keys(hdus: Sequence[Hdu]) -> dict[str, str]:
    """Return the values of a raw file that CRDS rules can ask for, calibration switches included.

    A keyword that the file does not have is left out, as it would be from the file itself.
    """
    header = matching_header(hdus)
    names = KEYS.get(header.get("INSTRUME", "").upper())
    if names is None:
        return {}
    is_wanted = partial(_is_wanted, frozenset(names))
    return {key: header[key] for key in sorted(filter(is_wanted, header))}


def _is_wanted(names: frozenset[str], key: str) -> bool:
    return key in names or key.endswith("CORR")
