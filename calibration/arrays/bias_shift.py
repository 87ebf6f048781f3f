"""The bias shift that signal leaves in WFC's dual-slope integrator after the repair of 2009.

The pre-amplifier's high-pass filter lets the true bias level follow the mean of the pixels read
before: a first-order recursion over a whole quadrant, 4.6 million samples in the order of read-out
(ACS ISR 2012-02). In a row of 2,218 samples the decay is only a factor of four, so each row is one
cumulative sum with weights, and only the carry from row to row is a loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import F32

F64 = NDArray[np.float64]

_PIXELS_PER_MS = 1000 / 22
_GAP = int(_PIXELS_PER_MS * 3.212 + 0.5)
"""Samples' worth of time that the shift to the next row takes: 146."""

_DC_RATIO = 0.3
_SAMPLE_SPREAD = 10 / 22
_BLOCK_ROWS = 32

#: Amplifier -> time constant of the filter (microseconds) and sensitivity of the integrator.
CONSTANTS = {
    "A": (37.290251, 2.9188919e-3),
    "B": (36.180001, 10.805754e-3),
    "C": (37.867770, 12.432145e-3),
    "D": (42.461249, 3.8596253e-3),
}


@dataclass(frozen=True)
class Shift:
    """Mean of the reference square before and after the correction, electrons."""

    before: float
    after: float


class _Filter:
    """The recursion ``dc[k+1] = r dc[k] + 0.3 (1 - r) p[k]`` along rows of `width` samples."""

    def __init__(self, tau: float, width: int) -> None:
        factor = 1.0 - math.exp(-1.0 / (tau * _PIXELS_PER_MS))
        self.decay = 1.0 - factor
        powers = self.decay ** np.arange(1, width + 1, dtype=np.float64)
        self.powers = powers
        self.weights = (_DC_RATIO * factor) / powers
        self.end = float(powers[-1])
        self.gap = self.decay**_GAP

    def starts(self, view: F32, fill: float) -> F64:
        """Return the level with which each row begins; the gap between rows holds `fill`."""
        own = np.empty(len(view))
        for first in range(0, len(view), _BLOCK_ROWS):
            rows = slice(first, first + _BLOCK_ROWS)
            own[rows] = (view[rows].astype(np.float64) @ self.weights) * self.end
        out = np.empty(len(view))
        level = fill * _DC_RATIO
        for row, value in enumerate(own):
            out[row] = level
            level = (self.end * level + value) * self.gap + _DC_RATIO * fill * (1 - self.gap)
        return out

    def corrected(self, pixels: F64, starts: F64, sensitivity: float) -> F64:
        """Return rows of pixels without the shift."""
        after = pixels * self.weights
        np.cumsum(after, axis=1, out=after)
        after += starts[:, None]
        after *= self.powers
        before = np.empty_like(after)
        before[:, 0] = starts
        before[:, 1:] = after[:, :-1]
        out = pixels - sensitivity * after
        after -= before
        after *= _SAMPLE_SPREAD
        out -= after
        return out


def _square(ny: int) -> slice:
    """Rows of the square of virtual overscan that gives the level: ten, all but the last one."""
    return slice(ny - 11, ny - 1)


_SQUARE_COLUMNS = slice(13, 23)


def remove_bias_shift(view: F32, amp: str) -> Shift:
    """Subtract the signal-dependent bias shift and the level of one quadrant, in place.

    Parameters
    ----------
    view
        The quadrant with its overscan, electrons, float32, the amplifier at the lower left: rows
        and pixels in the order of read-out.
    amp
        Its name, A to D.
    """
    ny, nx = view.shape
    tau, sensitivity = CONSTANTS[amp]
    rows = _square(ny)
    square = view[rows].astype(np.float64)
    level = float(square[:, _SQUARE_COLUMNS].mean())
    recursion = _Filter(tau, nx)
    starts = recursion.starts(view, level)
    fixed = recursion.corrected(square, starts[rows], sensitivity)
    after = float(fixed[:, _SQUARE_COLUMNS].mean())
    for first in range(0, ny, _BLOCK_ROWS):
        block = slice(first, min(first + _BLOCK_ROWS, ny))
        pixels = view[block].astype(np.float64)
        view[block] = recursion.corrected(pixels, starts[block], sensitivity) - after
    return Shift(level, after)
