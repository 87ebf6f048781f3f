"""Image sets (SCI, ERR, DQ by EXTVER) of raw, product and reference files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits.files import Hdu

Array = NDArray[Any]


@dataclass(frozen=True)
class ImageSet:
    """The HDUs of one EXTVER."""

    version: int
    sci: Hdu
    err: Hdu | None
    dq: Hdu | None

    @property
    def chip(self) -> int:
        """CCDCHIP, which pairs an exposure with its references (1 when absent)."""
        return self.sci.header.integer("CCDCHIP", 1)


def image_sets(hdus: Sequence[Hdu], file: str) -> list[ImageSet]:
    """Return the image sets of a file in EXTVER order; raise INPUT_CORRUPT when there is none."""
    named: dict[tuple[str, int], Hdu] = {}
    for hdu in hdus[1:]:
        named.setdefault((hdu.name, hdu.version), hdu)
    versions = sorted(version for name, version in named if name == "SCI")
    if not versions:
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT, f"{file} has no SCI extension; deliver it again"
        )
    return [
        ImageSet(v, named["SCI", v], named.get(("ERR", v)), named.get(("DQ", v))) for v in versions
    ]


def plane(hdu: Hdu | None, shape: tuple[int, ...]) -> Array:
    """Return an extension's pixels as stored; a null or absent one becomes a constant plane."""
    if hdu is None:
        return np.broadcast_to(np.int16(0), shape)
    if not hdu.shape:
        return np.broadcast_to(np.float32(hdu.header.get("PIXVALUE", 0)), shape)
    return hdu.stored()
