"""ACS up to ERR, whole rows of a chip at a time: electrons from BIASCORR on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays import dq as flags
from calibration.arrays.block import Block
from calibration.arrays.chip import F32, Amp, Chip
from calibration.arrays.levels import level_at


@dataclass(frozen=True)
class Band:
    """Rows of a chip that the same amplifiers read, from left to right.

    Gain and squared read noise are of a block's shape, so that a block needs no loop over
    amplifiers and no broadcasting, which costs a third more; `columns` are the science columns of
    the raw frame.
    """

    amps: Sequence[Amp]
    columns: slice
    gain: F32
    noise: F32

    @classmethod
    def of(cls, amps: Sequence[Amp], height: int, width: int) -> Band:
        """Return the band of these amplifiers, for blocks of up to `height` rows."""
        gain, noise = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
        for amp in amps:
            gain[:, amp.out_x] = amp.gain
            noise[:, amp.out_x] = amp.read_noise
        return cls(amps, slice(amps[0].raw_x.start, amps[-1].raw_x.stop), gain, noise * noise)


def acs_block(chip: Chip, band: Band, raw_rows: slice, block: Block) -> None:
    """DQICORR, BIASCORR, gain, BLEVCORR, full well, ERR for one block: electrons."""
    here = raw_rows, band.columns
    _electrons(chip, band, here, block)
    if chip.levelled is not None:
        np.copyto(block.sci, chip.levelled[here])
    elif chip.subtract_level:
        # calacs subtracts in double and stores single
        double = block.scratch.double(block.sci.shape)
        np.copyto(double, block.sci)
        for amp in band.amps:
            double[:, amp.out_x] -= level_at(amp, raw_rows)
        np.copyto(block.sci, double, casting="same_kind")
    _full_well(chip, here, block)
    _errors(chip, band, here, block)


def _electrons(chip: Chip, band: Band, here: tuple[slice, slice], block: Block) -> None:
    sci, scratch = block.sci, block.scratch
    np.copyto(block.dq, chip.dq[here])
    raw = chip.raw[here]
    np.copyto(sci, raw, casting="unsafe")
    if chip.zero:
        sci += np.float32(chip.zero)
    # The largest of the stored numbers is known sooner than which pixels are above the limit.
    if chip.a_to_d_limit is not None and raw.max() + chip.zero >= chip.a_to_d_limit:
        limit = np.float32(chip.a_to_d_limit)
        full = np.greater_equal(sci, limit, out=scratch.mask(sci.shape))
        block.flag(full, flags.A_TO_D_SATURATED)
    if chip.bias is not None:
        sci -= scratch.native(chip.bias.sci[here], 0)
        block.flags(chip.bias.dq[here])
    sci *= band.gain[: len(sci)]


def _full_well(chip: Chip, here: tuple[slice, slice], block: Block) -> None:
    if chip.full_well is not None:
        limit: F32 | np.float32 = block.scratch.native(chip.full_well[here], 0)
    elif chip.full_well_level is not None:
        limit = np.float32(chip.full_well_level)
    else:
        return
    above = np.greater(block.sci, limit, out=block.scratch.mask(block.sci.shape))
    block.flag(above, flags.FULL_WELL)


def _errors(chip: Chip, band: Band, here: tuple[slice, slice], block: Block) -> None:
    err = block.err
    noise, gain = band.noise[: len(err)], band.gain[: len(err)]
    if chip.only_read_noise:
        np.sqrt(noise, out=err)
        return
    np.maximum(block.sci, block.scratch.zeros(err.shape), out=err)
    err += noise
    earlier = _earlier_errors(chip, here, block)
    if earlier is not None:
        share = block.scratch.single(0, err.shape)
        np.multiply(earlier, gain, out=share)  # its sign goes with the square
        share *= share
        err += share
    np.sqrt(err, out=err)


def _earlier_errors(chip: Chip, here: tuple[slice, slice], block: Block) -> F32 | None:
    """Return the errors (DN) before ERR is made: of the bias, of the raw file, of both."""
    bias = None if chip.bias is None else block.scratch.native(chip.bias.err[here], 0)
    if chip.err is None:
        return bias
    raw = np.array(chip.err[here], dtype=np.float32)
    return raw if bias is None else np.sqrt(raw * raw + bias * bias)
