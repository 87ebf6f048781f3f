"""DARKCORR, FLSHCORR and FLATCORR, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.arrays import dq as flags
from calibration.arrays.block import Block, Scratch
from calibration.arrays.chip import BLOCK_PIXELS, F32, I16, Image, Result

WHOLE = slice(None)


def subtract_dark(
    sci: F32, err: F32, dq: I16, dark: tuple[F32, F32, I16], scale: float
) -> tuple[F32, F32, I16]:
    """DARKCORR of one block: `scale` is DARKTIME, over the mean gain where the unit is DN."""
    block = _copied(sci, err, dq)
    block.subtract(Image(*dark), WHOLE, WHOLE, scale)
    return block.sci, block.err, block.dq


def divide_flat(sci: F32, err: F32, dq: I16, flat: tuple[F32, F32, I16]) -> tuple[F32, F32, I16]:
    """FLATCORR of one block; a zero in the flat flags the pixel and leaves it as it is."""
    block = _copied(sci, err, dq)
    block.divide(Image(*flat), WHOLE, WHOLE, flags.REFERENCE_DEFECT)
    return block.sci, block.err, block.dq


def _copied(sci: F32, err: F32, dq: I16) -> Block:
    return Block(np.array(sci), np.array(err), np.array(dq), Scratch(*sci.shape))


@dataclass(frozen=True)
class Corrections:
    """What is subtracted and divided after ERR: None is not applied.

    `dark_scale` is DARKTIME, `flash_scale` FLASHDUR.
    """

    dark: Image | None = None
    dark_scale: float = 0.0
    flat: Image | None = None
    flash: Image | None = None
    flash_scale: float = 0.0

    def apply(self, block: Block, rows: slice) -> None:
        """Apply all of them to some rows of the trimmed frame, in calacs's order."""
        if self.dark is not None:
            block.subtract(self.dark, rows, WHOLE, self.dark_scale)
        if self.flash is not None:
            block.subtract(self.flash, rows, WHOLE, self.flash_scale)
        if self.flat is not None:
            block.divide(self.flat, rows, WHOLE, flags.REFERENCE_DEFECT)


def dark_and_flat(
    image: tuple[F32, F32, I16],
    dark: Image | None,
    dark_time: float,
    flat: Image | None,
    flash: tuple[Image, float] | None = None,
    *,
    in_place: bool = False,
) -> Result:
    """Apply DARKCORR, FLSHCORR (image and FLASHDUR) and FLATCORR to a trimmed image in electrons.

    For a combined `_crj`, or a branch of CA that starts from the state before dark and flat.
    With `in_place` the image's own arrays are changed.
    """
    sci, err, dq = image if in_place else (np.array(part) for part in image)
    corrections = Corrections(dark, dark_time, flat, *(flash or (None, 0.0)))
    ny, nx = sci.shape
    height = max(1, BLOCK_PIXELS // nx)
    scratch = Scratch(height, nx)
    for start in range(0, ny, height):
        rows = slice(start, min(start + height, ny))
        corrections.apply(Block(sci[rows], err[rows], dq[rows], scratch), rows)
    return Result(sci, err, dq)


def mean_of_good(
    image: Image, scale: float, serious: int, after_rows: Callable[[], None] = lambda: None
) -> float:
    """Return the mean of a scaled reference over its good pixels (MEANDARK, MEANFLSH)."""
    total, count = 0.0, 0
    for start in range(0, image.sci.shape[0], 128):
        rows = slice(start, start + 128)
        good = (np.asarray(image.dq[rows]) & serious) == 0
        values = np.asarray(image.sci[rows])
        total += float(values.sum(dtype=np.float64, where=good))
        count += int(np.count_nonzero(good))
        after_rows()
    return total * scale / count if count else 0.0
