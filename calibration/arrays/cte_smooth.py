"""The smoothest image that differs from the observed one by no more than read noise.

CTE correction sharpens, and would sharpen read noise as well; it is therefore made for this image.
The recipe, weights and limits are those of hstcal 10.5 (`cteSmoothImage`), after Jay Anderson.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration.arrays.cte_traps import Floats

PASSES = 100
_BLOCK = 16
_STEP = 0.75
_QUARTER = np.float32(0.25)
_NINTH = np.float32(1 / 9)
_ENOUGH = 1e-5
_NO_NOISE = 0.1
#: Pixels that are nearer to zero than this in both images do not count: they hold no data.
_NO_DATA = np.float32(0.1)


def smooth(image: Floats, read_noise: float) -> Floats:
    """Return the smooth image of one amplifier.

    Parameters
    ----------
    image
        Electrons, (rows, columns), rows along the transfer.
    read_noise
        e-. Below 0.1 nothing is smoothed.

    Returns
    -------
    float32. At most `PASSES` small adjustments are made; they end when the scatter of what was
    taken away is the read noise.
    """
    observed = np.ascontiguousarray(image, dtype=np.float32)
    if read_noise < _NO_NOISE:
        return observed.copy()
    # One row more at both ends, equal to its neighbour: beyond the edge nothing pulls.
    now, then = _framed(observed), _framed(observed)
    for _ in range(PASSES):
        now, then = then, now
        total, count = 0.0, 0
        for start in range(0, observed.shape[0], _BLOCK):
            rows = slice(start, min(start + _BLOCK, observed.shape[0]))
            block = then[rows.start + 1 : rows.stop + 1]
            block = block + np.float32(_STEP) * _pull(observed, then, rows, np.float32(read_noise))
            now[rows.start + 1 : rows.stop + 1] = block
            squares, number = _scatter(observed[rows], block)
            total, count = total + squares, count + number
        now[0], now[-1] = now[1], now[-2]
        if read_noise - np.sqrt(total / max(count, 1)) < _ENOUGH:
            break
    return now[1:-1]


def _framed(image: Floats) -> Floats:
    return np.concatenate((image[:1], image, image[-1:]))


def _scatter(observed: Floats, block: Floats) -> tuple[float, int]:
    """Return sum of squares and number of the noise taken away so far."""
    noise = observed - block
    empty = (np.abs(observed) <= _NO_DATA) & (np.abs(block) <= _NO_DATA)
    empties = int(np.count_nonzero(empty))
    if empties:
        noise[empty] = 0
    flat = noise.ravel()
    return float(np.dot(flat, flat)), noise.size - empties


def _pull(observed: Floats, framed: Floats, rows: slice, noise: Any) -> Floats:
    """Return where the pixels of these rows tend to, with everything weighted.

    Back to what was observed, and with the mean of 3 x 3 pixels back to theirs; towards the pixel
    before and the one behind, less so the more they differ.
    """
    here = framed[rows.start + 1 : rows.stop + 1]
    limit, four = noise * np.float32(0.33), np.float32(4) * noise * noise
    own = observed[rows] - here
    out: Floats = np.clip(own, -1, 1) * _strong(own, four)
    around = _mean_of_nine(observed, framed, rows)
    out += np.clip(around, -limit, limit) * _strong(around, np.float32(4.5) * four)
    for neighbour in (framed[rows.start : rows.stop], framed[rows.start + 2 : rows.stop + 2]):
        towards = neighbour - here
        out += np.clip(towards, -limit, limit) * (four / (towards * towards + four))
    out *= _QUARTER
    return out


def _strong(value: Floats, scale: Any) -> Floats:
    square: Floats = value * value
    out: Floats = square / (square + scale)
    return out


def _mean_of_nine(observed: Floats, framed: Floats, rows: slice) -> Floats:
    """Return the mean of what was taken away around each pixel; zero at the frame's edges."""
    height = observed.shape[0]
    first, end = max(rows.start - 1, 0), min(rows.stop + 1, height)
    taken = observed[first:end] - framed[first + 1 : end + 1]
    out = np.zeros((rows.stop - rows.start, observed.shape[1]), np.float32)
    inner = slice(max(rows.start, 1) - rows.start, min(rows.stop, height - 1) - rows.start)
    if taken.shape[0] < 3 or taken.shape[1] < 3:
        return out
    three = taken[:-2] + taken[1:-1] + taken[2:]
    out[inner, 1:-1] = (three[:, :-2] + three[:, 1:-1] + three[:, 2:]) * _NINTH
    return out
