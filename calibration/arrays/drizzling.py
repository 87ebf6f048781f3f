"""Drizzle: images onto a common grid (Fruchter & Hook 2002, PASP 114, 144), and back (blot).

Kernels are those of the `drizzle` library, but for the Lanczos ones. Of these drizzlepac's tables
are used, one step of 0.01 pixel off as in its C code, so that its products are reproduced.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

KERNELS = ("square", "point", "turbo", "gaussian", "lanczos2", "lanczos3")
_TABLE_STEP = 0.01


class Stack:
    """Images added up on one grid.

    Parameters
    ----------
    shape
        Rows and columns of the grid.
    kernel
        One of `KERNELS`; square and turbo conserve flux.
    pixfrac
        Side of a drop relative to an input pixel.
    images
        How many images will come, for the context bit map; 0 makes none.
    margin
        Pixels added around the grid while working: the library passes over input pixels whose
        centre lies outside, though a part of them may lie inside.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        kernel: str = "square",
        pixfrac: float = 1.0,
        images: int = 0,
        margin: int = 0,
    ) -> None:
        self._margin = margin
        padded = (shape[0] + 2 * margin, shape[1] + 2 * margin)
        self._lanczos: _Lanczos | None = None
        self._kernel, self._pixfrac = kernel, pixfrac
        self._library: Any = None
        if kernel.startswith("lanczos"):
            self._lanczos = _Lanczos(padded, int(kernel[-1]), pixfrac, images)
            return
        from drizzle.resample import Drizzle

        self._library = Drizzle(
            kernel=kernel,
            out_shape=padded,
            fillval="NaN",
            max_ctx_id=max(images - 1, 0),
            disable_ctx=images == 0,
        )

    def add(self, image: F32, weight: F32, pixmap: F64, *, flux_scale: float = 1.0) -> None:
        """Add an image.

        Parameters
        ----------
        image
            Values per undistorted input pixel.
        weight
            Of each pixel; 0 leaves it out.
        pixmap
            Positions on the grid (rows, columns, 2).
        flux_scale
            Area of a pixel of the grid in undistorted input pixels.
        """
        pixmap = pixmap + self._margin if self._margin else pixmap
        if self._lanczos is not None:
            self._lanczos.add(image * np.float32(flux_scale), weight, pixmap, flux_scale**0.5)
            return
        with warnings.catch_warnings():  # "not a flux-conserving kernel" is in the docs
            warnings.simplefilter("ignore")
            self._library.add_image(
                image,
                exptime=1.0,
                pixmap=pixmap,
                weight_map=weight,
                pixfrac=self._pixfrac,
                in_units="cps",
                iscale=flux_scale,
                pixel_scale_ratio=flux_scale**0.5,
            )

    def _cut(self, array: Any) -> Any:
        m = self._margin
        return array[..., m:-m, m:-m] if m else array

    @property
    def image(self) -> F32:
        """The weighted mean; not-a-number where nothing fell."""
        return self._cut(self._lanczos.image() if self._lanczos else self._library.out_img)  # type: ignore[no-any-return]

    @property
    def weight(self) -> F32:
        """The sum of the weights."""
        source = self._lanczos.weight if self._lanczos else self._library.out_wht
        return self._cut(source.astype(np.float32, copy=False))  # type: ignore[no-any-return]

    @property
    def context(self) -> NDArray[np.int32]:
        """Which images contributed: bit n of plane m for image 32 m + n (planes, rows, columns)."""
        return self._cut(self._lanczos.context if self._lanczos else self._library.out_ctx)  # type: ignore[no-any-return]


class _Lanczos:
    def __init__(self, shape: tuple[int, int], order: int, pixfrac: float, images: int) -> None:
        self._order, self._pixfrac, self._count = order, pixfrac, 0
        self._sum, self.weight = np.zeros(shape), np.zeros(shape)
        self.context = np.zeros((max(-(-images // 32), 1), *shape), np.int32)

    def _table(self, distance: F64, ratio: float) -> F64:
        step = np.rint(distance * ratio / _TABLE_STEP / self._pixfrac) + 1
        x = step * _TABLE_STEP
        return np.where(x < self._order, np.sinc(x) * np.sinc(x / self._order), 0.0)

    def add(self, image: F32, weight: F32, pixmap: F64, ratio: float) -> None:
        ny, nx = self.weight.shape
        reach = self._order * self._pixfrac / ratio
        used = np.flatnonzero(weight.reshape(-1))
        x, y = pixmap.reshape(-1, 2)[used].T
        values, weights = image.reshape(-1)[used].astype(float), weight.reshape(-1)[used]
        left, bottom = np.rint(x - reach), np.rint(y - reach)
        plane, bit = divmod(self._count, 32)
        flag = np.uint32(1 << bit).astype(np.int32)
        for dy in range(int(2 * reach) + 2):
            row = bottom + dy
            along_y = np.where(row <= np.rint(y + reach), self._table(np.abs(y - row), ratio), 0)
            for dx in range(int(2 * reach) + 2):
                column = left + dx
                along_x = np.where(
                    column <= np.rint(x + reach), self._table(np.abs(x - column), ratio), 0
                )
                share = along_x * along_y * weights
                inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny) & (share != 0)
                at = (row[inside] * nx + column[inside]).astype(np.intp)
                for total, part in ((self._sum, share * values), (self.weight, share)):
                    added = np.bincount(at, part[inside], minlength=ny * nx)
                    np.add(total, added.reshape(ny, nx), out=total)
                self.context[plane].reshape(-1)[at] |= flag
        self._count += 1

    def image(self) -> F32:
        with np.errstate(divide="ignore", invalid="ignore"):
            out = self._sum / self.weight
        out[self.weight == 0] = np.nan
        return out.astype(np.float32)


def blot(image: F32, pixmap: F64, factor: float) -> F32:
    """Return an image of the grid at an exposure's pixels, times `factor`.

    Parameters
    ----------
    image
        Finite values on the grid.
    pixmap
        Position of each of the exposure's pixels on the grid (rows, columns, 2).
    factor
        Seconds, for a rate that is to become electrons.

    Notes
    -----
    Interpolation by polynomials of fifth order, AstroDrizzle's default; 0 outside of the grid.
    """
    from drizzle.resample import blot_image

    out = blot_image(image, pixmap, fillval=0.0, iscale=factor, interp="poly5")
    return np.asarray(out, dtype=np.float32)
