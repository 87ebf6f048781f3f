"""Best references of a plain folder, matched by the reference files' own headers.

The rule: FILETYPE, INSTRUME, DETECTOR, CCDAMP, CCDGAIN, filters and frame size must fit (an absent
card or ANY fits everything), a simulated file fits simulated exposures only, USEAFTER must not be
after the exposure; of those the latest USEAFTER wins. Among equals the file that the exposure's
header already names wins, then one that ``index.json`` prefers
(``{"prefer": ["hrc_osc.fits"]}``); otherwise the choice is ambiguous, which is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, read
from calibration.names import is_reference

INDEX = "index.json"

FILETYPES = {
    "CCD PARAMETERS": "CCDTAB",
    "OVERSCAN": "OSCNTAB",
    "BAD PIXELS": "BPIXTAB",
    "BIAS": "BIASFILE",
    "DARK": "DARKFILE",
    "PIXEL-TO-PIXEL FLAT": "PFLTFILE",
    "SATURATION": "SATUFILE",
    "IMAGE PHOTOMETRY TABLE": "IMPHTTAB",
    "COSMIC RAY REJECTION": "CRREJTAB",
    "PIXCTE": "PCTETAB",
    "CTEDARK": "DRKCFILE",
    "ANALOG-TO-DIGITAL": "ATODTAB",
    "DELTA FLAT": "DFLTFILE",
    "LARGE SCALE FLAT": "LFLTFILE",
    "POST FLASH": "FLSHFILE",
    "SINK PIXELS": "SNKCFILE",
    "SHUTTER SHADING": "SHADFILE",
    "DISTORTION COEFFICIENTS": "IDCTAB",
    "DXY GRID": "NPOLFILE",
    "WFC D2I FILE": "D2IMFILE",
}
_MATCHED = (
    "INSTRUME", "DETECTOR", "CCDAMP", "CCDGAIN", "FILTER", "FILTER1", "FILTER2", "NUMCOLS",
    "NUMROWS",
)  # fmt: skip
_USEAFTER_FORMATS = ("%b %d %Y %H:%M:%S", "%b %d %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")


@dataclass(frozen=True)
class Candidate:
    """A reference file: its name, the keyword that it can fill, and its primary header."""

    name: str
    keyword: str
    header: Header

    @property
    def useafter(self) -> datetime:
        """USEAFTER, or the beginning of time."""
        text = self.header.text("USEAFTER")
        for form in _USEAFTER_FORMATS:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
        return datetime.min

    def fits(self, exposure: Header, when: datetime) -> bool:
        """Whether this file can be used for an exposure."""
        if self.useafter > when or ("SIMULATE" in self.header) != ("SIMULATE" in exposure):
            return False
        return all(same(self.header.get(k), exposure.get(k)) for k in _MATCHED)


def same(reference: object, exposure: object) -> bool:
    """Whether a card of a reference fits an exposure's: absent, ANY, N/A, or the same value."""
    if reference is None or exposure is None:
        return True
    wanted, found = str(reference).strip().upper(), str(exposure).strip().upper()
    if wanted in ("ANY", "N/A", ""):
        return True
    try:
        return float(wanted) == float(found)
    except ValueError:
        return wanted == found


def scan(folder: Path) -> list[Candidate]:
    """Return all reference files of a folder that say what they are.

    Raises
    ------
    CalibrationError
        REFERENCE_BAD, naming a file that cannot be read.
    """
    out = []
    for path in sorted(folder.glob("*.fits*")):
        if path.name.endswith((".fits", ".fits.gz")) and not path.name.startswith("."):
            header = _header_of(path)
            keyword = FILETYPES.get(header.text("FILETYPE").upper())
            if keyword:
                out.append(Candidate(path.name.removesuffix(".gz"), keyword, header))
    return out


def _header_of(path: Path) -> Header:
    try:
        return read(path, headers_only=True)[0].header
    except CalibrationError as error:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD, f"{path.parent}: {error.message}, or move it away"
        ) from error


def preferred(folder: Path) -> frozenset[str]:
    """Return the names that the folder's index prefers among equals."""
    path = folder / INDEX
    if not path.is_file():
        return frozenset()
    try:
        return frozenset(json.loads(path.read_text())["prefer"])
    except (ValueError, KeyError, TypeError) as error:
        raise CalibrationError(
            ExitCode.BEST_REFERENCES_ERROR,
            f'{path}: {error!r}; it must be JSON such as {{"prefer": ["hrc_osc.fits"]}}',
        ) from error


def exposure_time(header: Header, file: str) -> datetime:
    """Return the start of an exposure."""
    date = header.text("DATE-OBS") or header.text("TDATEOBS")
    time = header.text("TIME-OBS") or header.text("TTIMEOBS") or "00:00:00"
    try:
        return datetime.fromisoformat(f"{date}T{time}")
    except ValueError:
        raise CalibrationError(
            ExitCode.BEST_REFERENCES_ERROR,
            f"{file}: DATE-OBS, TIME-OBS = {date!r}, {time!r} is not a time; correct the header",
        ) from None


def choose(
    keyword: str,
    exposure: Header,
    when: datetime,
    candidates: Iterable[Candidate],
    prefer: frozenset[str],
) -> str | None:
    """Return the best file for `keyword`, None when nothing fits.

    Raises
    ------
    CalibrationError
        REFERENCE_AMBIGUOUS, naming the files.
    """
    fitting = [c for c in candidates if c.keyword == keyword and c.fits(exposure, when)]
    if not fitting:
        return None
    latest = max(c.useafter for c in fitting)
    best = sorted({c.name for c in fitting if c.useafter == latest})
    own = exposure.text(keyword).rpartition("$")[2]
    if is_reference(own) and own in best:
        return own
    chosen = [name for name in best if name in prefer] or best
    if len(chosen) > 1:
        raise CalibrationError(
            ExitCode.REFERENCE_AMBIGUOUS,
            f"{keyword}: {', '.join(chosen)} fit equally well; name the right one under "
            f'"prefer" in {INDEX} of the references folder',
        )
    return chosen[0]
