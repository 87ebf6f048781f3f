"""The CCD kernel: raw rows in, calibrated rows out, float32 in blocks that stay in the cache.

The order of the float32 operations is calacs's, so that its results are met bit for bit.
References may be memory-mapped big-endian arrays: they are converted a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from calibration.arrays.block import Block, Scratch
from calibration.arrays.chip import BLOCK_PIXELS, BLOCK_ROWS, F32, I16, Chip, Result
from calibration.arrays.counts import dn_block, dn_rest, flag_sink_pixels
from calibration.arrays.counts_levels import measure, summary
from calibration.arrays.dark_flat import Corrections
from calibration.arrays.electrons import Band, acs_block
from calibration.arrays.levels import level_summary, measure_levels

Arrays = tuple[F32, F32, I16]

RELEASE_ROWS = 128


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
    if chip.electrons:
        if chip.subtract_level and chip.levelled is None:
            measure_levels(chip)
    else:
        if chip.subtract_level:
            measure(chip)
        flag_sink_pixels(chip)
    ny, nx = chip.shape
    out = _empty(ny, nx)
    before = _empty(ny, nx) if keep_before else None
    rows_of = _acs_rows if chip.electrons else _dn_rows
    released = 0
    for rows in rows_of(chip, out, before):
        if rows.stop - released >= RELEASE_ROWS:
            released = rows.stop
            after_rows()
    after_rows()
    return Result(*out, before, levels=(level_summary if chip.electrons else summary)(chip))


def _empty(ny: int, nx: int) -> Arrays:
    shape = (ny, nx)
    return np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int16)


def _acs_rows(chip: Chip, out: Arrays, before: Arrays | None) -> Iterator[slice]:
    """Work on whole rows where the product will stay; yield which are done."""
    ny, nx = chip.shape
    height = max(1, BLOCK_PIXELS // nx)
    scratch = Scratch(height, nx)
    band = Band.of(chip.amps, height, nx)
    corrections = Corrections(chip.dark, chip.dark_time, chip.flat, chip.flash, chip.flash_time)
    for start in range(0, ny, height):
        rows = slice(start, min(start + height, ny))
        block = Block(out[0][rows], out[1][rows], out[2][rows], scratch)
        acs_block(chip, band, slice(rows.start + chip.trim_y, rows.stop + chip.trim_y), block)
        if before is not None:
            for target, array in zip(before, out, strict=True):
                target[rows] = array[rows]
        if chip.sinks is not None:
            chip.sinks.measure(block.sci, rows)
        corrections.apply(block, rows)
        yield rows
    if chip.sinks is not None:
        chip.sinks.flag(out[2], *([before[2]] if before else []))


def _dn_rows(chip: Chip, out: Arrays, before: Arrays | None) -> Iterator[slice]:
    """Work on one amplifier's part of some rows after the other; yield which are done."""
    for start in range(0, chip.shape[0], BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, chip.shape[0]))
        raw_rows = slice(rows.start + chip.trim_y, rows.stop + chip.trim_y)
        for amp in chip.amps:
            block = dn_block(chip, amp, raw_rows)
            if before is not None:
                for target, values in zip(before, block, strict=True):
                    target[rows, amp.out_x] = values
            for target, values in zip(out, dn_rest(chip, amp, rows, block), strict=True):
                target[rows, amp.out_x] = values
        yield rows
