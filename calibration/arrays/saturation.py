"""Full-well flags and the bias's errors, which every instrument's order has."""

from __future__ import annotations

import numpy as np

from calibration.arrays import dq as flags
from calibration.arrays.chip import F32, I16, ZERO, Amp, Chip, f32


def bias_error(chip: Chip, amp: Amp, raw_rows: slice) -> F32 | np.float32:
    """Return the absolute errors of the bias, DN; zero without a bias."""
    if chip.bias is None:
        return ZERO
    return np.abs(f32(chip.bias.err, raw_rows, amp.raw_x))


def flag_full_well(chip: Chip, electrons: F32, dq: I16, raw_rows: slice, amp: Amp) -> None:
    """OR the full-well flag where a pixel is above its limit (strictly), in place."""
    if chip.full_well is not None:
        limit: F32 | np.float32 = f32(chip.full_well, raw_rows, amp.raw_x)
    elif chip.full_well_level is not None:
        limit = np.float32(chip.full_well_level)
    else:
        return
    dq |= (electrons > limit).astype(np.int16) * flags.FULL_WELL
