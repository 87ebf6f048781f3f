"""Rejection with a noise model: wf3rej and calstis's ocrreject against plain pixel loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.arrays.crrej import Combined, Member, Noise, Parameters, combine
from calibration.arrays.ocrreject import combine_imsets, sky_level

F = np.float32
PARAMETERS = Parameters((6.5, 5.5, 4.5), 1.5, 0.6, 10.0, 39, "min", "none")
READ, GAIN, SHAPE = 9.0, 2.0, (14, 16)
NOISE = Noise(np.full((1, 1), READ, F), np.full((1, 1), GAIN, F))
Masks = list[np.ndarray[Any, Any]]


def members(count: int = 3, seed: int = 4) -> list[Member]:
    random = np.random.default_rng(seed)
    out = []
    for n in range(count):
        time = 100.0 * (n + 1)
        sci = random.normal(0.5 * time, math.sqrt(READ + 0.5 * time / GAIN), SHAPE).astype(F)
        for _ in range(4):
            y, x = random.integers(1, 12), random.integers(1, 12)
            sci[y, x : x + 3] += 900
            sci[y + 1, x] += 60
            sci[y - 1, x] += 60
        dq = (random.random(SHAPE) < 0.06).astype(np.int16) * np.int16(4)
        dq[random.random(SHAPE) < 0.02] |= 16
        out.append(Member(sci, np.zeros(SHAPE, F), dq, time, NOISE))
    return out


def plain(items: Sequence[Member], p: Parameters, *, stis: bool) -> tuple[Masks, Any, Any]:
    """Go through all pixels in the programs' order; return the last masks, SCI and ERR."""
    scale = p.scale_noise / 100
    rates = [m.sci / F(m.time) for m in items]
    bad = [(m.dq & p.bad_input) != 0 for m in items]
    average = np.where(bad[0] & (not stis), F(0), rates[0])

    def variance(m: Member, signal: Any, *, scaled: bool) -> Any:
        signal = np.maximum(signal, 0)
        return READ + signal / GAIN + ((scale * signal) ** 2 if scaled else 0)

    first = np.where(bad[0] & (not stis), 0, variance(items[0], items[0].sci, scaled=stis))
    if not stis:
        first = np.where(bad[0], 0, variance(items[0], items[0].sci, scaled=True))
    first = first / items[0].time ** 2
    for m, r, b in list(zip(items, rates, bad, strict=True))[1:]:
        lower, use = r < average, ~b | stis
        own = variance(m, m.sci, scaled=True) / m.time**2
        average = np.where(lower, np.where(use, r, 0), average)
        first = np.where(lower, np.where(use, own, 0), first)
    reach = int(p.radius + 1e-5) if stis else math.ceil(p.radius)
    ny, nx = SHAPE
    for number, sigma in enumerate(p.sigmas):
        masks = [
            np.where(b, 4, 0) if stis else m.dq.astype(int) for m, b in zip(items, bad, strict=True)
        ]
        total, time, noise = np.zeros(SHAPE), np.zeros(SHAPE), np.zeros(SHAPE)
        for n, m in enumerate(items):
            mask = masks[n]
            signal = average * m.time
            hit_at = variance(m, signal, scaled=True) / m.time**2 if number else first
            spill_at = variance(m, signal, scaled=False) / m.time**2 if number else first
            square = (rates[n] - average).astype(float) ** 2
            for y in range(ny):
                if not stis:
                    mask[y] = np.where((mask[y] & p.bad_input != 0) & (mask[y] != 2), 4, mask[y])
                for x in range(nx):
                    if mask[y, x] == 4 or not square[y, x] > sigma**2 * hit_at[y, x]:
                        continue
                    mask[y, x] = 8
                    for dy in range(-reach if stis else 0, reach + 1):
                        for dx in range(-reach, reach + 1):
                            yy, xx = y + dy, x + dx
                            inside = 0 <= yy < ny and 0 <= xx < nx
                            if not inside or dx * dx + dy * dy > p.radius**2:
                                continue
                            limit = p.threshold**2 * sigma**2 * spill_at[yy, xx]
                            if square[yy, xx] > limit and mask[yy, xx] != 8:
                                mask[yy, xx] = 2
                if not stis:
                    used = mask[y] & 14 == 0
                    total[y] += used * m.sci[y]
                    time[y] += used * m.time
                    noise[y] += used * variance(m, m.sci[y], scaled=False)
            if stis:
                total += (mask == 0) * m.sci
                time += (mask == 0) * m.time
                noise += (mask == 0) * variance(m, m.sci, scaled=True)
        average = np.where(time > 0, total / np.maximum(time, 1), average)
    whole = sum(m.time for m in items)
    sci = np.where(time > 0, average, 0) * whole
    return masks, sci, np.where(time > 0, np.sqrt(noise) / np.maximum(time, 1) * whole, 0)


@pytest.mark.parametrize("stis", [False, True], ids=["wf3rej", "ocrreject"])
@pytest.mark.parametrize("seed", range(4))
def test_masks_and_image_are_those_of_the_plain_loops(stis: bool, seed: int) -> None:
    items = members(3, seed)
    result: Combined = (combine_imsets if stis else combine)(items, PARAMETERS)
    masks, sci, err = plain(items, PARAMETERS, stis=stis)
    assert result.rejected > 20
    for ours, theirs in zip(result.rays, masks, strict=True):
        np.testing.assert_array_equal(ours, (theirs == 8) | (theirs == 2))
    np.testing.assert_allclose(result.sci, sci, rtol=1e-5)
    np.testing.assert_allclose(result.err, err, rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"threshold": 5.0}, {"radius": 0.5}, {"scale_noise": 60.0}, {"bad_input": 0},
     {"initial": "med"}, {"sigmas": (6.5,)}],
)  # fmt: skip
def test_every_parameter_counts(change: dict[str, Any]) -> None:
    items = members()
    for program in (combine, combine_imsets):
        before, after = program(items, PARAMETERS), program(items, replace(PARAMETERS, **change))
        assert not np.array_equal(before.err, after.err)


def test_a_ray_of_stis_spills_to_lower_rows_and_one_of_wfc3_does_not() -> None:
    zero = np.zeros(SHAPE, np.int16)
    items = [Member(np.full(SHAPE, 50, F), zero, zero.copy(), 100.0, NOISE) for _ in range(3)]
    items[1].sci[7, 7], items[1].sci[6, 7] = 900, 85
    assert combine_imsets(items, PARAMETERS).rays[1][6, 7]
    assert not combine(items, PARAMETERS).rays[1][6, 7]


def test_all_imsets_without_exposure_time_count_equally() -> None:
    items = [replace(m, time=0.0) for m in members(2)]
    result = combine_imsets(items, replace(PARAMETERS, sigmas=(50.0,)))
    good = (items[0].dq == 0) & (items[1].dq == 0) & ~result.rays[0] & ~result.rays[1]
    total = items[0].sci + items[1].sci
    np.testing.assert_allclose(result.sci[good], total[good], rtol=1e-5)


def test_sky_of_stis_is_the_peak() -> None:
    random = np.random.default_rng(1)
    sci = random.normal(20.4, 3, (200, 200)).astype(F)
    sci[:20] = 500
    member = Member(sci, sci, np.zeros(sci.shape, np.int16), 1.0, NOISE)
    assert sky_level(member) == pytest.approx(20.4, abs=1.0)
