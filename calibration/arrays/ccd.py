"""The CCD kernel: raw rows in, calibrated rows out, float32 in blocks that stay in the cache.

The order of the float32 operations is calacs's, so that its results are met bit for bit.
References may be memory-mapped big-endian arrays: they are converted a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import dq as flags
from calibration.arrays.overscan import LevelFit, drift_slope, fit_level, line_medians

# numpy's stubs lose the width of a float in arithmetic, so these names are for the reader.
F32 = NDArray[Any]
I16 = NDArray[Any]
Array = NDArray[Any]

BLOCK_ROWS = 16
RELEASE_ROWS = 512
_ZERO = np.float32(0)


@dataclass(frozen=True)
class Image:
    """SCI, ERR and DQ of a reference; arrays of any number type and byte order."""

    sci: Array
    err: Array
    dq: Array


@dataclass
class Amp:
    """One amplifier's part of a chip: where it is in the raw frame and in the product.

    Parameters
    ----------
    name
        A, B, C or D.
    gain, read_noise, bias_level
        e-/DN, e-, DN.
    raw_x, out_x
        Science columns in the raw frame and in the trimmed one.
    overscan
        Column ranges (first, last + 1) of the raw frame that give the bias level.
    """

    name: str
    gain: float
    read_noise: float
    bias_level: float
    raw_x: slice
    out_x: slice
    overscan: tuple[tuple[int, int], ...]
    fit: LevelFit | None = None
    drift: float = 0.0

    @property
    def drift_origin(self) -> float:
        """Column at which the drift along the line is zero: the middle of the near section."""
        first, end = self.overscan[0]
        return (first + end - 1) / 2


@dataclass(frozen=True)
class Virtual:
    """Virtual overscan for the drift along the lines: 0-based column and row ranges."""

    columns: tuple[int, int]
    rows: tuple[int, int]


@dataclass
class Chip:
    """One chip's exposure with everything that its calibration needs.

    `raw` holds the stored integers; `zero` is what to add to them. `dq` is the whole untrimmed
    frame with the raw file's flags and the bad-pixel table's. A reference that is None is not
    applied.
    """

    raw: Array
    zero: float
    dq: I16
    amps: Sequence[Amp]
    trim_y: int
    shape: tuple[int, int]
    serious: int
    a_to_d_limit: float | None = None
    bias: Image | None = None
    dark: Image | None = None
    dark_time: float = 0.0
    flat: Image | None = None
    full_well: Array | None = None
    full_well_level: float | None = None
    subtract_level: bool = True
    electrons: bool = True
    virtual: Virtual | None = None


@dataclass
class Result:
    """Calibrated arrays, and the state before dark and flat when it was asked for."""

    sci: F32
    err: F32
    dq: I16
    before: tuple[F32, F32, I16] | None = None
    mean_dark: float = 0.0
    levels: dict[str, float] = field(default_factory=dict)


def _f32(array: Array, rows: slice, columns: slice) -> F32:
    return np.asarray(array[rows, columns]).astype(np.float32)


def _raw_values(chip: Chip, amp: Amp, rows: slice, columns: slice) -> tuple[F32, I16]:
    """Return values on the way to BLEVCORR (bias-subtracted electrons for ACS) and their flags."""
    counts = _f32(chip.raw, rows, columns) + np.float32(chip.zero)
    dq = np.array(chip.dq[rows, columns])
    if chip.a_to_d_limit is not None:
        dq |= (counts >= np.float32(chip.a_to_d_limit)).astype(np.int16) * flags.A_TO_D_SATURATED
    if chip.bias is not None and chip.electrons:
        counts -= _f32(chip.bias.sci, rows, columns)
        dq |= np.asarray(chip.bias.dq[rows, columns]).astype(np.int16)
    if chip.electrons:
        counts *= np.float32(amp.gain)
    return counts, dq


def measure_levels(chip: Chip) -> None:
    """Fit every amplifier's bias level (and drift along the line) from the overscan."""
    lines = slice(chip.trim_y, chip.trim_y + chip.shape[0])
    for amp in chip.amps:
        parts = [_raw_values(chip, amp, lines, slice(*section)) for section in amp.overscan]
        values = np.concatenate([p[0] for p in parts], axis=1)
        good = (np.concatenate([p[1] for p in parts], axis=1) & chip.serious) == 0
        noise = amp.read_noise if chip.electrons else amp.read_noise / amp.gain
        amp.fit = fit_level(line_medians(values, good), noise)
        if chip.virtual is not None:
            columns = slice(*chip.virtual.columns)
            values, dq = _raw_values(chip, amp, slice(*chip.virtual.rows), columns)
            good = (dq & chip.serious) == 0
            amp.drift = drift_slope(values, good, range(*chip.virtual.columns))


