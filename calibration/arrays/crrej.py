"""Cosmic-ray rejection of exposures of the same field, as calacs's acsrej and calwf3's wf3rej.

acsrej takes each pixel's noise from ERR, wf3rej computes it from read noise and expected signal.
Both go through the rows in order and change their mask as they go, so that what a ray spills into
depends on the order. That order is kept; the work inside a row is vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.dq import COSMIC_RAY

Array = NDArray[Any]

SPILL, EXCLUDED, HIT = 2, 4, 8
_NOT_USED = SPILL | EXCLUDED | HIT


@dataclass(frozen=True)
class Parameters:
    """One row of a CRREJTAB.

    acsrej keeps its marks in a copy of the input's flags, so an input flag of exactly 8 or 2 passes
    for a hit or a spill. `corrected` keeps them apart: such pixels are excluded when `bad_input`
    says so, used otherwise, and no input flag is lost.
    """

    sigmas: tuple[float, ...]
    radius: float
    threshold: float
    scale_noise: float
    bad_input: int
    initial: str
    sky: str
    corrected: bool = False


@dataclass(frozen=True)
class Noise:
    """Where a pixel's noise is computed: (read noise / gain)**2 in DN**2, and e-/DN.

    Both are float32 arrays that broadcast over the image (one value per column, or one).
    """

    read: Array
    gain: Array

    def variance(self, signal: Array) -> Array:
        """Return the variance (DN**2) of pixels with this signal (DN, sky included)."""
        return self.read + np.maximum(signal, np.float32(0)) / self.gain


@dataclass(frozen=True)
class Member:
    """One exposure: electrons (or DN, with `noise`), errors, flags, and the exposure time."""

    sci: Array
    err: Array
    dq: Array
    time: float
    noise: Noise | None = None


@dataclass
class Combined:
    """The combined image, the final mask of each member, and what was subtracted as sky."""

    sci: Array
    err: Array
    dq: Array
    masks: list[Array]
    skies: list[float]
    rejected: int

    @property
    def rays(self) -> list[Array]:
        """Pixels of each member that a cosmic ray hit."""
        return [(mask == HIT) | (mask == SPILL) for mask in self.masks]


def sky_levels(members: Sequence[Member], bad_input: int) -> list[float]:
    """Return each member's sky: the peak of its histogram, refined by a parabola."""
    first = members[0].sci[(members[0].dq & bad_input) == 0]
    if not first.size:
        return [0.0] * len(members)
    low = int(max(float(first.min()), -15000.0))
    mean = int(float(first.sum(dtype=np.float64)) / first.size + 1)
    high = 2 * mean - low
    bins, width = high - low + 1, 1.0
    if bins < 1000:
        bins = 1000
    elif bins > 10000:
        bins, width = 10000, bins / 10000
    return [_mode(m.sci[m.dq == 0], low, width, bins) for m in members]


def _mode(values: Array, low: int, width: float, bins: int) -> float:
    index = np.trunc((values - np.float32(low)) / np.float32(width)).astype(np.int64)
    histogram = np.bincount(index[(index >= 0) & (index < bins)], minlength=bins)
    return peak(histogram, low, width)


def peak(histogram: Array, low: int, width: float) -> float:
    """Return where a histogram has its peak, refined by a parabola."""
    top = int(histogram.argmax())
    offset = np.float32(0)
    if 0 < top < len(histogram) - 1:
        d1 = np.float32(histogram[top] - histogram[top - 1])
        d2 = np.float32(histogram[top] - histogram[top + 1])
        offset = np.float32(0.5) * (d1 - d2) / (d1 + d2) if d1 + d2 else offset
    # single precision, as in acsrej: the last bit of the sky shows in the combined image
    middle = np.float32(top) + np.float32(0.5) + offset
    return float(middle * np.float32(width) + np.float32(low))


