"""What cosmic-ray rejection begins with: the sky of each exposure, and the first average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.arrays.crrej import Member

Array = NDArray[Any]

#: Rows that are worked on at once.
BAND_ROWS = 128


def sky_levels(
    members: Sequence[Member], bad_input: int, after_rows: Callable[[], None] = lambda: None
) -> list[float]:
    """Return each member's sky: the peak of its histogram, refined by a parabola."""
    first = members[0].rows(0, len(members[0].sci))
    values = first.sci[(first.dq & bad_input) == 0]
    after_rows()
    if not values.size:
        return [0.0] * len(members)
    low = int(max(float(values.min()), -15000.0))
    # hstcal's running sum is single precision: over a large frame it falls short
    total = np.cumsum(values, dtype=np.float32)[-1]
    mean = int(total / np.float32(values.size) + 1) if total > 0 else 1
    del first, values
    high = 2 * mean - low
    bins, width = high - low + 1, 1.0
    if bins < 1000:
        bins = 1000
    elif bins > 10000:
        bins, width = 10000, bins / 10000
    return [_histogram_peak(m, (low, width, bins), after_rows) for m in members]


def _histogram_peak(
    member: Member, scale: tuple[int, float, int], after_rows: Callable[[], None]
) -> float:
    low, width, bins = scale
    histogram = np.zeros(bins, np.int64)
    for start in range(0, len(member.sci), BAND_ROWS):
        part = member.rows(start, start + BAND_ROWS)
        index = np.trunc((part.sci[part.dq == 0] - np.float32(low)) / np.float32(width))
        index = index[(index >= 0) & (index < bins)].astype(np.int64)
        histogram += np.bincount(index, minlength=bins)
        after_rows()
    return peak(histogram, low, width)


def peak(histogram: Array, low: int, width: float) -> float:
    """Return where a histogram has its peak, refined by a parabola."""
    top = int(histogram.argmax())
    offset = np.float32(0)
    if 0 < top < len(histogram) - 1:
        d1 = np.float32(histogram[top] - histogram[top - 1])
        d2 = np.float32(histogram[top] - histogram[top + 1])
        offset = np.float32(0.5) * (d1 - d2) / (d1 + d2) if d1 + d2 else offset
    # single precision, as in acsrej: the last bit of the sky shows in the combined image
    middle = np.float32(top) + np.float32(0.5) + offset
    return float(middle * np.float32(width) + np.float32(low))


def initial_guess(rates: Sequence[Array], bad: Sequence[Array], how: str) -> Array:
    """Return the first average: the minimum (a bad pixel puts 0) or the median of good ones."""
    if how.lower().startswith("med"):
        stack = np.stack([np.where(b, np.nan, r) for r, b in zip(rates, bad, strict=True)])
        count = (~np.isnan(stack)).sum(axis=0)
        ordered = np.sort(stack, axis=0)
        pick = np.take_along_axis
        low = pick(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
        high = pick(ordered, np.minimum(count // 2, len(rates) - 1)[None], axis=0)[0]
        middle = (low + high) / np.float32(2)
        return np.where(count > 0, middle, np.float32(0)).astype(np.float32)
    average = np.where(bad[0], np.float32(0), rates[0])
    for rate, flagged in zip(rates[1:], bad[1:], strict=True):
        lower = rate < average
        average = np.where(lower, np.where(flagged, np.float32(0), rate), average)
    return average.astype(np.float32)
