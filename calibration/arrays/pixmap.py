"""The position of every pixel of one image in another, without evaluating the WCS at each.

Polynomial and projection are smooth: they are evaluated on a coarse grid and interpolated by a
bicubic spline. Distortion tables are bilinear between their own elements, so what they add is
nearly bilinear between these: it is evaluated there, exactly, and interpolated linearly. Both are
products of a few thousand coarse values with one matrix per axis, which is what BLAS is good at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.wcs import Wcs

F64 = NDArray[np.float64]

STEP = 64
"""Pixels between the spline's knots."""
_ROWS = 64
_LEAST_KNOTS = 6


def spline_matrix(knots: F64, at: F64) -> F64:
    """Return the matrix (at, knots) that takes values at equidistant knots to spline values.

    A cubic spline through the knots, third derivative continuous at the last knot but one of
    either end ("not a knot"), so that cubics are reproduced exactly.
    """
    count, step = len(knots), float(knots[1] - knots[0])
    left, right = np.zeros((count, count)), np.zeros((count, count))
    for i in range(1, count - 1):
        left[i, i - 1 : i + 2] = (1, 4, 1)
        right[i, i - 1 : i + 2] = (6, -12, 6)
    left[0, :3] = left[-1, -3:] = (1, -2, 1)
    curvature = np.linalg.solve(left, right)  # times step², at the knots
    place = (at - knots[0]) / step
    cell = np.clip(np.floor(place).astype(np.intp), 0, count - 2)
    t = (place - cell)[:, None]
    s = 1 - t
    rows = np.arange(len(at))
    out = (s**3 - s) / 6 * curvature[cell] + (t**3 - t) / 6 * curvature[cell + 1]
    out[rows, cell] += s[:, 0]
    out[rows, cell + 1] += t[:, 0]
    return np.asarray(out)


def linear_matrix(knots: F64, at: F64) -> F64:
    """Return the matrix (at, knots) of linear interpolation."""
    cell = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    t = (at - knots[cell]) / (knots[cell + 1] - knots[cell])
    out = np.zeros((len(at), len(knots)))
    rows = np.arange(len(at))
    out[rows, cell] = 1 - t
    out[rows, cell + 1] = t
    return out


def _spline_knots(length: int) -> F64:
    count = max(_LEAST_KNOTS, -(-length // STEP) + 1)
    return np.linspace(0.0, length - 1.0, count)


def _table_knots(tables: Sequence[F64], length: int) -> F64:
    inside = [k[(k > 0) & (k < length - 1)] for k in tables]
    return np.unique(np.concatenate([[0.0, length - 1.0], *inside]))


def _through(source: Wcs, target: Wcs, x: F64, y: F64) -> F64:
    """Return positions on the outer product of two axes: (2, len(y), len(x))."""
    grid = np.broadcast_arrays(x[None, :], y[:, None])
    return np.stack(target.to_pixel(*source.to_sky(*grid)))


def pixel_map(
    source: Wcs, target: Wcs, shape: tuple[int, int], rows: tuple[int, int] | None = None
) -> F64:
    """Return, for every pixel of `source`, its 0-based position in `target`.

    Parameters
    ----------
    source, target
        The two coordinate systems; `target` must have no distortion.
    shape
        Rows and columns of the source image.
    rows
        First and last (excluded) row wanted; all of them unless given.

    Returns
    -------
    numpy.ndarray
        (rows, columns, 2) float64: x and y, as `drizzle.resample` wants them. Within 1e-4 pixel
        of the full evaluation; 1e-6 without distortion tables.
    """
    ny, nx = shape
    first, last = rows or (0, ny)
    smooth = source.without_tables()
    kx, ky = _spline_knots(nx), _spline_knots(ny)
    columns, lines = np.arange(nx, dtype=np.float64), np.arange(first, last, dtype=np.float64)
    coarse = _through(smooth, target, kx, ky)
    along_x, along_y = spline_matrix(kx, columns).T, spline_matrix(ky, lines)
    partial = np.matmul(along_y, coarse)
    tables = [t for t in (source.detector, source.prior) if t is not None]
    if tables:
        tx, ty = (_table_knots([t.knots(a) for t in tables], (nx, ny)[a]) for a in (0, 1))
        added = _through(source, target, tx, ty) - _through(smooth, target, tx, ty)
        along_x = np.concatenate([along_x, linear_matrix(tx, columns).T])
        partial = np.concatenate([partial, np.matmul(linear_matrix(ty, lines), added)], axis=2)
    along_x = np.ascontiguousarray(along_x)
    out = np.empty((last - first, nx, 2))
    for start in range(0, last - first, _ROWS):  # the products stay in the cache
        for axis in (0, 1):
            out[start : start + _ROWS, :, axis] = partial[axis, start : start + _ROWS] @ along_x
    return out
