"""The image before read-out, from what was measured: the inverse of `cte.read_out`, by iteration.

As `inverseCTEBlur` and `correctCROverSubtraction` of hstcal 10.5 do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.cte import read_out
from calibration.arrays.cte_smooth import smooth
from calibration.arrays.cte_traps import Floats, Traps

#: Over-subtraction: how far back its cause is looked for, by how much it is weakened, how often.
_BACK = 10
_WEAKER = 0.75
_RUNS = 5
_TWO, _THREE = -12.0, -15.0
#: Share of the correction that is its uncertainty.
_UNCERTAIN = np.float32(0.1)
_TINY = 1e-30
#: What is worked on at a time where order does not matter: temporary arrays stay small.
_BLOCK_ROWS, _BLOCK_COLUMNS = 16, 256


@dataclass(frozen=True)
class Recipe:
    """How the inverse is made.

    Parameters
    ----------
    iterations
        PCTENFOR.
    threshold
        PCTETRSH, e-: a corrected pixel below it is over-subtracted.
    guard
        FIXROCR: whether over-subtracted trails weaken the traps at their cause. They come from
        cosmic rays that hit during read-out, and were moved over fewer traps than their row says.
    """

    iterations: int
    threshold: float
    guard: bool = True


@dataclass(frozen=True)
class Quadrant:
    """What one amplifier read: electrons, (rows, columns), row 0 nearest to the register.

    `density` is `cte_traps.density`; `read_noise` in e-: the image is smoothed by it beforehand,
    and changes below it are damped.
    """

    sci: Floats
    err: Floats
    density: Floats
    read_noise: float


def correct(
    quadrants: Sequence[Quadrant], traps: Traps, recipe: Recipe
) -> list[tuple[Floats, Floats]]:
    """Return SCI and ERR of quadrants without charge-transfer losses, float32.

    The correction is what `restore` changes in the smooth image; a tenth of it is added to ERR in
    quadrature. Quadrants of the same height are faster together.
    """
    smoothed = [smooth(q.sci, q.read_noise) for q in quadrants]
    restored = restore(
        smoothed, [q.density for q in quadrants], [q.read_noise for q in quadrants], traps, recipe
    )
    out = []
    for quadrant, before, after in zip(quadrants, smoothed, restored, strict=True):
        change = after - before
        doubt = change * _UNCERTAIN
        err = np.sqrt(quadrant.err * quadrant.err + doubt * doubt)
        out.append((quadrant.sci + change, err))
    return out


def restore(
    observed: Sequence[Floats],
    densities: Sequence[Floats],
    noises: Sequence[float],
    traps: Traps,
    recipe: Recipe,
) -> list[Floats]:
    """Return the images that give the `observed` ones when they are read out; float32."""
    out, again = [], []
    for image, density, noise in zip(observed, densities, noises, strict=True):
        noise_of = np.full(image.shape[1], noise)
        model, bad, weaker = _try(image, density, noise_of, traps, recipe)
        out.append(model)
        again.append((image[:, bad], weaker, noise_of[bad], np.full(bad.size, len(out) - 1), bad))
    # The few columns that are to be done again are done together: a row costs the same for all.
    image, density, noise_of, quadrant, column = (
        np.concatenate(parts, axis=-1) for parts in zip(*again, strict=True)
    )
    for _ in range(_RUNS - 1):
        if not column.size:
            break
        model, bad, density = _try(image, density, noise_of, traps, recipe)
        for index, target in enumerate(out):
            target[:, column[quadrant == index]] = model[:, quadrant == index]
        image, noise_of = image[:, bad], noise_of[bad]
        quadrant, column = quadrant[bad], column[bad]
    return out


def _try(
    image: Floats, density: Floats, noise: Floats, traps: Traps, recipe: Recipe
) -> tuple[Floats, NDArray[np.intp], Floats]:
    """Return the restored image, its over-subtracted columns, and the density to try there."""
    measured = image.astype(np.float64)
    model = _invert(measured, density, noise * noise, traps, recipe.iterations)
    if not recipe.guard:
        return model.astype(np.float32), np.empty(0, np.intp), density[:, :0]
    blocks = (slice(c, c + _BLOCK_COLUMNS) for c in range(0, model.shape[1], _BLOCK_COLUMNS))
    weaker = np.concatenate(
        [over_subtracted(model[:, b], measured[:, b], recipe.threshold) for b in blocks], axis=1
    )
    bad = np.flatnonzero(weaker.any(axis=0))
    weakened = density[:, bad] * (_WEAKER ** weaker[:, bad]).astype(np.float32)
    return model.astype(np.float32), bad, weakened


def _invert(
    measured: Floats, density: Floats, variance: Floats, traps: Traps, iterations: int
) -> Floats:
    model = measured.copy()
    for left in range(iterations, 0, -1):
        seen = read_out(model, density, traps)
        for start in range(0, model.shape[0], _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            excess = seen[rows] - measured[rows]
            if left > 1:  # near the read noise the changes are damped, but not the last ones
                square = excess * excess
                excess *= square / np.maximum(square + variance, _TINY)
            model[rows] -= excess
    return model


def over_subtracted(model: Floats, measured: Floats, threshold: float) -> NDArray[np.int16]:
    """Return how many times the traps at each pixel are to be weakened.

    Over-subtracted is a pixel below `threshold`, two in a row below -12 e- or three below -15 e-,
    if the correction is so too. The cause is the pixel among the ten before it that gained most:
    the traps from there to here are weakened.
    """
    change = model - measured
    bad = np.zeros(model.shape, bool)
    last = model.shape[0] - 2
    if last <= _BACK:
        return np.zeros(model.shape, np.int16)
    bad[:last] = (model[:last] < threshold) & (change[:last] < threshold)
    for count, limit in ((2, _TWO), (3, _THREE)):
        sums = [sum(a[k : last + k] for k in range(count)) for a in (model, change)]
        bad[:last] |= (sums[0] < limit) & (sums[1] < limit)
    bad[:_BACK] = False
    rows, columns = np.nonzero(bad)
    if not rows.size:
        return np.zeros(model.shape, np.int16)
    window = change[rows + np.arange(-_BACK, 1)[:, None], columns]
    best = window.argmax(axis=0)
    best[window[_BACK] >= window.max(axis=0)] = _BACK
    steps = np.zeros((model.shape[0] + 1, model.shape[1]), np.int16)
    np.add.at(steps, (rows - _BACK + best, columns), 1)
    np.subtract.at(steps, (rows + 1, columns), 1)
    out: NDArray[np.int16] = np.cumsum(steps[:-1], axis=0, dtype=np.int16)
    return out
