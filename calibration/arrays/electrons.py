"""ACS up to ERR, one block of one amplifier: electrons from BIASCORR on."""

from __future__ import annotations

import numpy as np

from calibration.arrays.chip import F32, I16, ZERO, Amp, Chip
from calibration.arrays.levels import level_at, raw_values
from calibration.arrays.saturation import bias_error, flag_full_well


def acs_block(chip: Chip, amp: Amp, raw_rows: slice) -> tuple[F32, F32, I16]:
    """DQICORR, BIASCORR, gain, BLEVCORR, full well, ERR for one block: electrons."""
    sci, dq = raw_values(chip, amp, raw_rows, amp.raw_x)
    previous = bias_error(chip, amp, raw_rows) * np.float32(amp.gain)
    if chip.levelled is not None:
        sci = np.array(chip.levelled[raw_rows, amp.raw_x])
    elif chip.subtract_level:
        sci = (sci.astype(np.float64) - level_at(amp, raw_rows)).astype(np.float32)
    flag_full_well(chip, sci, dq, raw_rows, amp)
    noise = np.float32(amp.read_noise)
    err = np.sqrt(np.maximum(sci, ZERO) + noise * noise + previous * previous)
    return sci, err, dq