def _level(amp: Amp, raw_rows: slice) -> NDArray[np.float64]:
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
            middle = chip.raw.shape[1] / 2 - amp.drift_origin
            out[amp.name] = float(amp.fit.at(rows).mean() + amp.drift * middle)
    return out


def _bias_error(chip: Chip, amp: Amp, raw_rows: slice) -> F32 | np.float32:
    if chip.bias is None:
        return _ZERO
    return np.abs(_f32(chip.bias.err, raw_rows, amp.raw_x))


def _acs_block(chip: Chip, amp: Amp, raw_rows: slice) -> tuple[F32, F32, I16]:
    """DQICORR, BIASCORR, gain, BLEVCORR, full well, ERR for one block: electrons."""
    sci, dq = _raw_values(chip, amp, raw_rows, amp.raw_x)
    previous = _bias_error(chip, amp, raw_rows) * np.float32(amp.gain)
    if chip.subtract_level:
        sci = (sci.astype(np.float64) - _level(amp, raw_rows)).astype(np.float32)
    _flag_full_well(chip, sci, dq, raw_rows, amp)
    noise = np.float32(amp.read_noise)
    err = np.sqrt(np.maximum(sci, _ZERO) + noise * noise + previous * previous)
    return sci, err, dq


def _dn_block(chip: Chip, amp: Amp, raw_rows: slice) -> tuple[F32, F32, I16]:
    """ERR, DQICORR, BLEVCORR, BIASCORR, full well for one block: DN (WFC3/UVIS, STIS)."""
    sci, dq = _raw_values(chip, amp, raw_rows, amp.raw_x)
    gain = np.float32(amp.gain)
    noise = np.float32(amp.read_noise) / gain
    level = amp.fit.intercept if amp.fit is not None else amp.bias_level
    signal = np.maximum(sci - np.float32(level), _ZERO)
    err = np.sqrt(signal / gain + noise * noise)
    if chip.subtract_level:
        sci = (sci.astype(np.float64) - _level(amp, raw_rows)).astype(np.float32)
    if chip.bias is not None:
        sci -= _f32(chip.bias.sci, raw_rows, amp.raw_x)
        previous = _bias_error(chip, amp, raw_rows)
        err = np.sqrt(err * err + previous * previous)
        dq |= np.asarray(chip.bias.dq[raw_rows, amp.raw_x]).astype(np.int16)
    _flag_full_well(chip, sci * gain, dq, raw_rows, amp)
    return sci, err, dq


def _flag_full_well(chip: Chip, electrons: F32, dq: I16, raw_rows: slice, amp: Amp) -> None:
    if chip.full_well is not None:
        limit: F32 | np.float32 = _f32(chip.full_well, raw_rows, amp.raw_x)
    elif chip.full_well_level is not None:
        limit = np.float32(chip.full_well_level)
    else:
        return
    dq |= (electrons > limit).astype(np.int16) * flags.FULL_WELL


def subtract_dark(
    sci: F32, err: F32, dq: I16, dark: tuple[F32, F32, I16], scale: float
) -> tuple[F32, F32, I16]:
    """DARKCORR of one block: `scale` is DARKTIME, over the mean gain where the unit is DN."""
    factor = np.float32(scale)
    dark_err = dark[1] * factor
    return sci - dark[0] * factor, np.sqrt(err * err + dark_err * dark_err), dq | dark[2]


def divide_flat(sci: F32, err: F32, dq: I16, flat: tuple[F32, F32, I16]) -> tuple[F32, F32, I16]:
    """FLATCORR of one block; a zero in the flat flags the pixel and leaves it as it is."""
    dead = flat[0] == 0
    divisor = np.where(dead, np.float32(1), flat[0])
    own = err / divisor
    from_flat = flat[1] * sci / divisor / divisor
    out_err = np.where(dead, err, np.sqrt(own * own + from_flat * from_flat))
    out_dq = dq | flat[2] | dead.astype(np.int16) * np.int16(flags.REFERENCE_DEFECT)
    return sci / divisor, out_err, out_dq


