"""BLEVCORR of WFC3/UVIS and STIS: the fits to the overscan, in DN.

Source: hstcal, wf3ccd (doblev, blevfit, blevdrift) and calstis-1 (the files of the same names).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import dq as flags
from calibration.arrays.chip import F32, I16, Amp, Chip, f32
from calibration.arrays.overscan import LevelFit, line_medians

#: Sigmas of calwf3's two passes of one-sided clipping: of the values, then of the read noise.
CLIP_SPREAD, CLIP_NOISE = 3.5, 2.0
#: calstis: how far above the median a pixel of the virtual overscan may be (CCDTAB can say).
BLEV_CLIP = 50.0
_NEIGHBOURS = 10


def digitised(chip: Chip, rows: slice, columns: slice, *, overscan: bool) -> tuple[F32, F32, I16]:
    """Return raw DN, DN after ATODCORR, and flags of a part of the raw frame."""
    assert chip.counts is not None
    raw = f32(chip.raw, rows, columns) + np.float32(chip.zero)
    dq = np.array(chip.dq[rows, columns])
    if chip.a_to_d_limit is not None and not chip.counts.stis:
        dq |= (raw > np.float32(chip.a_to_d_limit)).astype(np.int16) * flags.A_TO_D_SATURATED
    limit = chip.counts.raw_limit
    if limit is not None and (overscan or chip.full_well is None):
        dq |= (raw > np.float32(limit)).astype(np.int16) * flags.FULL_WELL
    lookup = chip.counts.lookup
    if lookup is None:
        return raw, raw, dq
    index = raw.astype(np.int64)  # towards zero, as C converts
    beyond = index >= len(lookup)
    dq |= beyond.astype(np.int16) * flags.FULL_WELL
    values = np.where(index >= 0, lookup[np.clip(index, 0, len(lookup) - 1)], raw)
    return raw, values.astype(np.float32), dq


def measure(chip: Chip) -> None:
    """Fit every amplifier's bias level and drift; without overscan it is CCDTAB's level."""
    assert chip.counts is not None
    lines = slice(chip.trim_y, chip.trim_y + chip.shape[0])
    for amp in chip.amps:
        parts = [digitised(chip, lines, slice(*s), overscan=True) for s in amp.overscan]
        amp.fit = None
        if parts:
            values = np.concatenate([p[1] for p in parts], axis=1)
            good = (np.concatenate([p[2] for p in parts], axis=1) & chip.serious) == 0
            levels = line_medians(values, good)
            # calwf3 fits against the trimmed row and evaluates at the untrimmed one; calstis not.
            shift = chip.trim_y if chip.counts.stis else 0
            noise = None if chip.counts.stis else amp.read_noise / amp.gain
            amp.fit = _line(levels, len(levels) // 2, shift, noise)
        if amp.fit is None:
            amp.fit = LevelFit(amp.bias_level, 0.0, 0, 0)
        elif amp.virtual is not None:
            amp.drift = _drift(chip, amp)


def subtract(values: F32, amp: Amp, raw_rows: slice) -> F32:
    """Subtract level and drift from one block."""
    if amp.fit is None:
        return values
    level = amp.fit.at(np.arange(raw_rows.start, raw_rows.stop))[:, None]
    out = values.astype(np.float64) - level
    if amp.drift:
        out -= amp.drift * (np.arange(amp.raw_x.start, amp.raw_x.stop) - amp.drift_origin)
    return out.astype(np.float32)


def summary(chip: Chip) -> dict[str, float]:
    """Return the mean level of each amplifier, with the drift where hstcal takes it."""
    assert chip.counts is not None
    rows = np.arange(chip.trim_y, chip.trim_y + chip.shape[0])
    out = {}
    for amp in chip.amps:
        if amp.fit is None:
            continue
        width = amp.out_x.stop - amp.out_x.start
        middle: float = width // 2 + amp.raw_x.start if chip.counts.stis else width / 2
        drift = amp.drift * (middle - amp.drift_origin) if amp.drift else 0.0
        out[amp.name] = float(amp.fit.at(rows).mean() + drift)
    return out


def clip_high(values: NDArray[np.float64], noise: float) -> NDArray[np.bool_]:
    """Return which values survive calwf3's clipping; NaN never does.

    Both passes reject only what is too high: cosmic rays and bleeding. The spread (of the whole
    population) may not be larger than the square root of the mean.
    """
    keep = ~np.isnan(values)
    if not keep.any():
        return keep
    mean = float(values[keep].mean())
    spread = float(values[keep].std())
    if mean >= 0:
        spread = min(spread, math.sqrt(mean))
    keep &= ~(values > CLIP_SPREAD * spread + mean)
    if keep.any():
        keep &= ~(values > CLIP_NOISE * noise + float(values[keep].mean()))
    return keep


def _line(
    values: NDArray[np.float64], centre: int, shift: int, noise: float | None
) -> LevelFit | None:
    """Return the straight line through the values that are left; None when it is singular."""
    keep = ~np.isnan(values) if noise is None else clip_high(values, noise)
    if keep.sum() < 2:
        return None
    x = np.flatnonzero(keep).astype(np.float64) - centre
    y = values[keep]
    dx = x - x.mean()
    slope = float((dx * y).sum() / (dx * dx).sum())
    rejected = int((~np.isnan(values)).sum() - keep.sum())
    return LevelFit(float(y.mean() - slope * x.mean()), slope, centre + shift, rejected)


def _drift(chip: Chip, amp: Amp) -> float:
    """Return the slope along the line from the amplifier's virtual overscan."""
    assert chip.counts is not None
    assert amp.virtual is not None
    columns, rows = slice(*amp.virtual.columns), slice(*amp.virtual.rows)
    _, values, dq = digitised(chip, rows, columns, overscan=True)
    noise = None
    if chip.counts.stis:
        values = reject_high(values)
    else:
        noise = amp.read_noise / amp.gain
    medians = line_medians(values.T, ((dq & chip.serious) == 0).T)
    fit = _line(medians, 0, 0, noise)
    return fit.slope if fit is not None else 0.0


def reject_high(values: F32, clip: float = BLEV_CLIP) -> F32:
    """Return the virtual overscan with very high pixels replaced by their neighbours' median."""
    deviation = np.abs(values.astype(np.float64) - np.median(values))
    near = deviation[deviation <= 4.5 * np.median(deviation)]
    limit = np.median(values) + clip * math.sqrt(float((near * near).mean()))
    out = values.copy()
    last = values.shape[1] - 1
    for y, x in np.argwhere(values > limit):
        first = max(x - _NEIGHBOURS, 0)
        if first + 2 * _NEIGHBOURS > last:
            first = max(last - 2 * _NEIGHBOURS, 0)
        out[y, x] = np.median(out[y, first : first + 2 * _NEIGHBOURS + 1])
    return out
