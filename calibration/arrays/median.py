"""Medians of a few images by sorting networks, and the minimum where the median is not trusted.

A network of minimum and maximum operations sorts the values of all pixels at once; only the
exchanges on which the middle depends are made. In blocks that stay in the cache this is several
times faster than sorting pixel by pixel.

Not-a-number in any image gives not-a-number, as `numpy.median` does. Pixels to be left out are
given as a mask instead (`minmed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Exchange = tuple[int, int, bool, bool]

_BLOCK = 1 << 15
_ROWS = 32


@cache
def network(count: int) -> tuple[tuple[int, int], ...]:
    """Return the exchanges (low, high) that sort `count` values (Batcher's odd-even merge)."""
    size = 1
    while size < count:
        size *= 2
    pairs: list[tuple[int, int]] = []
    step = 1
    while step < size:
        inner = step
        while inner >= 1:
            for start in range(inner % step, size - inner, 2 * inner):
                for i in range(start, min(start + inner, size - inner)):
                    if i // (2 * step) == (i + inner) // (2 * step):
                        pairs.append((i, i + inner))
            inner //= 2
        step *= 2
    return tuple((a, b) for a, b in pairs if b < count)


@cache
def pruned(count: int) -> tuple[Exchange, ...]:
    """Return the exchanges that the middle needs: (low, high, minimum needed, maximum needed)."""
    needed = {(count - 1) // 2, count // 2}
    out: list[Exchange] = []
    for a, b in reversed(network(count)):
        if a in needed or b in needed:
            out.append((a, b, a in needed, b in needed))
            needed |= {a, b}
    return tuple(reversed(out))


def median(planes: Sequence[F32]) -> F32:
    """Return the median of images of one shape, exactly as `numpy.median` along a first axis.

    Parameters
    ----------
    planes
        Contiguous float32 images. The mean of the two in the middle when their number is even.
    """
    count = len(planes)
    out = np.empty(planes[0].shape, np.float32)
    flat, target = [np.ascontiguousarray(p).reshape(-1) for p in planes], out.reshape(-1)
    spare = np.empty((count + 1, _BLOCK), np.float32)
    for start in range(0, target.size, _BLOCK):
        stop = min(start + _BLOCK, target.size)
        values = [f[start:stop] for f in flat]
        free = [s[: stop - start] for s in spare]
        owned = [False] * count
        for a, b, low, high in pruned(count):
            _exchange(values, owned, free, (a, b, low, high))
        low_middle, high_middle = values[(count - 1) // 2], values[count // 2]
        if count % 2:
            target[start:stop] = low_middle
        else:
            np.add(low_middle, high_middle, out=target[start:stop])
            target[start:stop] *= np.float32(0.5)
    return out


def _exchange(values: list[F32], owned: list[bool], free: list[F32], pair: Exchange) -> None:
    """Sort two values; the inputs are not written to, blocks no longer needed are used again."""
    a, b, low, high = pair
    x, y = values[a], values[b]
    smaller = np.minimum(x, y, out=free.pop()) if low else x
    if high:
        values[b] = np.maximum(x, y, out=y if owned[b] else free.pop())
        owned[b] = True
    if low:
        if owned[a]:
            free.append(x)
        values[a], owned[a] = smaller, True


def minmed(
    planes: Sequence[F32],
    valid: Sequence[NDArray[np.bool_]],
    variance: Sequence[float],
    times: Sequence[float],
    *,
    sigmas: tuple[float, float] = (4.0, 3.0),
    use_minimum: bool = True,
) -> tuple[F32, NDArray[np.bool_]]:
    """Return the median rate, or the minimum where the median is too high to be true.

    With few images the median of a pixel that two cosmic rays hit, and with two images any mean,
    is too high. The highest value is left out (of two, their mean is taken); where the minimum
    lies more than ``sigmas[0]`` below it (``sigmas[1]`` beside such a pixel) the minimum is taken.
    This is AstroDrizzle's `minmed`.

    Parameters
    ----------
    planes, valid
        Rates (electrons per second), and which pixels count.
    variance
        Of each image, of a pixel without a source: sky and read noise in electrons squared.
    times
        Exposure times in seconds.
    sigmas
        The two limits.
    use_minimum
        False takes the plain median of all valid values: right for many images.

    Returns
    -------
    tuple
        The combined rate (0 where no image is valid), and where it is valid.
    """
    out, covered = np.empty(planes[0].shape, np.float32), np.empty(planes[0].shape, bool)
    for start in range(0, len(out), _ROWS):  # with a margin for what is beside: cache-sized
        stop = min(start + _ROWS, len(out))
        first, last = max(start - 1, 0), min(stop + 1, len(out))
        middle, here = _minmed(
            [p[first:last] for p in planes], [v[first:last] for v in valid],
            variance, times, sigmas if use_minimum else None,
        )  # fmt: skip
        out[start:stop] = middle[start - first : stop - first]
        covered[start:stop] = here[start - first : stop - first]
    return out, covered


def _minmed(
    planes: Sequence[F32],
    valid: Sequence[NDArray[np.bool_]],
    variance: Sequence[float],
    times: Sequence[float],
    sigmas: tuple[float, float] | None,
) -> tuple[F32, NDArray[np.bool_]]:
    count = np.zeros(planes[0].shape, np.int8)
    for v in valid:
        count += v
    ordered = [np.where(v, p, np.float32(np.inf)) for p, v in zip(planes, valid, strict=True)]
    for a, b in network(len(planes)):
        low = np.minimum(ordered[a], ordered[b])
        np.maximum(ordered[a], ordered[b], out=ordered[b])
        ordered[a] = low
    left_out = 1 if sigmas is not None and len(planes) > 2 else 0
    middle = np.zeros(planes[0].shape, np.float32)
    for number in range(1, len(planes) + 1):
        kept = max(number - left_out, 1)
        here = count == number
        low, high = ordered[(kept - 1) // 2], ordered[kept // 2]
        middle[here] = (low[here] + high[here]) * np.float32(0.5)
    covered = count > 0
    if sigmas is None:
        return middle, covered
    time, noise = np.zeros_like(middle), np.zeros_like(middle)
    for v, t, s in zip(valid, times, variance, strict=True):
        time += v * np.float32(t)
        noise += v * np.float32(s)
    minimum = np.where(covered, ordered[0], np.float32(0))
    sigma = np.sqrt(np.maximum(middle * time + noise, 0))
    depth = (middle - minimum) * time
    beside = grown(depth > sigmas[0] * sigma)
    limit = np.where(beside, np.float32(sigmas[1]), np.float32(sigmas[0])) * sigma
    return np.where(depth > limit, minimum, middle), covered


def grown(mask: NDArray[np.bool_], radius: int = 1) -> NDArray[np.bool_]:
    """Return where a square of ``2 radius + 1`` pixels around holds any of `mask`."""
    out = mask
    for axis in (0, 1):
        wide = out.copy()
        for shift in range(1, radius + 1):
            ahead, behind = [slice(None)] * 2, [slice(None)] * 2
            ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
            wide[tuple(ahead)] |= out[tuple(behind)]
            wide[tuple(behind)] |= out[tuple(ahead)]
        out = wide
    return out