def initial_guess(rates: Sequence[Array], bad: Sequence[Array], how: str) -> Array:
    """Return the first average: the minimum (a bad pixel puts 0) or the median of good ones."""
    if how.lower().startswith("med"):
        stack = np.stack([np.where(b, np.nan, r) for r, b in zip(rates, bad, strict=True)])
        count = (~np.isnan(stack)).sum(axis=0)
        ordered = np.sort(stack, axis=0)
        pick = np.take_along_axis
        low = pick(ordered, np.maximum(count - 1, 0)[None] // 2, axis=0)[0]
        high = pick(ordered, np.minimum(count // 2, len(rates) - 1)[None], axis=0)[0]
        middle = (low + high) / np.float32(2)
        return np.where(count > 0, middle, np.float32(0)).astype(np.float32)
    average = np.where(bad[0], np.float32(0), rates[0])
    for rate, flagged in zip(rates[1:], bad[1:], strict=True):
        lower = rate < average
        average = np.where(lower, np.where(flagged, np.float32(0), rate), average)
    return average.astype(np.float32)


def combine(members: Sequence[Member], parameters: Parameters) -> Combined:
    """Combine exposures into one image free of cosmic rays.

    Parameters
    ----------
    members
        At least one exposure; all of the same shape.
    parameters
        The rejection's parameters.
    """
    use_sky = parameters.sky.lower().startswith("mode")
    skies = sky_levels(members, parameters.bad_input) if use_sky else [0.0] * len(members)
    rates = [
        (m.sci - np.float32(s)) / np.float32(m.time) for m, s in zip(members, skies, strict=True)
    ]
    bad = [(m.dq & parameters.bad_input) != 0 for m in members]
    average = initial_guess(rates, bad, parameters.initial)
    first = _first_variance(members, skies, bad, parameters)
    last = len(parameters.sigmas) - 1
    for number, sigma in enumerate(parameters.sigmas):
        tests = [
            _tests(m, r, average, parameters, sigma, s)
            if number or first is None
            else _first_tests(r, average, first, parameters, sigma)
            for m, r, s in zip(members, rates, skies, strict=True)
        ]
        state = _one_pass(members, rates, skies, tests, parameters)
        total = state.time
        fallback = np.float32(0) if number == last else average
        safe = np.where(total > 0, total, np.float32(1))
        average = np.where(total > 0, state.rate_sum / safe, fallback).astype(np.float32)
    exposure = np.float32(sum(m.time for m in members))
    sci = average * exposure + np.float32(max(sum(skies), 0.0))
    safe = np.where(state.time > 0, state.time, np.float32(1))
    noise = np.sqrt(state.variance, dtype=np.float64)
    err = np.where(state.time > 0, (exposure / safe) * noise, 0.0).astype(np.float32)
    if members[0].noise is None:
        err[0, 0] = -1.0  # acsrej marks its output so; the dark's errors make it positive again
    rejected = sum(int(((m == HIT) | (m == SPILL)).sum()) for m in state.masks)
    return Combined(sci, err, state.dq, state.masks, skies, rejected)


@dataclass
class _Pass:
    rate_sum: Array
    time: Array
    variance: Array
    dq: Array
    masks: list[Array]


def _offsets(radius: float) -> list[tuple[int, int]]:
    """Return where a ray spills to: sideways and to higher rows, never back to lower ones."""
    reach = math.ceil(radius)
    return [
        (dy, dx)
        for dy in range(reach + 1)
        for dx in range(-reach, reach + 1)
        if (dy or dx) and dx * dx + dy * dy <= radius * radius
    ]


def _first_variance(
    members: Sequence[Member], skies: Sequence[float], bad: Sequence[Array], parameters: Parameters
) -> Array | None:
    """Return wf3rej's variance of the first pass: that of the rate which is the minimum."""
    if members[0].noise is None or parameters.initial.lower().startswith("med"):
        return None
    scale = np.float32(parameters.scale_noise / 100)
    lowest: Array | None = None
    variance: Array | None = None
    for member, sky, flagged in zip(members, skies, bad, strict=True):
        assert member.noise is not None
        signal = np.maximum(member.sci - np.float32(sky), np.float32(0)) * scale
        time = np.float32(member.time)
        own = (member.noise.variance(member.sci) + signal * signal) / (time * time)
        own = np.where(flagged, np.float32(0), own)
        rate = (member.sci - np.float32(sky)) / time
        kept = np.where(flagged, np.float32(0), rate)
        if lowest is None or variance is None:
            lowest, variance = kept, own
            continue
        lower = rate < lowest
        lowest, variance = np.where(lower, kept, lowest), np.where(lower, own, variance)
    return variance


def _first_tests(
    rate: Array, average: Array, variance: Array, parameters: Parameters, sigma: float
) -> tuple[Array, Array]:
    deviation = rate - average
    square = deviation * deviation
    limit = np.float32(sigma * sigma) * variance
    return square > limit, _touches(square, limit, parameters)


def _touches(square: Array, limit: Array, parameters: Parameters) -> Array:
    """Return where a neighbour's ray is believed: not when the table gives no radius."""
    if parameters.threshold <= 0 or parameters.radius <= 0:
        return np.zeros_like(square, bool)
    return np.asarray(square > np.float32(parameters.threshold * parameters.threshold) * limit)


def _tests(  # noqa: PLR0917 - what one test needs
    member: Member,
    rate: Array,
    average: Array,
    parameters: Parameters,
    sigma: float,
    sky: float,
) -> tuple[Array, Array]:
    """Return where a pixel is a hit, and where it is touched by a neighbour's."""
    time = np.float32(member.time)
    time2 = time * time
    deviation = rate - average
    square = deviation * deviation
    if member.noise is None:
        variance = member.err * member.err
    else:
        variance = member.noise.variance(average * time + np.float32(sky))
    scale = np.float32(parameters.scale_noise / 100)
    signal = scale * np.maximum(average * time, np.float32(0))
    sigma2 = np.float32(sigma * sigma)
    hit = square > sigma2 * (variance + signal * signal) / time2
    if parameters.threshold <= 0 or parameters.radius <= 0:
        return hit, np.zeros_like(hit)
    spill2 = np.float32(parameters.threshold * parameters.threshold) * sigma2
    return hit, square > spill2 * variance / time2


def _one_pass(
    members: Sequence[Member],
    rates: Sequence[Array],
    skies: Sequence[float],
    tests: Sequence[tuple[Array, Array]],
    parameters: Parameters,
) -> _Pass:
    shape = rates[0].shape
    zeros = np.zeros(shape, np.float32)
    out = _Pass(zeros, zeros.copy(), zeros.copy(), np.zeros(shape, np.int16), [])
    own = []
    for member, sky in zip(members, skies, strict=True):
        out.masks.append(_first_mask(member, parameters))
        # wf3rej adds the sky back, so that this is the signal as it was read
        own.append(_variance(member, sky))
    offsets = _offsets(parameters.radius)
    everywhere = np.empty(shape[1], bool)
    for y in range(shape[0]):
        everywhere[:] = True
        for n, member in enumerate(members):
            mask = out.masks[n]
            row = mask[y]
            if parameters.corrected:
                reached = member.dq[y] & ~np.int16(COSMIC_RAY)
            else:
                reached = row & ~np.int16(SPILL | COSMIC_RAY)
                row[((row & parameters.bad_input) != 0) & (row != SPILL)] = EXCLUDED
            _flag_row(mask, y, tests[n], offsets)
            out.dq[y] |= reached
            everywhere &= (row == HIT) | (row == SPILL)
            used = (row & _NOT_USED) == 0
            time = np.float32(member.time)
            out.rate_sum[y] += np.where(used, rates[n][y] * time, np.float32(0))
            out.time[y] += np.where(used, time, np.float32(0))
            out.variance[y] += np.where(used, own[n][y], np.float32(0))
        out.dq[y, everywhere] |= np.int16(COSMIC_RAY)
    return out


def _variance(member: Member, sky: float) -> Array:
    """Return each pixel's own variance, which the combined error is made of."""
    if member.noise is None:
        return member.err * member.err
    time = np.float32(member.time)
    signal = (member.sci - np.float32(sky)) / time * time + np.float32(sky)
    return member.noise.variance(signal)


def _first_mask(member: Member, parameters: Parameters) -> Array:
    """Return the marks with which a pass begins."""
    if parameters.corrected:
        bad = (member.dq & parameters.bad_input) != 0
        return np.where(bad, np.int16(EXCLUDED), np.int16(0))
    return np.array(member.dq, dtype=np.int16)


def _flag_row(
    mask: Array,
    y: int,
    tests: tuple[Array, Array],
    offsets: Sequence[tuple[int, int]],
) -> None:
    """Flag one row of one member: mark hits, and what they spill into."""
    hit, touched = tests
    row = mask[y]
    columns = _hits(row, hit[y], touched[y], offsets)
    if not columns.size:
        return
    row[columns] = HIT
    ny, nx = mask.shape
    for dy, dx in offsets:
        if y + dy >= ny:
            break
        near = columns + dx
        near = near[(near >= 0) & (near < nx)]
        near = near[touched[y + dy, near] & (mask[y + dy, near] != HIT)]
        mask[y + dy, near] = SPILL


def _hits(row: Array, hit: Array, touched: Array, offsets: Sequence[tuple[int, int]]) -> Array:
    """Return the columns of a row that are hits.

    A hit turns an excluded neighbour on its right into spill before that neighbour is tested, so
    the neighbour may become a hit itself: the search goes on until nothing changes.
    """
    found = hit & (row != EXCLUDED)
    waiting = hit & touched & (row == EXCLUDED)
    if waiting.any():
        rightward = [dx for dy, dx in offsets if dy == 0 and dx > 0]
        while True:
            reach = np.zeros_like(found)
            for dx in rightward:
                reach[dx:] |= found[:-dx]
            more = waiting & reach & ~found
            if not more.any():
                break
            found = found | more
    return np.flatnonzero(found)