def _block(image: Image, rows: slice, columns: slice) -> tuple[F32, F32, I16]:
    return (
        _f32(image.sci, rows, columns),
        _f32(image.err, rows, columns),
        np.asarray(image.dq[rows, columns]).astype(np.int16),
    )


def calibrate(
    chip: Chip, *, keep_before: bool = False, after_rows: Callable[[], None] = lambda: None
) -> Result:
    """Calibrate one chip.

    Parameters
    ----------
    chip
        The exposure and its references. `chip.electrons` chooses the order of ACS (electrons
        from BIASCORR on) or of WFC3/UVIS and STIS (DN; the caller multiplies by the mean gain).
    keep_before
        Also return the state before dark and flat, which cosmic-ray rejection needs.
    after_rows
        Called now and then, so that the caller can release mapped pages of the references.
    """
    if chip.subtract_level:
        measure_levels(chip)
    ny, nx = chip.shape
    sci, err = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    dq = np.empty((ny, nx), np.int16)
    before: tuple[F32, F32, I16] | None = None
    if keep_before:
        before = (np.empty_like(sci), np.empty_like(err), np.empty_like(dq))
    first = _acs_block if chip.electrons else _dn_block
    for start in range(0, ny, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, ny))
        raw_rows = slice(rows.start + chip.trim_y, rows.stop + chip.trim_y)
        for amp in chip.amps:
            block = first(chip, amp, raw_rows)
            here = rows, amp.out_x
            if before is not None:
                for target, values in zip(before, block, strict=True):
                    target[here] = values
            sci[here], err[here], dq[here] = _second_half(chip, rows, amp.out_x, block)
        if rows.stop % RELEASE_ROWS == 0:
            after_rows()
    after_rows()
    return Result(sci, err, dq, before, levels=level_summary(chip))


def _second_half(
    chip: Chip, rows: slice, columns: slice, block: tuple[F32, F32, I16]
) -> tuple[F32, F32, I16]:
    if chip.dark is not None:
        scale = chip.dark_time
        if not chip.electrons:
            scale /= mean_gain(chip)
        block = subtract_dark(*block, _block(chip.dark, rows, columns), scale)
    if chip.flat is not None:
        block = divide_flat(*block, _block(chip.flat, rows, columns))
    return block


def mean_gain(chip: Chip) -> float:
    """Return the mean gain of the chip's amplifiers."""
    return sum(amp.gain for amp in chip.amps) / len(chip.amps)


def dark_and_flat(
    image: tuple[F32, F32, I16], dark: Image | None, dark_time: float, flat: Image | None
) -> Result:
    """Apply DARKCORR and FLATCORR to a trimmed image in electrons (a combined `_crj`)."""
    sci, err, dq = (np.array(part) for part in image)
    columns = slice(0, sci.shape[1])
    for start in range(0, sci.shape[0], BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, sci.shape[0]))
        block: tuple[Any, Any, Any] = (sci[rows], err[rows], dq[rows])
        if dark is not None:
            block = subtract_dark(*block, _block(dark, rows, columns), dark_time)
        if flat is not None:
            block = divide_flat(*block, _block(flat, rows, columns))
        sci[rows], err[rows], dq[rows] = block
    return Result(sci, err, dq)


def mean_of_good(dark: Image, dark_time: float, serious: int) -> float:
    """Return the mean of the scaled dark over its good pixels (MEANDARK)."""
    total, count = 0.0, 0
    for start in range(0, dark.sci.shape[0], 128):
        rows = slice(start, start + 128)
        good = (np.asarray(dark.dq[rows]) & serious) == 0
        total += float(np.asarray(dark.sci[rows]).astype(np.float64)[good].sum())
        count += int(good.sum())
    return total * dark_time / count if count else 0.0


def statistics(sci: F32, err: F32 | None, good: NDArray[np.bool_]) -> dict[str, float]:
    """Return the header's statistics of good pixels: GOODMIN and so on, SNR included."""
    values = sci[good]
    if not values.size:
        return {"NGOODPIX": 0}
    out = {
        "NGOODPIX": int(values.size),
        "GOODMIN": float(values.min()),
        "GOODMAX": float(values.max()),
        "GOODMEAN": float(values.mean(dtype=np.float64)),
    }
    if err is None:
        return out
    errors = err[good]
    ratio = values[errors > 0] / errors[errors > 0]
    if ratio.size:
        out["SNRMIN"] = float(ratio.min())
        out["SNRMAX"] = float(ratio.max())
        out["SNRMEAN"] = float(ratio.mean(dtype=np.float64))
    return out
