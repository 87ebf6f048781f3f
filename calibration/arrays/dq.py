"""Data-quality bits and the bad-pixel table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

REED_SOLOMON = 1
LOST = 2
MASKED = 8
FULL_WELL = 256
REFERENCE_DEFECT = 512
SINK = 1024
A_TO_D_SATURATED = 2048
DRIZZLE_RAY = 4096
COSMIC_RAY = 8192
PLACE_HOLDER = 64
#: What counts as bad where a header has no SDQFLAGS (hstcal's default).
ALL_FLAGS = 32767


@dataclass(frozen=True)
class BadPixels:
    """A run of bad pixels as the BPIXTAB gives it: 1-based, in the frame without overscan."""

    x: int
    y: int
    length: int
    axis: int
    value: int


def flag_bad_pixels(dq: NDArray[np.int16], rows: Iterable[BadPixels], ltv: tuple[int, int]) -> int:
    """OR the flags of `rows` into `dq` in place; return how many rows were applied.

    A row beyond the edge counts as applied: calacs writes its place holder only when no row of
    the table fits the read-out.
    """
    ny, nx = dq.shape
    applied = 0
    for row in rows:
        applied += 1
        x0, y0 = row.x - 1 + ltv[0], row.y - 1 + ltv[1]
        dx, dy = (row.length, 1) if row.axis == 1 else (1, row.length)
        xs = slice(max(x0, 0), max(min(x0 + dx, nx), 0))
        ys = slice(max(y0, 0), max(min(y0 + dy, ny), 0))
        dq[ys, xs] |= np.int16(row.value)
    return applied


def count_bits(dq: NDArray[Any]) -> dict[int, int]:
    """Return the number of pixels per bit that occurs."""
    flagged = dq[dq != 0]  # few: fifteen passes over a whole frame would cost 0.2 s
    return {1 << b: n for b in range(15) if (n := int(np.count_nonzero(flagged & (1 << b))))}
