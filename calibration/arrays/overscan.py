"""The bias level from the overscan columns, as calacs fits it (the classic path).

calacs's quirks are kept unless they are to be corrected: the clip limits are truncated to whole
numbers, and the fit, made against the trimmed row, is evaluated at the untrimmed row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class LevelFit:
    """A straight line in row: ``intercept + slope * (row - origin - centre)``.

    `origin` is the first trimmed row, or 0 as calacs has it.
    """

    intercept: float
    slope: float
    centre: int
    rejected: int
    origin: int = 0
    is_default: bool = False

    @classmethod
    def default(cls, level: float) -> LevelFit:
        """Return the level that stands in where the overscan gives none (CCDBIAS)."""
        return cls(level, 0.0, 0, 0, is_default=True)

    def at(self, rows: NDArray[np.int64]) -> F64:
        """Return the level at untrimmed rows."""
        away = rows - (self.origin + self.centre)
        return np.asarray(self.intercept + self.slope * away, dtype=np.float64)


class NoOverscan(ValueError):
    """Not one usable overscan pixel."""


def line_medians(values: NDArray[np.floating], good: NDArray[np.bool_]) -> F64:
    """Return each line's median over its good pixels, in double; NaN where a line has none."""
    ordered = np.sort(np.where(good, values.astype(np.float64), np.inf), axis=1)
    count = good.sum(axis=1)
    usable = count > 0
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, ordered.shape[1] - 1)
    lines = np.arange(len(ordered))
    out = (ordered[lines, low] + np.where(usable, ordered[lines, high], 0.0)) / 2
    out[~usable] = np.nan
    return np.asarray(out)


def _whole(limit: float) -> float:
    """Return the limit as calacs's integer `abs` leaves it."""
    return float(abs(int(limit)))


def _keep(
    levels: F64, read_noise: float, limit_of: Callable[[float], float]
) -> tuple[NDArray[np.bool_], int]:
    """Return which lines survive calacs's two single passes of one-sided clipping."""
    present = ~np.isnan(levels)
    mean = float(levels[present].mean())
    spread = float(levels[present].std(ddof=1)) if present.sum() > 1 else 0.0
    if mean > 0:
        spread = min(spread, math.sqrt(mean))
    first = present & ~(levels > limit_of(3 * spread + mean))
    mean = float(levels[first].mean()) if first.any() else mean
    above = levels > limit_of(3 * read_noise + mean)
    rejected = int((present & ~first).sum() + (present & above).sum())
    return first & ~above, rejected


def fit_level(levels: F64, read_noise: float, origin: int | None = None) -> LevelFit:
    """Fit the bias level of one amplifier.

    Parameters
    ----------
    levels
        Median of each line of the trimmed area, NaN where a line has no usable pixel.
    read_noise
        In the unit of `levels`.
    origin
        First trimmed row: corrects calacs's two slips. None reproduces them.
    """
    if np.isnan(levels).all():
        raise NoOverscan("no usable overscan pixel")
    keep, rejected = _keep(levels, read_noise, _whole if origin is None else float)
    if not keep.any():
        raise NoOverscan("every overscan line was rejected")
    centre = len(levels) // 2
    x = np.arange(len(levels), dtype=np.float64)[keep] - centre
    y = levels[keep]
    dx = x - x.mean()
    spread = float((dx * dx).sum())
    slope = float((dx * (y - y.mean())).sum()) / spread if spread else 0.0
    return LevelFit(float(y.mean() - slope * x.mean()), slope, centre, rejected, origin or 0)


def drift_slope(
    values: NDArray[np.floating], good: NDArray[np.bool_], columns: Sequence[int]
) -> float:
    """Return the slope along the line from the virtual overscan (rows by columns)."""
    medians = line_medians(values.T, good.T)
    keep = ~np.isnan(medians)
    if keep.sum() < 2:
        return 0.0
    # calacs's sums, in its order
    middle = (columns[0] + columns[-1]) // 2
    x = np.asarray(columns, dtype=np.float64)[keep] - middle
    y = medians[keep]
    n = float(len(x))
    sx, sy, sxy, sxx = (float(np.cumsum(v)[-1]) for v in (x, y, x * y, x * x))
    spread = sxx - sx * sx / n
    return (sxy - sx / n * (sy / n) * n) / spread if spread else 0.0
