"""Cross talk between the two amplifiers of a WFC chip after the repair of 2009."""

from __future__ import annotations

import numpy as np

from calibration.arrays.chip import F32

SCALE = 9.1e-5
_BLOCK_ROWS = 64


def remove_cross_talk(frame: F32) -> None:
    """Add each pixel's mirror image times 9.1e-5, in place (calacs, after ACS ISR 2010-02).

    calacs goes along the row in place, so the right half sees the corrected left half.

    Parameters
    ----------
    frame
        One chip's whole untrimmed frame, electrons, float32; the amplifiers meet in the middle.
    """
    half = frame.shape[1] // 2
    for start in range(0, frame.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        left, right = frame[rows, :half], frame[rows, -half:]
        left += _ghost(right)
        right += _ghost(left)


def _ghost(part: F32) -> F32:
    """Return the mirrored part times the scale: the product is double, its result single."""
    product = np.multiply(part[:, ::-1], SCALE, dtype=np.float64)
    return np.asarray(product, dtype=np.float32)
