"""DARKCORR and FLATCORR, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration.arrays import dq as flags
from calibration.arrays.chip import BLOCK_ROWS, F32, I16, Image, Result, block_of


def subtract_dark(
    sci: F32, err: F32, dq: I16, dark: tuple[F32, F32, I16], scale: float
) -> tuple[F32, F32, I16]:
    """DARKCORR of one block: `scale` is DARKTIME, over the mean gain where the unit is DN."""
    factor = np.float32(scale)
    dark_err = dark[1] * factor
    return sci - dark[0] * factor, np.sqrt(err * err + dark_err * dark_err), dq | dark[2]


def divide_flat(sci: F32, err: F32, dq: I16, flat: tuple[F32, F32, I16]) -> tuple[F32, F32, I16]:
    """FLATCORR of one block; a zero in the flat flags the pixel and leaves it as it is."""
    dead = flat[0] == 0
    divisor = np.where(dead, np.float32(1), flat[0])
    own = err / divisor
    from_flat = flat[1] * sci / divisor / divisor
    out_err = np.where(dead, err, np.sqrt(own * own + from_flat * from_flat))
    out_dq = dq | flat[2] | dead.astype(np.int16) * np.int16(flags.REFERENCE_DEFECT)
    return sci / divisor, out_err, out_dq


def dark_and_flat(
    image: tuple[F32, F32, I16], dark: Image | None, dark_time: float, flat: Image | None
) -> Result:
    """Apply DARKCORR and FLATCORR to a trimmed image in electrons (a combined `_crj`)."""
    sci, err, dq = (np.array(part) for part in image)
    columns = slice(0, sci.shape[1])
    for start in range(0, sci.shape[0], BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, sci.shape[0]))
        block: tuple[Any, Any, Any] = (sci[rows], err[rows], dq[rows])
        if dark is not None:
            block = subtract_dark(*block, block_of(dark, rows, columns), dark_time)
        if flat is not None:
            block = divide_flat(*block, block_of(flat, rows, columns))
        sci[rows], err[rows], dq[rows] = block
    return Result(sci, err, dq)


def mean_of_good(dark: Image, dark_time: float, serious: int) -> float:
    """Return the mean of the scaled dark over its good pixels (MEANDARK)."""
    total, count = 0.0, 0
    for start in range(0, dark.sci.shape[0], 128):
        rows = slice(start, start + 128)
        good = (np.asarray(dark.dq[rows]) & serious) == 0
        total += float(np.asarray(dark.sci[rows]).astype(np.float64)[good].sum())
        count += int(good.sum())
    return total * dark_time / count if count else 0.0
