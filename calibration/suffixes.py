"""Every kind of file that belongs to a dataset, in one table.

Whoever makes a new kind of product adds a row here: AC checks it, INGEST_SCI archives it, PVW shows
it and the catalogue knows it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    suffix
        What follows the dataset's name in the file's name.
    type, level
        ObsCore's dataproduct_type and calib_level. Raw FITS files are level 1: instrumental data in
        a standard format; level 0 would be packets.
    extensions
        What a science product must have, per chip; empty for what AC does not check.
    preview
        Rank for previews, the lowest number first; 0 for never.
    archived
        Whether INGEST_SCI takes ``<dataset>_<suffix>.fits`` from the work area.
    """

    suffix: str
    type: str
    level: int
    extensions: tuple[str, ...] = ()
    preview: int = 0
    archived: bool = True


_IMAGE, _DRIZZLED = ("SCI", "ERR", "DQ"), ("SCI", "WHT", "CTX")

KINDS: tuple[Kind, ...] = (
    Kind("raw", "image", 1),
    Kind("rawtag", "event", 1),
    Kind("rawtag_a", "event", 1),
    Kind("rawtag_b", "event", 1),
    Kind("spt", "other", 1),
    Kind("jit", "measurements", 1),
    Kind("asn", "other", 1),
    Kind("flt", "image", 2, _IMAGE, 8),
    Kind("flc", "image", 2, _IMAGE, 7),
    # There for exposures of a CR-split association only: with them a member can be combined again
    # without being calibrated again.
    Kind("blv_tmp", "image", 1),
    Kind("blc_tmp", "image", 1),
    Kind("flt_a", "image", 2, _IMAGE),
    Kind("flt_b", "image", 2, _IMAGE),
    Kind("counts_a", "image", 2, _IMAGE),
    Kind("counts_b", "image", 2, _IMAGE),
    Kind("corrtag", "event", 2, ("EVENTS", "GTI")),
    Kind("corrtag_a", "event", 2, ("EVENTS", "GTI")),
    Kind("corrtag_b", "event", 2, ("EVENTS", "GTI")),
    Kind("counts", "image", 2, _IMAGE),
    Kind("lampflash", "spectrum", 2),
    Kind("x1d", "spectrum", 2, ("SCI",), 9),
    Kind("x1dsum", "spectrum", 3, ("SCI",), 6),
    Kind("qlx", "spectrum", 1, ("SPECTRUM",), 10),
    Kind("sfl", "image", 3, _IMAGE, 5),
    Kind("crj", "image", 3, _IMAGE, 4),
    Kind("crc", "image", 3, _IMAGE, 3),
    Kind("drz", "image", 3, _DRIZZLED, 2),
    Kind("drc", "image", 3, _DRIZZLED, 1),
    Kind("trailer", "other", 2, archived=False),
    Kind("references", "other", 1, archived=False),
    Kind("preview", "image", 2, archived=False),
    Kind("thumb", "image", 2, archived=False),
    Kind("dan", "other", 0, archived=False),
    Kind("receipt", "other", 1, archived=False),
)

BY_SUFFIX = {kind.suffix: kind for kind in KINDS}
RAW = ("raw", "rawtag_a", "rawtag_b", "rawtag")
ARCHIVED = tuple(kind.suffix for kind in KINDS if kind.archived)
CHECKED = tuple(kind.suffix for kind in KINDS if kind.extensions)
SPECTRA = ("x1d", "x1dsum", "qlx")
DRIZZLED = ("drz", "drc")
SHOWN = tuple(k.suffix for k in sorted(KINDS, key=lambda k: k.preview) if k.preview)
COMBINED = ("sfl", "crj", "crc", *DRIZZLED)
#: What CA makes of one exposure and its association needs again.
OF_AN_EXPOSURE = tuple(s for s in ARCHIVED if s not in (*RAW, "spt", "jit", "asn", *COMBINED))
