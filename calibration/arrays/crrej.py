"""Cosmic-ray rejection of exposures of the same field, as calacs's acsrej and calwf3's wf3rej.

acsrej takes each pixel's noise from ERR, wf3rej computes it from read noise and expected signal.
Both go through the rows in order and change their mask as they go, so that what a ray spills into
depends on the order. That order is kept; the work inside a row is vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.crrej_start import BAND_ROWS, initial_guess, sky_levels
from calibration.arrays.dq import COSMIC_RAY

Array = NDArray[Any]

SPILL, EXCLUDED, HIT = 2, 4, 8
_NOT_USED = SPILL | EXCLUDED | HIT


@dataclass(frozen=True)
class Parameters:
    """One row of a CRREJTAB.

    acsrej keeps its marks in a copy of the input's flags, so an input flag of exactly 8 or 2 passes
    for a hit or a spill. `corrected` keeps them apart: such pixels are excluded when `bad_input`
    says so, used otherwise, and no input flag is lost. `mark` (CRMASK): flag the exposures, too.
    """

    sigmas: tuple[float, ...]
    radius: float
    threshold: float
    scale_noise: float
    bad_input: int
    initial: str
    sky: str
    corrected: bool = False
    mark: bool = True


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

    def rows(self, start: int, stop: int) -> Member:
        """Return some rows, as native arrays."""
        rows = slice(start, stop)
        return Member(
            np.asarray(self.sci[rows], dtype=np.float32),
            np.asarray(self.err[rows], dtype=np.float32),
            np.asarray(self.dq[rows], dtype=np.int16),
            self.time,
            self.noise,
        )


@dataclass
class Combined:
    """The combined image, where a ray hit each member, and what was subtracted as sky."""

    sci: Array
    err: Array
    dq: Array
    rays: list[Array]
    skies: list[float]
    rejected: int


def combine(
    members: Sequence[Member],
    parameters: Parameters,
    after_rows: Callable[[], None] = lambda: None,
) -> Combined:
    """Combine exposures into one image free of cosmic rays.

    Parameters
    ----------
    members
        At least one exposure; all of the same shape. Arrays may be memory-mapped as stored: they
        are read some rows at a time, once for each pass.
    parameters
        The rejection's parameters.
    after_rows
        Called now and then, so that the caller can release mapped pages.
    """
    use_sky = parameters.sky.lower().startswith("mode")
    skies = [0.0] * len(members)
    if use_sky:
        skies = sky_levels(members, parameters.bad_input, after_rows)
    ny, nx = members[0].sci.shape
    out = Combined(
        np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32),
        np.zeros((ny, nx), np.int16), [np.empty((ny, nx), bool) for _ in members], skies, 0,
    )  # fmt: skip
    for start in range(0, ny, BAND_ROWS):
        band = _Band.of(members, skies, start, min(start + BAND_ROWS, ny), parameters)
        out.sci[start : start + BAND_ROWS] = initial_guess(band.rates, band.bad, parameters.initial)
        after_rows()
    for number in range(len(parameters.sigmas)):
        _one_pass(members, out, parameters, number, after_rows)
    exposure = np.float32(sum(m.time for m in members))
    out.sci *= exposure
    out.sci += np.float32(max(sum(skies), 0.0))
    if members[0].noise is None:
        out.err[0, 0] = -1.0  # acsrej marks its output so; the dark's errors make it positive again
    out.rejected = sum(int(rays.sum()) for rays in out.rays)
    return out


@dataclass
class _Band:
    """Some rows of all members, native, with their count rates."""

    members: list[Member]
    skies: Sequence[float]
    rates: list[Array]
    bad: list[Array]

    @classmethod
    def of(
        cls,
        members: Sequence[Member],
        skies: Sequence[float],
        start: int,
        stop: int,
        parameters: Parameters,
    ) -> _Band:
        own = [m.rows(start, stop) for m in members]
        rates = [
            (m.sci - np.float32(s)) / np.float32(m.time) for m, s in zip(own, skies, strict=True)
        ]
        return cls(own, skies, rates, [(m.dq & parameters.bad_input) != 0 for m in own])

    def tests(
        self, average: Array, parameters: Parameters, number: int
    ) -> list[tuple[Array, Array]]:
        """Return each member's tests against the average of the pass before."""
        sigma = parameters.sigmas[number]
        if not number:
            first = _first_variance(self.members, self.skies, self.bad, parameters)
            if first is not None:
                return [_first_tests(r, average, first, parameters, sigma) for r in self.rates]
        return [
            _tests(m, r, average, parameters, sigma, s)
            for m, r, s in zip(self.members, self.rates, self.skies, strict=True)
        ]


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
    """Return where a neighbour's ray is believed; without a threshold everywhere, as in hstcal."""
    if parameters.radius <= 0:
        return np.zeros_like(square, bool)
    if parameters.threshold <= 0:
        return np.asarray(square > -limit)
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
        return hit, _touches(square, sigma2 * variance / time2, parameters)
    spill2 = np.float32(parameters.threshold * parameters.threshold) * sigma2
    return hit, square > spill2 * variance / time2


