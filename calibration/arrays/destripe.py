"""Stripes of WFC after the repair of 2009: what the four amplifiers' prescans have in common.

calacs's algorithm, after ACS ISR 2011-05: the low-frequency noise of the electronics is the same in
all four quadrants at the same time, and each row's 24 prescan pixels see it without light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import F32

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

PRESCAN = 24
_OVERSCAN_ROWS = 20
_GUARD = slice(PRESCAN, PRESCAN + 6)
_MIDDLE = (PRESCAN - 1) / 2
_GAP = 146
_BLOCK_ROWS = 32


@dataclass(frozen=True)
class Stripes:
    """What was subtracted: a level for each quadrant; rows corrected and rows left."""

    levels: tuple[float, ...]
    fixed: int
    skipped: int


@dataclass
class _Quadrant:
    """A quadrant's prescan and what must be known of its light."""

    view: F32
    prescan: F64
    light: F64
    guard: F64
    columns: F64
    good: Bool
    level: float = 0.0


def destripe(views: Sequence[F32]) -> Stripes:
    """Subtract levels and stripes from the four quadrants, in place.

    Parameters
    ----------
    views
        The quadrants with their overscan, electrons, float32, each with its amplifier at the lower
        left; all of the same shape.
    """
    quadrants = [_measure(view) for view in views]
    stripe, fixed = _stripes(quadrants)
    for quadrant in quadrants:
        _subtract(quadrant, stripe)
    levels = tuple(q.level for q in quadrants)
    return Stripes(levels, fixed, len(stripe) - fixed)


def _measure(view: F32) -> _Quadrant:
    prescan = view[:, :PRESCAN].astype(np.float64)
    light = view[:, PRESCAN:].sum(axis=1, dtype=np.float64)
    guard = view[:, _GUARD].max(axis=1).astype(np.float64)
    columns = _column_means(prescan, guard < 50000)
    prescan -= columns
    good = _good_rows(prescan, light, guard, view.shape[1] - PRESCAN)
    out = _Quadrant(view, prescan, light, guard, columns, good)
    out.level = _level(prescan, good)
    out.prescan -= out.level
    return out


def _column_means(prescan: F64, usable: Bool) -> F64:
    """Return each prescan column's mean offset from its row, four times clipped at 5 sigma.

    The deviations of a pass are about the mean of the pass before, as calacs takes them.
    """
    values = prescan[usable] - prescan[usable, PRESCAN // 2 :].mean(axis=1)[:, None]
    if len(values) < 2:
        return np.zeros(PRESCAN)
    mean = values.mean(axis=0)
    spread = values.std(axis=0, ddof=1)
    for _ in range(4):
        deviation = values - mean
        keep = np.abs(deviation) <= 5 * spread
        count = keep.sum(axis=0)
        spread = np.sqrt((deviation * deviation * keep).sum(axis=0) / np.maximum(count - 1, 1))
        mean = (values * keep).sum(axis=0) / np.maximum(count, 1)
    return np.asarray(mean, dtype=np.float64)


def _good_rows(prescan: F64, light: F64, guard: F64, width: int) -> Bool:
    """Return the rows whose prescan can be trusted: not too bright, no saturation beside it."""
    dark = len(prescan) - _OVERSCAN_ROWS
    typical = light[:dark].sum() / (width * dark) - prescan[:dark].mean()
    row_level = prescan.mean(axis=1)
    reference = row_level.copy()
    reference[1:] = (row_level[1:] + row_level[:-1]) / 2
    above = light / width - reference
    good = (np.trunc(np.abs(above - typical)) <= 100) & (guard <= 70000)
    good[0] = False
    return np.asarray(good)


def _level(prescan: F64, good: Bool) -> float:
    """Return the mean of the prescan, clipped at six mean absolute deviations."""
    values = prescan[good].ravel()
    passes, before = 0, values.size + 1
    while values.size and (passes < 6 or (passes <= 10 and values.size < before)):
        before = values.size
        mean = values.mean()
        deviation = np.abs(values - mean)
        values = values[deviation <= 6 * deviation.mean()]
        passes += 1
    return float(values.mean()) if values.size else 0.0


def _stripes(quadrants: Sequence[_Quadrant]) -> tuple[F64, int]:
    """Return each row's stripe, and in how many rows there is one."""
    means = np.stack([q.prescan.mean(axis=1) for q in quadrants])
    quiet = np.stack([q.prescan.std(axis=1, ddof=1) < 15 for q in quadrants])
    usable = np.stack([q.good for q in quadrants]) & quiet
    count = usable.sum(axis=0)
    fixed = count >= 2
    stripe = np.where(fixed, (means * usable).sum(axis=0) / np.maximum(count, 1), 0.0)
    return stripe, int(fixed.sum())


def _subtract(quadrant: _Quadrant, stripe: F64) -> None:
    """Subtract column offsets, level, and the stripes interpolated in time."""
    ny, nx = quadrant.view.shape
    step = (np.arange(nx) - _MIDDLE) / (nx + _GAP)
    middle = PRESCAN // 2
    parts = ((slice(0, middle), -1), (slice(middle, nx), 0))
    for first in range(0, ny, _BLOCK_ROWS):
        rows = slice(first, min(first + _BLOCK_ROWS, ny))
        values = quadrant.view[rows].astype(np.float64)
        values[:, :PRESCAN] -= quadrant.columns
        values -= quadrant.level
        number = np.arange(rows.start, rows.stop)
        for columns, before in parts:
            lower = np.clip(number + before, 0, ny - 2)
            away = (number[:, None] + step[columns]) - lower[:, None]
            away *= (stripe[lower + 1] - stripe[lower])[:, None]
            away += stripe[lower][:, None]
            values[:, columns] -= away
        quadrant.view[rows] = values
