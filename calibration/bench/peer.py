"""The same calibration by ccdproc, as its documentation does it.

Two things differ in form, not in effect, both to ccdproc's advantage: the bias is subtracted in
electrons from the trimmed frame (it is brought into that form before the clock starts), and flags
are a mask of one bit. The deviation is made after the bias level is gone and before the bias's own
errors come in: made from raw counts it would count the bias level as light, and made after
`subtract_bias` it would throw the bias's errors away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ccdproc
import numpy as np
from astropy import units
from astropy.modeling.models import Polynomial1D
from astropy.nddata import CCDData, StdDevUncertainty

from calibration.arrays.chip import Amp, Chip, Image

Array = Any


def _data(image: Image, rows: slice, columns: slice, unit: Any, factor: float = 1.0) -> CCDData:
    part = (rows, columns)
    scale = np.float32(factor)
    return CCDData(
        np.ascontiguousarray(image.sci[part]) * scale,
        uncertainty=StdDevUncertainty(np.ascontiguousarray(image.err[part]) * scale),
        mask=np.ascontiguousarray(image.dq[part]) != 0,
        unit=unit,
    )


def _prepare(chip: Chip, amp: Amp) -> Callable[[], CCDData]:
    """Load one amplifier's part; return the work that is timed."""
    if chip.bias is None or chip.dark is None or chip.flat is None:
        raise ValueError("the bench needs bias, dark and flat")
    lines = slice(chip.trim_y, chip.trim_y + chip.shape[0])
    everything = slice(0, chip.shape[0])
    electron = units.electron
    first = min(amp.raw_x.start, amp.overscan[0][0])
    stop = max(amp.raw_x.stop, amp.overscan[0][1])
    strip = slice(amp.overscan[0][0] - first, amp.overscan[0][1] - first)
    light = slice(amp.raw_x.start - first, amp.raw_x.stop - first)
    stored = np.asarray(chip.raw[lines, first:stop])
    raw = CCDData(
        # as astropy gives 16-bit counts with BZERO
        (stored.astype(np.float32) + np.float32(chip.zero)),
        mask=chip.dq[lines, first:stop] != 0,
        unit=units.adu,
    )
    bias = _data(chip.bias, lines, amp.raw_x, electron, amp.gain)
    dark = _data(chip.dark, everything, amp.out_x, electron)
    flat = _data(chip.flat, everything, amp.out_x, units.dimensionless_unscaled)
    gain, noise = amp.gain * electron / units.adu, amp.read_noise * electron
    once, exposure = 1 * units.s, chip.dark_time * units.s

    def turn() -> CCDData:
        ccd = ccdproc.subtract_overscan(
            raw, overscan=raw[:, strip], overscan_axis=1, median=True, model=Polynomial1D(1)
        )
        ccd = ccdproc.trim_image(ccd[:, light])
        ccd = ccdproc.gain_correct(ccd, gain)
        ccd = ccdproc.create_deviation(ccd, readnoise=noise, disregard_nan=True)
        ccd = ccdproc.subtract_bias(ccd, bias)
        ccd = ccdproc.subtract_dark(
            ccd, dark, dark_exposure=once, data_exposure=exposure, scale=True
        )
        return ccdproc.flat_correct(ccd, flat, norm_value=1.0)

    return turn


def by_ccdproc(chips: Sequence[Chip]) -> Callable[[], list[tuple[Array, Array, Array]]]:
    """Return the work of ccdproc: every amplifier of every chip, put together again."""
    parts = [[_prepare(chip, amp) for amp in chip.amps] for chip in chips]
    for chip in chips:  # it has its own copies now
        chip.bias = chip.dark = chip.flat = None

    def turn() -> list[tuple[Array, Array, Array]]:
        out = []
        for prepared in parts:
            done = [part() for part in prepared]
            joined = (
                np.hstack([d.data for d in done]),
                np.hstack([d.uncertainty.array for d in done]),
                np.hstack([d.mask for d in done]),
            )
            out.append(joined)
        return out

    return turn
