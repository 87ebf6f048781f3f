"""WFC3/UVIS and STIS, one block of one amplifier: DN.

The order of float32 operations is that of hstcal's wf3ccd and wf32d, and of calstis-1.
"""

from __future__ import annotations

import numpy as np

from calibration.arrays.chip import (
    BLOCK_ROWS,
    F32,
    I16,
    ZERO,
    Amp,
    Array,
    Chip,
    Image,
    Result,
    block_of,
    f32,
)
from calibration.arrays.counts_levels import digitised, subtract
from calibration.arrays.dark_flat import divide_flat, subtract_dark
from calibration.arrays.dq import FULL_WELL
from calibration.arrays.sink import flag_sinks

Block = tuple[F32, F32, I16]


def dn_block(chip: Chip, amp: Amp, raw_rows: slice) -> Block:
    """Everything up to the trimmed, bias-subtracted frame (``_blv_tmp``) for one block: DN.

    WFC3: ERR, DQICORR, ATODCORR, BLEVCORR, BIASCORR, full well, FLSHCORR (SINK is in `chip.dq`).
    STIS: DQICORR, ATODCORR, BLEVCORR, ERR, BIASCORR.
    """
    assert chip.counts is not None
    raw, sci, dq = digitised(chip, raw_rows, amp.raw_x, overscan=False)
    if chip.subtract_level:
        sci = subtract(sci, amp, raw_rows)
    if chip.counts.stis:
        err = poisson(sci, ZERO if chip.subtract_level else np.float32(amp.bias_level), amp)
        rows = slice(raw_rows.start - chip.trim_y, raw_rows.stop - chip.trim_y)
        return _minus(chip.bias, (sci, err, dq), rows, amp.out_x)
    err = poisson(raw, np.float32(amp.bias_level), amp)
    block = _minus(chip.bias, (sci, err, dq), raw_rows, amp.raw_x)
    if chip.full_well is not None and chip.bias is not None and chip.subtract_level:
        limit = np.asarray(chip.full_well[raw_rows, amp.raw_x]).astype(np.float32)
        full = block[0] > limit / np.float32(chip.counts.gain)
        block = (block[0], block[1], block[2] | full.astype(np.int16) * np.int16(FULL_WELL))
    if chip.counts.flash is not None:
        part = block_of(chip.counts.flash, raw_rows, amp.raw_x)
        block = subtract_dark(*block, part, chip.counts.flash_time / amp.gain)
    return block


def dn_rest(chip: Chip, amp: Amp, rows: slice, block: Block) -> Block:
    """DARKCORR, FLATCORR and SHADCORR for one block; with a flat, WFC3's unit becomes electrons."""
    counts = chip.counts
    assert counts is not None
    columns = amp.out_x
    if chip.dark is not None:
        scale = counts.dark_factor * chip.dark_time / amp.gain
        block = subtract_dark(*block, block_of(chip.dark, rows, columns), scale)
    flats = [f for f in (chip.flat, *counts.flats) if f is not None]
    parts = [block_of(flat, rows, columns) for flat in flats]
    if counts.stis and parts:
        parts = [product_of_flats(parts)]
    gain = 1.0 if counts.stis else counts.gain
    for number, part in enumerate(parts):
        if number == 0 and gain != 1.0:
            factor = np.float32(1) / np.float32(gain)
            block = divide_flat(*block, (part[0] * factor, part[1] * factor, part[2]))
        else:
            block = divide_flat(*block, part)
    if counts.shading is not None and counts.shutter_time > 0:
        sci, err, dq = block_of(counts.shading, rows, columns)
        factor = np.float32(1 / counts.shutter_time)
        block = divide_flat(*block, (sci * factor + np.float32(1), err * factor, dq))
    return block


def finish(image: Block, chip: Chip) -> Result:
    """Apply DARKCORR, FLATCORR and SHADCORR to a trimmed image in DN (a combined ``_crj``)."""
    sci, err, dq = (np.array(part) for part in image)
    for start in range(0, chip.shape[0], BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, chip.shape[0]))
        for amp in chip.amps:
            here = rows, amp.out_x
            block = sci[here], err[here], dq[here]
            sci[here], err[here], dq[here] = dn_rest(chip, amp, rows, block)
    return Result(sci, err, dq)


def flag_sink_pixels(chip: Chip) -> int:
    """SINK: flag the chip's sink pixels in `chip.dq`; return their number.

    After the levels are measured, because the flags must not touch the overscan.
    """
    counts = chip.counts
    if counts is None or counts.sink is None:
        return 0

    def values_at(y: Array, x: Array) -> Array:
        """Return DN after BLEVCORR and BIASCORR; zero outside the science area."""
        out = np.zeros(len(y), np.float32)
        for amp in chip.amps:
            mine = (x >= amp.raw_x.start) & (x < amp.raw_x.stop)
            for row in np.unique(y[mine]):
                at, rows = mine & (y == row), slice(int(row), int(row) + 1)
                _, line, _ = digitised(chip, rows, amp.raw_x, overscan=False)
                if chip.subtract_level:
                    line = subtract(line, amp, rows)
                if chip.bias is not None:
                    line = line - f32(chip.bias.sci, rows, amp.raw_x)
                out[at] = line[0, x[at] - amp.raw_x.start]
        return out

    return flag_sinks(chip.dq, counts.sink, counts.start, values_at, down=counts.down)


def poisson(values: F32, bias: np.float32, amp: Amp) -> F32:
    """Return ERR (DN) of counts: sqrt(max((S - bias) g, 0) + RN**2) / g."""
    gain, noise = np.float32(amp.gain), np.float32(amp.read_noise)
    electrons = np.maximum((values - bias) * gain, ZERO)
    root = np.sqrt(electrons + noise * noise, dtype=np.float64)
    return np.asarray(root / gain).astype(np.float32)


def product_of_flats(parts: list[Block]) -> Block:
    """Return the product of flats with its error, as calstis combines them before dividing."""
    sci, err, dq = parts[0]
    for other in parts[1:]:
        a, b = err * other[0], other[1] * sci
        sci, err, dq = sci * other[0], np.sqrt(a * a + b * b), dq | other[2]
    return sci, err, dq


def _minus(bias: Image | None, block: Block, rows: slice, columns: slice) -> Block:
    if bias is None:
        return block
    return subtract_dark(*block, block_of(bias, rows, columns), 1.0)
