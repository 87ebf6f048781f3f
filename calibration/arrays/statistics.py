"""Statistics of good pixels for the headers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import F32

_ROWS = 128


class _Summary:
    """Smallest, largest and mean of values that come in parts."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self.least, self.most = np.inf, -np.inf

    def add(self, values: F32) -> None:
        if values.size:
            self.count += int(values.size)
            self.total += float(values.sum(dtype=np.float64))
            self.least = min(self.least, float(values.min()))
            self.most = max(self.most, float(values.max()))

    def entries(self, prefix: str) -> dict[str, float]:
        """Return ``<prefix>MIN``, ``MAX`` and ``MEAN``; nothing of nothing."""
        if not self.count:
            return {}
        return {
            f"{prefix}MIN": self.least,
            f"{prefix}MAX": self.most,
            f"{prefix}MEAN": self.total / self.count,
        }


def statistics(sci: F32, err: F32 | None, good: NDArray[np.bool_]) -> dict[str, float]:
    """Return the header's statistics of good pixels: GOODMIN and so on, SNR included.

    Some rows at a time, so that no copy of the image is made.
    """
    values, ratios = _Summary(), _Summary()
    for start in range(0, len(sci), _ROWS):
        rows = slice(start, start + _ROWS)
        part = sci[rows][good[rows]]
        values.add(part)
        if err is not None:
            errors = err[rows][good[rows]]
            sound = errors > 0
            ratios.add(part[sound] / errors[sound])
    return {"NGOODPIX": values.count, **values.entries("GOOD"), **ratios.entries("SNR")}
