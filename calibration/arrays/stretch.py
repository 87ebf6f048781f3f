"""Images for the eye: block averages and an autoscale that leaves out the extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def shrink(image: NDArray[Any], longest: int) -> NDArray[np.float32]:
    """Average blocks of whole pixels so that no side exceeds `longest`; gaps (NaN) are ignored."""
    factor = -(-max(image.shape) // longest)
    values = image.astype(np.float32)
    if factor <= 1:
        return values
    ny, nx = (n // factor * factor for n in image.shape)
    blocks = values[:ny, :nx].reshape(ny // factor, factor, nx // factor, factor)
    good = np.isfinite(blocks)
    count = good.sum(axis=(1, 3))
    total = np.where(good, blocks, np.float32(0)).sum(axis=(1, 3))
    mean = total / np.maximum(count, 1)
    return np.where(count > 0, mean, np.float32(np.nan)).astype(np.float32)


def autoscale(image: NDArray[np.float32], percent: float = 99.5) -> NDArray[np.uint8]:
    """Return grey levels: the central `percent` of the finite pixels on an asinh scale."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        raise ValueError("not one finite pixel")
    tail = (100 - percent) / 2
    low, high = np.percentile(finite, [tail, 100 - tail])
    span = float(high - low) or 1.0
    unit = np.clip((np.nan_to_num(image, nan=low) - low) / span, 0.0, 1.0)
    levels = np.rint(255 * np.arcsinh(10 * unit) / np.arcsinh(10.0))
    return np.asarray(levels, dtype=np.uint8)
