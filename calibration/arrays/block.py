"""One block of one amplifier on its way through the kernel, worked on where it will stay.

The rows of a block are views of the product's own arrays, and everything between is in scratch
arrays of one block's size, which stay in the processor's cache: memory is read and written once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import F32, I16, Array, Image

ZERO = np.float32(0)


class Scratch:
    """Work space for blocks of up to `rows` by `columns` pixels."""

    def __init__(self, rows: int, columns: int) -> None:
        shape = (rows, columns)
        self._f32 = [np.empty(shape, np.float32) for _ in range(3)]
        self._f64 = np.empty(shape, np.float64)
        self._mask = np.empty(shape, bool)
        self._zeros = np.zeros(shape, np.float32)

    def single(self, number: int, shape: tuple[int, ...]) -> F32:
        """Return one of three float32 arrays."""
        return self._f32[number][: shape[0], : shape[1]]

    def double(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the float64 array."""
        return self._f64[: shape[0], : shape[1]]

    def zeros(self, shape: tuple[int, ...]) -> F32:
        """Return zeros, to be read only: against an array numpy's maximum is faster."""
        return self._zeros[: shape[0], : shape[1]]

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the array of truth values."""
        return self._mask[: shape[0], : shape[1]]

    def native(self, array: Array, number: int) -> F32:
        """Return an array as native float32: itself, or a copy in one of the three arrays."""
        if array.dtype == np.float32 and array.dtype.isnative:
            return array
        out = self.single(number, array.shape)
        np.copyto(out, array, casting="unsafe")
        return out


class Block:
    """SCI, ERR and DQ of one block, views of the product, and the work space."""

    def __init__(self, sci: F32, err: F32, dq: I16, scratch: Scratch) -> None:
        self.sci, self.err, self.dq = sci, err, dq
        self.scratch = scratch

    def flag(self, where: NDArray[np.bool_], value: int) -> None:
        """OR a flag into DQ; most blocks have none, and the test is cheaper than the OR."""
        if where.any():
            self.dq |= where.astype(np.int16) * np.int16(value)

    def flags(self, flags: Array) -> None:
        """OR a reference's flags into DQ."""
        own: Any = flags if flags.dtype == np.int16 else flags.astype(np.int16)
        np.bitwise_or(self.dq, own, out=self.dq, casting="unsafe")

    def subtract(self, image: Image, rows: slice, columns: slice, scale: float) -> None:
        """Subtract a reference times `scale` with its errors and flags (dark, post-flash)."""
        factor = np.float32(scale)
        work = self.scratch.single(2, self.sci.shape)
        np.multiply(self.scratch.native(image.sci[rows, columns], 2), factor, out=work)
        self.sci -= work
        np.multiply(self.scratch.native(image.err[rows, columns], 2), factor, out=work)
        work *= work
        self.err *= self.err
        self.err += work
        np.sqrt(self.err, out=self.err)
        self.flags(image.dq[rows, columns])

    def divide(self, image: Image, rows: slice, columns: slice, dead_flag: int) -> None:
        """Divide by a reference with its errors and flags; a zero in it leaves the pixel."""
        divisor = self.scratch.native(image.sci[rows, columns], 0)
        dead = np.equal(divisor, ZERO, out=self.scratch.mask(self.sci.shape))
        if dead.any():
            self._divide_around(dead, divisor, image.err[rows, columns], dead_flag)
        else:
            self._divide_all(divisor, image.err[rows, columns])
        self.flags(image.dq[rows, columns])

    def _divide_all(self, divisor: F32, errors: Array) -> None:
        share = self.scratch.single(1, self.sci.shape)
        np.multiply(self.scratch.native(errors, 1), self.sci, out=share)
        share /= divisor
        share /= divisor
        share *= share
        self.err /= divisor
        self.err *= self.err
        self.err += share
        np.sqrt(self.err, out=self.err)
        self.sci /= divisor

    def _divide_around(
        self, dead: NDArray[np.bool_], divisor: F32, errors: Array, dead_flag: int
    ) -> None:
        dead = dead.copy()
        sci, err = self.sci[dead], self.err[dead]
        self._divide_all(np.where(dead, np.float32(1), divisor), errors)
        self.sci[dead], self.err[dead] = sci, err
        self.flag(dead, dead_flag)