def _one_pass(
    members: Sequence[Member],
    out: Combined,
    parameters: Parameters,
    number: int,
    after_rows: Callable[[], None],
) -> None:
    """Go through the rows once: `out.sci` is the average rate of before, then the new one.

    A band is as high as what its rays can spill into; the marks in those rows go on to the next.
    """
    ny = len(out.sci)
    last = number == len(parameters.sigmas) - 1
    above = math.ceil(parameters.radius)
    marks: list[Array] = []
    for start in range(0, ny, BAND_ROWS):
        stop = min(start + BAND_ROWS, ny)
        end = min(stop + above, ny)
        band = _Band.of(members, out.skies, start, end, parameters)
        masks = [_first_mask(member, parameters) for member in band.members]
        for mask, earlier in zip(masks, marks, strict=False):
            mask[: len(earlier)] = earlier
        tests = band.tests(out.sci[start:end], parameters, number)
        sums = _sum_rows(band, masks, tests, stop - start, parameters)
        safe = np.where(sums.time > 0, sums.time, np.float32(1))
        rows = slice(start, stop)
        fallback = np.float32(0) if last else out.sci[rows]
        out.sci[rows] = np.where(sums.time > 0, sums.rate_sum / safe, fallback)
        marks = [mask[stop - start :].copy() for mask in masks]
        if last:
            exposure = np.float32(sum(m.time for m in members))
            noise = np.sqrt(sums.variance, dtype=np.float64)
            out.err[rows] = np.where(sums.time > 0, (exposure / safe) * noise, 0.0)
            out.dq[rows] = sums.dq
            for rays, mask in zip(out.rays, masks, strict=True):
                here = mask[: stop - start]
                rays[rows] = (here == HIT) | (here == SPILL)
        after_rows()


@dataclass
class _Sums:
    rate_sum: Array
    time: Array
    variance: Array
    dq: Array


def _sum_rows(
    band: _Band,
    masks: Sequence[Array],
    tests: Sequence[tuple[Array, Array]],
    height: int,
    parameters: Parameters,
) -> _Sums:
    """Mark the rays of the band's first rows, in order, and sum what is left."""
    shape = height, masks[0].shape[1]
    zeros = np.zeros(shape, np.float32)
    out = _Sums(zeros, zeros.copy(), zeros.copy(), np.zeros(shape, np.int16))
    # wf3rej adds the sky back, so that this is the signal as it was read
    own = [_variance(m, s) for m, s in zip(band.members, band.skies, strict=True)]
    offsets = _offsets(parameters.radius)
    everywhere = np.empty(shape[1], bool)
    for y in range(height):
        everywhere[:] = True
        for n, member in enumerate(band.members):
            mask = masks[n]
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
            out.rate_sum[y] += np.where(used, band.rates[n][y] * time, np.float32(0))
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
