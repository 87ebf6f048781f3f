"""Median, minimum, and cosmic rays in one exposure against the median of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.arrays.driz_cr import Limits, clipped_median, derivative, rays
from calibration.arrays.median import grown, median, minmed, network

VALUES = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=60)
@given(st.integers(1, 9).flatmap(lambda n: arrays(np.float32, (n, 5, 7), elements=VALUES)))
def test_the_median_is_numpys(cube: np.ndarray) -> None:
    before = cube.copy()
    np.testing.assert_array_equal(median(list(cube)), np.median(cube, axis=0))
    np.testing.assert_array_equal(cube, before)


def test_the_median_of_more_than_one_block() -> None:
    cube = np.random.default_rng(0).normal(size=(4, 300, 301)).astype(np.float32)
    np.testing.assert_array_equal(median(list(cube)), np.median(cube, axis=0))


def test_not_a_number_in_any_image_gives_none() -> None:
    cube = np.arange(20, dtype=np.float32).reshape(4, 5)
    cube[2, 3] = np.nan
    assert np.isnan(median(list(cube))).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("count", range(1, 9))
def test_networks_sort_everything(count: int) -> None:
    """Zero-one principle: a network that sorts all sequences of 0 and 1 sorts all."""
    cube = (np.arange(2**count) >> np.arange(count)[:, None]) & 1
    for a, b in network(count):
        cube[a], cube[b] = np.minimum(cube[a], cube[b]), np.maximum(cube[a], cube[b])
    assert (np.diff(cube, axis=0) >= 0).all()


def slow_minmed(
    values: Sequence[float], noise: Sequence[float], times: Sequence[float], sigma: float
) -> float:
    """One pixel by the words of the definition; `values` are the valid ones of three or more."""
    kept = sorted(values)[: max(len(values) - 1, 1)]
    middle, time = float(np.median(kept)), sum(times)
    limit = sigma * max(middle * time + sum(noise), 0) ** 0.5
    return min(values) if (middle - min(values)) * time > limit else middle


@settings(max_examples=100)
@given(
    arrays(np.float32, (4,), elements=st.floats(-1, 200, width=32)),
    arrays(bool, (4,)),
)
def test_minmed_is_its_definition(values: np.ndarray, valid: np.ndarray) -> None:
    times, noise = [100.0, 200.0, 100.0, 50.0], [20.0, 30.0, 25.0, 10.0]
    found, covered = minmed(
        [np.full((1, 1), v, np.float32) for v in values], [np.full((1, 1), v) for v in valid],
        noise, times,
    )  # fmt: skip
    assert covered[0, 0] == valid.any()
    used = [i for i in range(4) if valid[i]]
    if not used:
        assert found[0, 0] == 0
        return
    # Alone, a pixel below 4 sigma is also beside itself: then 3 sigma make no difference.
    expected = slow_minmed(
        [float(values[i]) for i in used], [noise[i] for i in used], [times[i] for i in used], 4.0
    )
    assert found[0, 0] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_highest_of_three_is_left_out() -> None:
    planes = [np.full((1, 1), v, np.float32) for v in (1.15, 1.0, 1.1)]
    valid = [np.ones((1, 1), bool)] * 3
    noise, times = [25.0] * 3, [100.0] * 3
    assert minmed(planes, valid, noise, times)[0][0, 0] == pytest.approx(1.05)
    plain, _ = minmed(planes, valid, noise, times, use_minimum=False)
    assert plain[0, 0] == pytest.approx(1.1)


def test_a_ray_in_one_of_two_is_not_in_the_combination() -> None:
    clean = np.full((9, 9), 1.0, np.float32)
    hit = clean.copy()
    hit[4, 4] = 30.0
    valid = [np.ones((9, 9), bool)] * 2
    found, _ = minmed([clean, hit], valid, [25.0, 25.0], [100.0, 100.0])
    np.testing.assert_array_equal(found, clean)
    mean, _ = minmed([clean, hit], valid, [25.0, 25.0], [100.0, 100.0], use_minimum=False)
    assert mean[4, 4] == pytest.approx(15.5)


def test_a_weaker_one_beside_a_found_one_is_replaced_too() -> None:
    clean = np.full((9, 9), 1.0, np.float32)
    hit = clean.copy()
    # sqrt(1.x * 200 + 50) is about 16 electrons: 3.5 sigma are 0.28 of the mean's rate.
    hit[4, 4], hit[4, 5], hit[0, 0] = 30.0, 1.60, 1.60
    found, _ = minmed([clean, hit], [np.ones((9, 9), bool)] * 2, [25.0, 25.0], [100.0, 100.0])
    assert found[4, 5] == 1.0
    assert found[0, 0] == pytest.approx(1.3)


def test_growing() -> None:
    mask = np.zeros((5, 6), bool)
    mask[0, 0] = mask[3, 4] = True
    found = grown(mask)
    assert found.sum() == 4 + 9
    assert found[2:5, 3:6].all()
    assert grown(mask, 2).sum() == 9 + 4 * 4 - 2
    assert mask.sum() == 2


def test_the_derivative_is_the_largest_step_to_a_neighbour() -> None:
    image = np.array([[1, 2, 4], [0, 0, 0], [7, 0, 0]], np.float32)
    assert derivative(image).tolist() == [[1, 2, 4], [7, 2, 4], [7, 7, 0]]


def direct(image: np.ndarray, model: np.ndarray, sky: float, noise: float) -> np.ndarray:
    """The scheme pixel by pixel."""
    ny, nx = image.shape
    slope = derivative(model)
    excess = np.abs(image - model)
    sigma = np.sqrt(np.abs(model + sky) + noise**2)
    first = excess > 1.2 * slope + 3.5 * sigma
    out = np.zeros((ny, nx), bool)
    for y in range(ny):
        for x in range(nx):
            near = first[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any()
            out[y, x] = near and excess[y, x] > 0.7 * slope[y, x] + 3.0 * sigma[y, x]
    return out


def test_rays_are_found_as_the_scheme_says() -> None:
    random = np.random.default_rng(5)
    model = random.gamma(1.0, 30.0, (300, 40)).astype(np.float32)
    image = model + random.normal(0, 12, model.shape) + 200 * (random.random(model.shape) < 0.1)
    image = image.astype(np.float32)
    found = rays(image, model, 20.0, 5.0)
    np.testing.assert_array_equal(found, direct(image, model, 20.0, 5.0))
    assert 0 < found.sum() < found.size
    assert rays(image, model, 20.0, 5.0, Limits(noise=(9.0, 8.0))).sum() < found.sum()


def test_the_flank_of_a_shifted_star_is_no_ray_but_a_hit_on_it_is() -> None:
    yy, xx = np.mgrid[0:41, 0:41]
    star, moved = (
        20000 * np.exp(-((xx - x) ** 2 + (yy - 20) ** 2) / (2 * 1.1**2)) for x in (20.0, 20.1)
    )
    image, model = (a.astype(np.float32) for a in (star, moved))
    assert not rays(image, model, 10.0, 5.0).any()
    flat = np.zeros_like(model)
    assert rays(image, flat, 10.0, 5.0)[20, 20]  # without the slope it would be one
    image[10, 10] += 200
    assert np.argwhere(rays(image, model, 10.0, 5.0)).tolist() == [[10, 10]]


def test_the_sky_is_the_median_without_stars() -> None:
    random = np.random.default_rng(1)
    values = random.normal(50.0, 5.0, 20_000).astype(np.float32)
    values[:300] += 3000
    assert clipped_median(values) == pytest.approx(50.0, abs=0.15)
    assert clipped_median(np.empty(0, np.float32)) == 0.0
    assert clipped_median(np.full(7, 3.0, np.float32)) == 3.0
