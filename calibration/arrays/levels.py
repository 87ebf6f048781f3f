"""Bias levels of a chip's amplifiers from its overscan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import dq as flags
from calibration.arrays.chip import F32, I16, Amp, Chip, f32
from calibration.arrays.overscan import LevelFit, NoOverscan, drift_slope, fit_level, line_medians


def raw_values(chip: Chip, amp: Amp, rows: slice, columns: slice) -> tuple[F32, I16]:
    """Return values on the way to BLEVCORR (bias-subtracted electrons for ACS) and their flags."""
    counts = f32(chip.raw, rows, columns) + np.float32(chip.zero)
    dq = np.array(chip.dq[rows, columns])
    if chip.a_to_d_limit is not None:
        dq |= (counts >= np.float32(chip.a_to_d_limit)).astype(np.int16) * flags.A_TO_D_SATURATED
    if chip.bias is not None and chip.electrons:
        counts -= f32(chip.bias.sci, rows, columns)
        dq |= np.asarray(chip.bias.dq[rows, columns]).astype(np.int16)
    if chip.electrons:
        counts *= np.float32(amp.gain)
    return counts, dq


def readout_columns(chip: Chip) -> list[tuple[Amp, slice]]:
    """Return which columns of the whole raw frame each amplifier read, overscan included."""
    starts = [0, *(amp.raw_x.start for amp in chip.amps[1:])]
    ends = [*starts[1:], chip.raw.shape[1]]
    return [(amp, slice(*pair)) for amp, *pair in zip(chip.amps, starts, ends, strict=True)]


def measure_levels(chip: Chip) -> None:
    """Fit every amplifier's bias level (and drift along the line) from the overscan."""
    lines = slice(chip.trim_y, chip.trim_y + chip.shape[0])
    origin = chip.trim_y if chip.corrected else None
    drift = _drift(chip)
    for amp in chip.amps:
        if chip.virtual is not None:
            amp.drift = drift
        if not amp.overscan:
            amp.fit = LevelFit.default(amp.default_level)
            continue
        parts = [
            raw_values(chip, _reader(chip, amp, section), lines, slice(*section))
            for section in amp.overscan
        ]
        values = np.concatenate([p[0] for p in parts], axis=1)
        good = (np.concatenate([p[1] for p in parts], axis=1) & chip.serious) == 0
        noise = amp.read_noise if chip.electrons else amp.read_noise / amp.gain
        try:
            amp.fit = fit_level(line_medians(values, good), noise, origin)
        except NoOverscan:
            amp.fit = LevelFit.default(amp.default_level)


def _reader(chip: Chip, amp: Amp, section: tuple[int, int]) -> Amp:
    """Return the amplifier whose gain a section has; `amp` unless it lies in another's columns."""
    inside = (a for a, own in readout_columns(chip) if own.start <= section[0] < own.stop)
    return next(inside, amp)


def _drift(chip: Chip) -> float:
    """Return the slope along the line; the virtual overscan of all amplifiers gives one slope."""
    if chip.virtual is None:
        return 0.0
    rows, (first, end) = slice(*chip.virtual.rows), chip.virtual.columns
    values, dqs = [], []
    for amp, own in readout_columns(chip):
        columns = slice(max(first, own.start), min(end, own.stop))
        if columns.start < columns.stop:
            part, dq = raw_values(chip, amp, rows, columns)
            values.append(part)
            dqs.append(dq)
    good = (np.concatenate(dqs, axis=1) & chip.serious) == 0
    return drift_slope(np.concatenate(values, axis=1), good, range(first, end))


def level_at(amp: Amp, raw_rows: slice) -> NDArray[np.float64]:
    """Return what BLEVCORR subtracts from these rows of this amplifier (broadcasts)."""
    if amp.fit is None:
        return np.zeros((1, 1))
    level = amp.fit.at(np.arange(raw_rows.start, raw_rows.stop))[:, None]
    if amp.drift:
        columns = np.arange(amp.raw_x.start, amp.raw_x.stop)
        level = level + amp.drift * (columns - amp.drift_origin)[None, :]
    return level


def level_summary(chip: Chip) -> dict[str, float]:
    """Return the mean bias level of each amplifier, drift at the middle column included."""
    rows = np.arange(chip.trim_y, chip.trim_y + chip.shape[0])
    out = {}
    for amp in chip.amps:
        if amp.fit is not None:
            middle = (amp.raw_x.stop - amp.raw_x.start) / 2 - amp.drift_origin
            out[amp.name] = float(amp.fit.at(rows).mean() + amp.drift * middle)
    return out
