"""Images for the eye: block averages, and grey levels that show the sky and the stars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Grey of an image without any structure.
FLAT_GREY = 64
#: Up to this ratio of range to noise a linear scale shows everything.
_LINEAR_RANGE = 40.0
_SKY_BELOW, _LEAST_ABOVE, _SOFTENING = 2.0, 10.0, 3.0


@dataclass(frozen=True)
class Scale:
    """How values become grey levels.

    Parameters
    ----------
    low, high
        Values that become black and white.
    softening
        Part of the range that is shown linearly, from which on levels grow with the logarithm
        (asinh); None for a linear scale.
    """

    low: float
    high: float
    softening: float | None

    @property
    def kind(self) -> str:
        """``linear`` or ``asinh``."""
        return "linear" if self.softening is None else "asinh"

    def levels(self, image: Array) -> NDArray[np.uint8]:
        """Return grey levels; what is no number is black."""
        if self.high <= self.low:
            return np.where(np.isfinite(image), np.uint8(FLAT_GREY), np.uint8(0))
        unit = (np.nan_to_num(image, nan=self.low) - self.low) / (self.high - self.low)
        unit = np.clip(unit, 0.0, 1.0)
        if self.softening is not None:
            unit = np.arcsinh(unit / self.softening) / np.arcsinh(1.0 / self.softening)
        return np.asarray(np.rint(255 * unit), dtype=np.uint8)


def shrink(image: Array, good: Array, longest: int) -> tuple[NDArray[np.float32], Array]:
    """Average blocks of pixels; the longest side becomes less than twice `longest`.

    Parameters
    ----------
    image : (ny, nx)
        Values; what is not finite is left out.
    good : (ny, nx) bool
        Pixels to be averaged. A block without any is the mean of its others, and not good.
    longest
        Wanted number of pixels of the longest side.

    Returns
    -------
    mean : float32
        NaN where a block has no finite pixel. Rows and columns that fill no block are left out.
    good : bool
        Blocks with at least one good pixel.
    """
    factor = max(1, max(image.shape) // longest)
    ny, nx = (n // factor for n in image.shape)
    shape = (ny, factor, nx, factor)
    cut = slice(0, ny * factor), slice(0, nx * factor)
    values = image[cut].astype(np.float32).reshape(shape)
    finite = np.isfinite(values)
    used = good[cut].reshape(shape) & finite
    any_good: Array = np.asarray(used.any(axis=(1, 3)))
    used |= finite & ~any_good[:, None, :, None]
    count = used.sum(axis=(1, 3))
    total = np.where(used, values, np.float32(0)).sum(axis=(1, 3), dtype=np.float64)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean.astype(np.float32), any_good


def autoscale(image: Array, good: Array) -> Scale:
    """Return the scale that shows an image's background and its sources.

    Black is two sigma below the sky, white the 99.75th percentile of the good pixels, at least ten
    sigma above the sky. If the range is small against the noise the scale is linear, otherwise
    asinh, linear over three sigma.

    Raises
    ------
    ValueError
        When no pixel is finite.
    """
    finite = np.isfinite(image)
    used = image[good & finite]
    if not used.size:
        used = image[finite]
    if not used.size:
        raise ValueError("not one finite pixel")
    sky, sigma = background(used)
    top = float(np.percentile(used, 99.75))
    if sigma <= 0:  # no noise at all: quantised, or the same everywhere but in few pixels
        low, high = sky, max(top, float(used.max()))
        if high <= low:
            low = float(used.min())
        return Scale(low, high, None)
    low, high = sky - _SKY_BELOW * sigma, max(top, sky + _LEAST_ABOVE * sigma)
    if high - low <= _LINEAR_RANGE * sigma:
        return Scale(low, high, None)
    return Scale(low, high, _SOFTENING * sigma / (high - low))


def background(values: Array) -> tuple[float, float]:
    """Return the sky and its noise: median and scaled median deviation, clipped at 3 sigma."""
    kept = np.asarray(values, dtype=np.float64).ravel()
    sky = sigma = 0.0
    for _ in range(5):
        sky = float(np.median(kept))
        sigma = 1.4826 * float(np.median(np.abs(kept - sky)))
        inside = kept[np.abs(kept - sky) <= 3 * sigma] if sigma > 0 else kept
        if inside.size == kept.size:
            break
        kept = inside
    return sky, sigma


def mosaic(chips: list[Array], gap: int, fill: float) -> Array:
    """Put chips above each other, from the lowest upwards, `gap` rows apart."""
    width = max(chip.shape[1] for chip in chips)
    rows: list[Array] = []
    for chip in chips:
        if rows and gap:
            rows.append(np.full((gap, width), fill, chip.dtype))
        rows.append(np.pad(chip, ((0, 0), (0, width - chip.shape[1])), constant_values=fill))
    return np.concatenate(rows)
