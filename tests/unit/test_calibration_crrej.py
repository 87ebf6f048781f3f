"""Cosmic-ray rejection against a plain, pixel-by-pixel version of acsrej's loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from calibration.arrays.crrej import (
    Member,
    Parameters,
    combine,
    initial_guess,
    sky_levels,
)

PARAMETERS = Parameters((6.5, 5.5, 4.5), 2.1, 0.5555, 30.0, 39, "min", "none")
F = np.float32


def plain_masks(members: Sequence[Member], p: Parameters) -> tuple[list[np.ndarray], np.ndarray]:
    """Go through every pixel in acsrej's order; return the last masks and the output DQ."""
    rates = [m.sci / F(m.time) for m in members]
    average = initial_guess(rates, [(m.dq & p.bad_input) != 0 for m in members], p.initial)
    ny, nx = average.shape
    reach = math.ceil(p.radius)
    for sigma in p.sigmas:
        masks = [m.dq.astype(int) for m in members]
        total, time = np.zeros((ny, nx), F), np.zeros((ny, nx), F)
        out_dq = np.zeros((ny, nx), int)
        for y in range(ny):
            everywhere = np.ones(nx, bool)
            for n, m in enumerate(members):
                mask = masks[n]
                t2 = F(m.time) * F(m.time)
                s2 = F(sigma * sigma)
                out_dq[y] |= mask[y] & ~(2 | 8192)
                for x in range(nx):
                    if mask[y, x] & p.bad_input and mask[y, x] != 2:
                        mask[y, x] = 4
                for x in range(nx):
                    signal = F(p.scale_noise / 100) * max(average[y, x] * F(m.time), F(0))
                    var = m.err[y, x] * m.err[y, x]
                    d = rates[n][y, x] - average[y, x]
                    if mask[y, x] == 4 or not d * d > s2 * (var + signal * signal) / t2:
                        continue
                    mask[y, x] = 8
                    for dy in range(reach + 1):
                        for dx in range(-reach, reach + 1):
                            yy, xx = y + dy, x + dx
                            inside = 0 <= yy < ny and 0 <= xx < nx
                            if not inside or dx * dx + dy * dy > p.radius**2 or (dy, dx) == (0, 0):
                                continue
                            e = rates[n][yy, xx] - average[yy, xx]
                            limit = F(p.threshold * p.threshold) * s2 * m.err[yy, xx] ** 2 / t2
                            if e * e > limit and mask[yy, xx] != 8:
                                mask[yy, xx] = 2
                everywhere &= np.isin(mask[y], (8, 2))
                used = (mask[y] & 14) == 0
                total[y] += np.where(used, rates[n][y] * F(m.time), F(0))
                time[y] += np.where(used, F(m.time), F(0))
            out_dq[y, everywhere] |= 8192
        average = np.where(time > 0, total / np.where(time > 0, time, F(1)), average).astype(F)
    return masks, out_dq


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("initial", ["min", "med"])
@pytest.mark.parametrize("band", [128, 5])
def test_same_as_the_plain_loop(
    seed: int, initial: str, band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibration.arrays.crrej.BAND_ROWS", band)
    random = np.random.default_rng(seed)
    members = []
    for time in (100.0, 150.0, 80.0)[: 2 + seed % 2]:
        sci = random.poisson(50, (24, 26)).astype(F) * F(time / 100)
        err = np.sqrt(sci + 20).astype(F)
        for _ in range(25):
            y, x = random.integers(0, 24), random.integers(0, 24)
            sci[y, x : x + 3] += random.uniform(30, 4000)
        dq = np.where(random.random((24, 26)) < 0.15, random.choice([1, 2, 4, 8, 16, 32]), 0)
        members.append(Member(sci, err, dq.astype(np.int16), time))
    p = Parameters((6.5, 5.5, 4.5), 2.1, 0.5555, 30.0, 39, initial, "none")
    masks, dq = plain_masks(members, p)
    combined = combine(members, p)
    for ours, plain in zip(combined.rays, masks, strict=True):
        np.testing.assert_array_equal(ours, np.isin(plain, (2, 8)))
    np.testing.assert_array_equal(combined.dq, dq)


def scene(rays: int, seed: int = 4) -> tuple[list[Member], list[np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    yy, xx = np.mgrid[0:100, 0:100]
    truth = np.full((100, 100), 0.3)
    for x, y, flux in ((30, 30, 200.0), (70, 55, 40.0), (50, 80, 900.0)):
        truth += flux * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 2.4) / 7.5
    members, where = [], []
    for time in (200.0, 300.0, 250.0):
        sci = random.poisson(truth * time).astype(F) + random.normal(0, 4.5, truth.shape).astype(F)
        err = np.sqrt(np.maximum(sci, 0) + F(20))
        hit = np.zeros(truth.shape, bool)
        for _ in range(rays):
            y, x = random.integers(2, 97, 2)
            sci[y, x] += random.uniform(15, 100) * err[y, x]
            hit[y, x] = True
        members.append(Member(sci, err, np.zeros(truth.shape, np.int16), time))
        where.append(hit)
    return members, where, truth


def test_complete_pure_and_no_star_core_flagged() -> None:
    members, where, truth = scene(rays=40)
    combined = combine(members, PARAMETERS)
    faint = truth < 1.0
    found = sum(int((r & h & faint).sum()) for r, h in zip(combined.rays, where, strict=True))
    injected = sum(int((h & faint).sum()) for h in where)
    assert found >= 0.95 * injected
    near = [np.zeros_like(h) for h in where]
    for n, hit in enumerate(where):
        for y, x in np.argwhere(hit):
            near[n][max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = True
    false = sum(int((r & ~m).sum()) for r, m in zip(combined.rays, near, strict=True))
    assert false <= 0.01 * sum(int(r.sum()) for r in combined.rays)
    clean, _, _ = scene(rays=0)
    for mask in combine(clean, PARAMETERS).rays:
        assert not mask[30, 30]
        assert not mask[80, 50]


def test_sum_and_error_without_rays() -> None:
    members, _, truth = scene(rays=0)
    combined = combine(members, PARAMETERS)
    total = sum(m.time for m in members)
    pull = (combined.sci - truth * total)[1:] / combined.err[1:]
    assert abs(float(pull.mean())) < 0.06
    assert 0.9 < float(pull.std()) < 1.1
    assert combined.err[0, 0] == -1


def test_sky_is_the_mode() -> None:
    random = np.random.default_rng(2)
    sci = random.normal(64.3, 5, (200, 200)).astype(F)
    sci[::40, ::40] += 5000
    member = Member(sci, np.ones_like(sci), np.zeros(sci.shape, np.int16), 10.0)
    assert sky_levels([member], 39)[0] == pytest.approx(64.3, abs=1.0)


def test_a_pixel_hit_everywhere_is_flagged_in_the_sum() -> None:
    members, _, _ = scene(rays=0)
    dq = members[0].dq.copy()
    dq[10, 10] = 8
    flagged = [Member(m.sci, m.err, dq, m.time) for m in members]
    assert combine(flagged, PARAMETERS).dq[10, 10] & 8192


def test_without_a_threshold_all_neighbours_of_a_ray_are_rejected() -> None:
    """hstcal: CRTHRESH of 0 or less believes every neighbour, not none."""
    flat = np.full((9, 9), 50, F)
    members = [Member(flat.copy(), np.full((9, 9), 7, F), np.zeros((9, 9), np.int16), 10.0)
               for _ in range(2)]  # fmt: skip
    members[0].sci[4, 4] = 5000
    found = combine(members, Parameters((4.0,), 1.0, 0.0, 0.0, 0, "min", "none")).rays[0]
    assert np.argwhere(found).tolist() == [[4, 3], [4, 4], [4, 5], [5, 4]]
