"""Cosmic rays in one exposure, by comparison with the median of all (the driz_cr scheme).

Fruchter & Hook 2002 (PASP 114, 144), section 6: a pixel is a cosmic ray when it differs from the
median, resampled to the exposure's own pixels, by more than its noise plus a multiple of the
median's local derivative. The derivative allows for resampling and small shifts, so that the
steep flanks of stars are not taken for cosmic rays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.median import grown

F32 = NDArray[np.float32]
_ROWS = 128


@dataclass(frozen=True)
class Limits:
    """Multiples of the noise and of the derivative, first for finding, then beside what is found.

    The defaults are AstroDrizzle's.
    """

    noise: tuple[float, float] = (3.5, 3.0)
    slope: tuple[float, float] = (1.2, 0.7)


def derivative(image: F32) -> F32:
    """Return the largest absolute difference of each pixel to its four neighbours."""
    out = np.zeros_like(image)
    down, across = np.abs(np.diff(image, axis=0)), np.abs(np.diff(image, axis=1))
    np.maximum(out[1:], down, out=out[1:])
    np.maximum(out[:-1], down, out=out[:-1])
    np.maximum(out[:, 1:], across, out=out[:, 1:])
    np.maximum(out[:, :-1], across, out=out[:, :-1])
    return out


def rays(
    image: F32, model: F32, sky: float, read_noise: float, limits: Limits | None = None
) -> NDArray[np.bool_]:
    """Return which pixels of an exposure cosmic rays hit.

    Parameters
    ----------
    image
        Electrons, sky subtracted.
    model
        What is expected there, from the median of all exposures: electrons, sky subtracted.
    sky
        The subtracted sky, electrons: it adds to the noise.
    read_noise
        Electrons.
    limits
        When a difference is too large.
    """
    limits = limits or Limits()
    out = np.empty(image.shape, bool)
    for start in range(0, len(image), _ROWS):  # in blocks with a margin: the planes stay in cache
        first, last = max(start - 2, 0), min(start + _ROWS + 2, len(image))
        stop = min(start + _ROWS, len(image))
        found = _rays(image[first:last], model[first:last], sky, read_noise, limits)
        out[start:stop] = found[start - first : stop - first]
    return out


def _rays(image: F32, model: F32, sky: float, noise: float, limits: Limits) -> NDArray[np.bool_]:
    difference = np.abs(image - model)
    sigma = np.sqrt(np.abs(model + np.float32(sky)) + np.float32(noise) ** 2)
    slope = derivative(model)
    first, second = (
        difference > np.float32(m) * slope + np.float32(n) * sigma
        for m, n in zip(limits.slope, limits.noise, strict=True)
    )
    return np.asarray(second & grown(first))


def clipped_median(values: NDArray[np.float32], sigmas: float = 4.0, rounds: int = 5) -> float:
    """Return the median after clipping at `sigmas` standard deviations; 0 without any value."""
    if values.size == 0:
        return 0.0
    for _ in range(rounds):
        middle = float(np.median(values))
        spread = float(values.std(dtype=np.float64))
        kept = values[np.abs(values - np.float32(middle)) <= np.float32(sigmas * spread)]
        if kept.size in (0, values.size):
            break
        values = kept
    return float(np.median(values))
