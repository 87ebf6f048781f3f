"""What the bits of the DQ arrays mean: one vocabulary per instrument.

Sources: hstcal (acsdq.h, wf3dq.h, stisdq.h) and the instruments' data handbooks. The same bit can
mean different things: 32 is a blemish in STIS, a CTE tail in WFC3.
"""

from __future__ import annotations

from enum import IntFlag


class AcsFlag(IntFlag):
    """ACS/WFC and HRC."""

    REED_SOLOMON = 1
    LOST = 2
    BAD_PIXEL = 4
    MASKED = 8
    HOT = 16
    CTE_TAIL = 32
    WARM = 64
    BAD_BIAS = 128
    FULL_WELL = 256
    REFERENCE_DEFECT = 512
    SINK = 1024
    A_TO_D_SATURATED = 2048
    DRIZZLE_COSMIC_RAY = 4096
    COSMIC_RAY = 8192
    GHOST = 16384


class Wfc3Flag(IntFlag):
    """WFC3/UVIS."""

    REED_SOLOMON = 1
    LOST = 2
    BAD_PIXEL = 4
    MASKED = 8
    HOT = 16
    CTE_TAIL = 32
    WARM = 64
    BAD_BIAS = 128
    FULL_WELL = 256
    BAD_FLAT = 512
    SINK = 1024
    A_TO_D_SATURATED = 2048
    DRIZZLE_COSMIC_RAY = 4096
    COSMIC_RAY = 8192
    CROSSTALK = 16384


class StisFlag(IntFlag):
    """STIS/CCD."""

    REED_SOLOMON = 1
    LOST = 2
    BAD_PIXEL = 4
    OCCULTED = 8
    HOT = 16
    LARGE_BLEMISH = 32
    OVERSCAN = 128
    SATURATED = 256
    REFERENCE_DEFECT = 512
    SMALL_BLEMISH = 1024
    BAD_BACKGROUND = 2048
    DISCARDED = 4096
    COSMIC_RAY = 8192
    NOT_CTI_CORRECTED = 16384


FLAGS: dict[str, type[IntFlag]] = {"ACS": AcsFlag, "WFC3": Wfc3Flag, "STIS": StisFlag}


def flag_names(instrument: str, value: int) -> list[str]:
    """Return the names of the bits in a DQ value; a bit without a name is its number."""
    bits = [1 << n for n in range(15) if value >> n & 1]
    known = {int(flag): str(flag.name) for flag in FLAGS.get(instrument.upper(), ())}
    return [known.get(bit, str(bit)).lower().replace("_", " ") for bit in bits]
