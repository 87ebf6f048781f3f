"""Sink pixels of WFC3/UVIS: traps that take charge from the pixels read out after them.

Source: hstcal, wf3ccd (sink). SNKCFILE holds, per pixel of the raw frame: the MJD from which it
is a sink (above 50000), a negative number in the pixel next to it on the side of the amplifier,
and in the pixels behind it the level (DN) up to which they lose charge.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import Array
from calibration.arrays.dq import SINK

FIRST_DATE, HIGHEST_LEVEL = 50000.0, 1000.0


def flag_sinks(
    dq: NDArray[np.int16],
    sink: Array,
    start: float,
    values_at: Callable[[Array, Array], Array],
    *,
    down: bool,
) -> int:
    """OR the flag 1024 into `dq` in place; return the number of sinks that the exposure has.

    Parameters
    ----------
    dq, sink
        The raw frame's flags and SNKCFILE's image.
    start
        EXPSTART, MJD: later sinks do not count.
    values_at
        Gives the bias-subtracted DN at rows and columns.
    down
        Whether the amplifier is below row 0 (chip 2); of chip 1 it is above the last row.
    """
    reference = np.asarray(sink, dtype=np.float32)
    if not down:
        reference, dq = reference[::-1], dq[::-1]
    y, x = np.nonzero((reference > FIRST_DATE) & (reference < np.float32(start)))
    if not y.size:
        return 0
    dq[y, x] |= SINK
    before = y > 0
    before[before] = reference[y[before] - 1, x[before]] < 0
    dq[y[before] - 1, x[before]] |= SINK
    levels = values_at(y if down else len(dq) - 1 - y, x)
    number = y.size
    for row in range(1, len(dq)):
        inside = y + row < len(dq)
        y, x, levels = y[inside], x[inside], levels[inside]
        limit = reference[y + row, x]
        # hstcal converts to a whole number before it compares with zero
        trail = (limit >= 1) & (limit < HIGHEST_LEVEL)
        y, x, levels, limit = y[trail], x[trail], levels[trail], limit[trail]
        if not y.size:
            break
        hit = levels <= limit
        dq[y[hit] + row, x[hit]] |= SINK
    return int(number)
