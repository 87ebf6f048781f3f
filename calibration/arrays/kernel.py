"""The CCD kernel: raw rows in, calibrated rows out, float32 in blocks that stay in the cache.

The order of the float32 operations is calacs's, so that its results are met bit for bit.
References may be memory-mapped big-endian arrays: they are converted a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration.arrays.chip import BLOCK_ROWS, F32, I16, Amp, Chip, Result, block_of
from calibration.arrays.counts import dn_block, dn_rest, flag_sink_pixels
from calibration.arrays.counts_levels import measure, summary
from calibration.arrays.dark_flat import divide_flat, subtract_dark
from calibration.arrays.electrons import acs_block
from calibration.arrays.levels import level_summary, measure_levels

RELEASE_ROWS = 512


def calibrate(
    chip: Chip, *, keep_before: bool = False, after_rows: Callable[[], None] = lambda: None
) -> Result:
    """Calibrate one chip.

    Parameters
    ----------
    chip
        The exposure and its references. `chip.electrons` chooses the order of ACS (electrons
        from BIASCORR on) or of WFC3/UVIS and STIS (DN; WFC3's FLATCORR makes it electrons).
    keep_before
        Also return the state before dark and flat, which cosmic-ray rejection needs.
    after_rows
        Called now and then, so that the caller can release mapped pages of the references.
    """
    if chip.subtract_level:
        (measure_levels if chip.electrons else measure)(chip)
    if not chip.electrons:
        flag_sink_pixels(chip)
    ny, nx = chip.shape
    sci, err = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    dq = np.empty((ny, nx), np.int16)
    before: tuple[F32, F32, I16] | None = None
    if keep_before:
        before = (np.empty_like(sci), np.empty_like(err), np.empty_like(dq))
    first, rest = (acs_block, _acs_rest) if chip.electrons else (dn_block, dn_rest)
    for start in range(0, ny, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, ny))
        raw_rows = slice(rows.start + chip.trim_y, rows.stop + chip.trim_y)
        for amp in chip.amps:
            block = first(chip, amp, raw_rows)
            here = rows, amp.out_x
            if before is not None:
                for target, values in zip(before, block, strict=True):
                    target[here] = values
            sci[here], err[here], dq[here] = rest(chip, amp, rows, block)
        if rows.stop % RELEASE_ROWS == 0:
            after_rows()
    after_rows()
    return Result(sci, err, dq, before, levels=(level_summary if chip.electrons else summary)(chip))


def _acs_rest(
    chip: Chip, amp: Amp, rows: slice, block: tuple[F32, F32, I16]
) -> tuple[F32, F32, I16]:
    if chip.dark is not None:
        block = subtract_dark(*block, block_of(chip.dark, rows, amp.out_x), chip.dark_time)
    if chip.flat is not None:
        block = divide_flat(*block, block_of(chip.flat, rows, amp.out_x))
    return block
