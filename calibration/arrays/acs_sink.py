"""SINKCORR of ACS: flags on sink pixels, the pixel before them, and the trail behind.

Source: hstcal's acsccd (dosink), after ACS ISR 2017-01. SNKCFILE holds the depth of a sink (below
-1), -1 in its neighbour towards the amplifier, and in the pixels behind it the level (electrons) up
to which they lose charge; no dates, unlike WFC3's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import Array
from calibration.arrays.dq import SINK


class SinkPixels:
    """The sinks of one chip, in the order of read-out, and the signal that is found in them.

    Parameters
    ----------
    reference
        SNKCFILE's image, cut to the product.
    down
        Whether row 0 is read first (the file's first image, chip 2).
    """

    def __init__(self, reference: Array, *, down: bool) -> None:
        values = np.asarray(reference)
        self.shape: tuple[int, int] = values.shape
        self.rows, self.columns = np.nonzero(values)
        self.depth = values[self.rows, self.columns].astype(np.float32)
        self.signal = np.zeros(len(self.rows), np.float32)
        self._down = down

    def measure(self, sci: Array, rows: slice) -> None:
        """Note the signal of those sinks that lie in these rows (before dark and flat)."""
        first, end = np.searchsorted(self.rows, [rows.start, rows.stop])
        at = slice(first, end)
        self.signal[at] = sci[self.rows[at] - rows.start, self.columns[at]]

    def flag(self, *arrays: Array) -> int:
        """OR the flag 1024 into DQ arrays; return how many pixels have it from here."""
        hit = self._hits()
        for dq in arrays:
            dq[self.rows[hit], self.columns[hit]] |= np.int16(SINK)
        return int(np.count_nonzero(hit))

    def _hits(self) -> NDArray[np.bool_]:
        ny, nx = self.shape
        going = np.zeros(nx, bool)
        signal = np.zeros(nx, np.float32)
        last = np.full(nx, -2)
        out = np.zeros(len(self.rows), bool)
        starts = np.searchsorted(self.rows, np.arange(ny + 1))
        for step in range(ny):
            row = step if self._down else ny - 1 - step
            at = slice(starts[row], starts[row + 1])
            x, depth = self.columns[at], self.depth[at]
            going[x[last[x] != step - 1]] = False  # a pixel without a value ends a trail
            last[x] = step
            head = depth < 0
            going[x[head]] = True
            own = depth < -1
            signal[x[own]] = self.signal[at][own]
            trail = (depth > 0) & going[x]
            reached = trail & (depth > signal[x])
            going[x[trail & ~reached]] = False
            out[at] = head | reached
        return out
