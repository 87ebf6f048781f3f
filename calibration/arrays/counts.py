"""WFC3/UVIS and STIS up to full well, one block of one amplifier: DN."""

from __future__ import annotations

import numpy as np

from calibration.arrays.chip import F32, I16, ZERO, Amp, Chip, f32
from calibration.arrays.levels import level_at, raw_values
from calibration.arrays.saturation import bias_error, flag_full_well


def dn_block(chip: Chip, amp: Amp, raw_rows: slice) -> tuple[F32, F32, I16]:
    """ERR, DQICORR, BLEVCORR, BIASCORR, full well for one block: DN (WFC3/UVIS, STIS)."""
    sci, dq = raw_values(chip, amp, raw_rows, amp.raw_x)
    gain = np.float32(amp.gain)
    noise = np.float32(amp.read_noise) / gain
    level = amp.fit.intercept if amp.fit is not None else amp.bias_level
    signal = np.maximum(sci - np.float32(level), ZERO)
    err = np.sqrt(signal / gain + noise * noise)
    if chip.subtract_level:
        sci = (sci.astype(np.float64) - level_at(amp, raw_rows)).astype(np.float32)
    if chip.bias is not None:
        sci -= f32(chip.bias.sci, raw_rows, amp.raw_x)
        previous = bias_error(chip, amp, raw_rows)
        err = np.sqrt(err * err + previous * previous)
        dq |= np.asarray(chip.bias.dq[raw_rows, amp.raw_x]).astype(np.int16)
    flag_full_well(chip, sci * gain, dq, raw_rows, amp)
    return sci, err, dq
