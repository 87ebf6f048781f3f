"""Distortion tables: small images of pixel offsets, interpolated (FITS WCS Paper IV "lookup").

Two tables, for x and for y, make an `Offsets`. The same form serves the detector's own pattern
(D2IM, applied to detector pixels before everything else) and the part of the optical distortion
that no polynomial describes (NPOL, added together with SIP).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Offsets in pixels on a coarse grid.

    Parameters
    ----------
    values
        Offsets (rows, columns).
    crpix, crval, cdelt
        Where the grid lies: its 1-based element `crpix` is at the image's 1-based pixel `crval`,
        and elements are `cdelt` pixels apart; each as (x, y).
    """

    values: F64
    crpix: tuple[float, float] = (0.0, 0.0)
    crval: tuple[float, float] = (0.0, 0.0)
    cdelt: tuple[float, float] = (1.0, 1.0)

    def __call__(self, x: F64, y: F64) -> F64:
        """Return the offsets at 0-based pixels: bilinear, constant beyond the grid's edge."""
        ny, nx = self.values.shape
        column, fx = self._place(x, 0, nx)
        row, fy = self._place(y, 1, ny)
        right, above = np.minimum(column + 1, nx - 1), np.minimum(row + 1, ny - 1)
        low = (1 - fx) * self.values[row, column] + fx * self.values[row, right]
        high = (1 - fx) * self.values[above, column] + fx * self.values[above, right]
        return np.asarray((1 - fy) * low + fy * high, dtype=np.float64)

    def _place(self, pixel: F64, axis: int, count: int) -> tuple[NDArray[np.intp], F64]:
        place = (pixel + 1 - self.crval[axis]) / self.cdelt[axis] + self.crpix[axis] - 1
        place = np.clip(place, 0, count - 1)
        element = np.floor(place).astype(np.intp)
        return element, np.asarray(place - element, dtype=np.float64)

    def knots(self, axis: int) -> F64:
        """Return the 0-based pixels of the grid's elements along x (0) or y (1)."""
        elements = np.arange(self.values.shape[1 - axis])
        place = (elements + 1 - self.crpix[axis]) * self.cdelt[axis] + self.crval[axis] - 1
        return np.asarray(place, dtype=np.float64)


@dataclass(frozen=True)
class Offsets:
    """Tables for both coordinates; an absent one adds nothing."""

    x: Table | None
    y: Table | None

    def shift(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Return the offsets at 0-based pixels."""
        zero = np.zeros(np.broadcast(x, y).shape)
        return (self.x(x, y) if self.x else zero, self.y(x, y) if self.y else zero)

    def knots(self, axis: int) -> F64:
        """Return where, along one axis, the offsets are not smooth."""
        return np.concatenate([np.empty(0), *(t.knots(axis) for t in (self.x, self.y) if t)])
