"""Cosmic-ray rejection of the imsets of one file, as calstis-2 (ocrreject) does it.

Unlike acsrej and wf3rej it looks at whole images: a ray spills in all directions, and only
BADINPDQ excludes a pixel. Source: hstcal, calstis-2 (crrej_init, crrej_loop, crrej_sky).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.crrej import HIT, SPILL, Combined, Member, Parameters
from calibration.arrays.crrej_start import peak
from calibration.arrays.dq import COSMIC_RAY

Array = NDArray[Any]
ZERO = np.float32(0)
LOWEST_SKY = -1000


def combine_imsets(members: Sequence[Member], parameters: Parameters) -> Combined:
    """Combine imsets (DN, each with its noise model) into one image free of cosmic rays.

    With no exposure time at all (bias frames) the imsets count equally.
    """
    use_sky = parameters.sky.lower().startswith("mode")
    skies = [sky_level(m) if use_sky else 0.0 for m in members]
    times = [np.float32(m.time) for m in members]
    if not any(times):
        times = [np.float32(1)] * len(members)
    rates = [(m.sci - np.float32(s)) / t for m, s, t in zip(members, skies, times, strict=True)]
    average, first = _guess(members, rates, skies, times, parameters)
    excluded = [(m.dq & parameters.bad_input) != 0 for m in members]
    masks: list[Array] = []
    total = variance = np.zeros_like(average)
    last = len(parameters.sigmas) - 1
    for number, sigma in enumerate(parameters.sigmas):
        rate_sum, total, variance = (np.zeros_like(average) for _ in range(3))
        masks = []
        for n, (member, rate) in enumerate(zip(members, rates, strict=True)):
            limits = first, first
            if number or first is None:
                limits = _limits(member, average, skies[n], times[n], parameters)
            mask = _rays(rate - average, limits, excluded[n], parameters, sigma)
            good = (mask == 0) & ~excluded[n]
            masks.append(mask)
            rate_sum += np.where(good, rate * times[n], ZERO)
            total += np.where(good, times[n], ZERO)
            if number == last:
                signal = np.maximum(rate * times[n] + np.float32(skies[n]), ZERO)
                variance += np.where(good, _noise(member, signal, signal, parameters), ZERO)
        safe = np.where(total > 0, total, np.float32(1))
        average = np.where(total > 0, rate_sum / safe, ZERO if number == last else average)
    exposure = np.float32(sum(times))
    safe = np.where(total > 0, total, np.float32(1))
    noise = np.sqrt(variance, dtype=np.float64)
    err = np.where(total > 0, noise / safe * exposure, 0.0).astype(np.float32)
    sci = (average * exposure + np.float32(sum(skies))).astype(np.float32)
    hit = [mask != 0 for mask in masks]
    dq = np.zeros(average.shape, np.int16)
    for member in members:
        dq |= member.dq & ~np.int16(COSMIC_RAY)
    dq |= np.logical_and.reduce(hit) * np.int16(COSMIC_RAY)
    return Combined(sci, err, dq, hit, skies, sum(int(h.sum()) for h in hit))


def sky_level(member: Member) -> float:
    """Return one imset's sky: the peak of its histogram in bins of 1 DN, refined by a parabola."""
    values = member.sci[member.dq == 0]
    if not values.size:
        return 0.0
    lowest = min(float(values.min()), 0.0)
    low = LOWEST_SKY if lowest < LOWEST_SKY else int(lowest) - 1
    mean = float(values.sum(dtype=np.float64)) / values.size
    high = 1 if mean <= 0 else int(mean + 1) * 2
    index = values.astype(np.int64) - low
    bins = high - low + 1
    histogram = np.bincount(index[(index >= 0) & (index < bins)], minlength=bins)
    return peak(histogram, low, 1.0)


def _noise(member: Member, signal: Array, source: Array, parameters: Parameters) -> Array:
    assert member.noise is not None
    scale = np.float32(parameters.scale_noise / 100) * source
    return np.asarray(member.noise.variance(signal) + scale * scale)


def _guess(
    members: Sequence[Member],
    rates: Sequence[Array],
    skies: Sequence[float],
    times: Sequence[np.float32],
    parameters: Parameters,
) -> tuple[Array, Array | None]:
    """Return the first average, and of the minimum its variance."""
    if parameters.initial.lower().startswith("med"):
        return np.median(np.stack(rates), axis=0).astype(np.float32), None
    average: Array | None = None
    variance: Array | None = None
    for member, rate, sky, time in zip(members, rates, skies, times, strict=True):
        source = np.maximum(member.sci - np.float32(sky), ZERO)
        own = _noise(member, member.sci, source, parameters) / (time * time)
        if average is None or variance is None:
            average, variance = rate, own
            continue
        lower = rate < average
        average, variance = np.where(lower, rate, average), np.where(lower, own, variance)
    assert average is not None
    return average, variance


def _limits(
    member: Member, average: Array, sky: float, time: np.float32, parameters: Parameters
) -> tuple[Array, Array]:
    """Return the variances for a hit (with SCALENSE) and for what it spills into (without)."""
    assert member.noise is not None
    signal = average * time + np.float32(sky)
    source = np.maximum(signal - np.float32(sky), ZERO)
    plain = member.noise.variance(signal) / (time * time)
    return _noise(member, signal, source, parameters) / (time * time), plain


def _rays(
    deviation: Array,
    limits: tuple[Array | None, Array | None],
    excluded: Array,
    parameters: Parameters,
    sigma: float,
) -> Array:
    """Return the mask of one imset: HIT, SPILL or 0."""
    assert limits[0] is not None
    assert limits[1] is not None
    square = deviation * deviation
    sigma2 = np.float32(sigma * sigma)
    over = square > sigma2 * limits[0]
    near = np.float32(parameters.threshold * parameters.threshold)
    touched = square > near * sigma2 * limits[1]
    if parameters.threshold <= 0:
        touched = np.ones_like(over)
    offsets = _offsets(parameters.radius)
    # A ray makes an excluded neighbour spill; if that one comes later, it is tested as a hit.
    later = [o for o in offsets if o > (0, 0)]
    hits = over & ~excluded
    waiting = over & excluded & touched
    while waiting.any():
        more = waiting & _spread(hits, later) & ~hits
        if not more.any():
            break
        hits |= more
    spill = _spread(hits, offsets) & touched & ~hits
    return np.where(hits, HIT, np.where(spill, SPILL, 0)).astype(np.int16)


def _offsets(radius: float) -> list[tuple[int, int]]:
    reach = int(radius + 1e-5)
    span = range(-reach, reach + 1)
    return [(y, x) for y in span for x in span if (y or x) and x * x + y * y <= radius * radius]


def _spread(hits: Array, offsets: Sequence[tuple[int, int]]) -> Array:
    """Return where some hit lies at one of the offsets before."""
    out = np.zeros_like(hits)
    ny, nx = hits.shape
    for dy, dx in offsets:
        to = slice(max(dy, 0), ny + min(dy, 0)), slice(max(dx, 0), nx + min(dx, 0))
        at = slice(max(-dy, 0), ny + min(-dy, 0)), slice(max(-dx, 0), nx + min(-dx, 0))
        out[to] |= hits[at]
    return out
