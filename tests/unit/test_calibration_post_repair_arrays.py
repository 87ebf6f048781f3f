"""Bias shift, cross talk and stripes against their definitions, sample by sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from calibration.arrays.bias_shift import CONSTANTS, remove_bias_shift
from calibration.arrays.crosstalk import remove_cross_talk
from calibration.arrays.destripe import destripe
from calibration.arrays.post_repair import amp_view

NY, NX = 60, 80


def frame(seed: int, level: float = 4600.0) -> Any:
    random = np.random.default_rng(seed)
    out = random.normal(level, 4.0, (NY, NX))
    out[20:30, 40:60] += 30000
    return out.astype(np.float32)


@pytest.mark.parametrize("amp", sorted(CONSTANTS))
def test_the_shift_is_the_recursion_over_all_samples(amp: str) -> None:
    view = frame(1)
    tau, sensitivity = CONSTANTS[amp]
    pixels = view.astype(np.float64)
    rows = slice(NY - 11, NY - 1)
    level = pixels[rows, 13:23].mean()
    samples = np.concatenate([pixels, np.full((NY, 146), level)], axis=1).ravel()
    f = 1 - math.exp(-1 / (tau * 1000 / 22))
    dc = [0.3 * level]
    for value in samples:
        dc.append(0.3 * f * value + (1 - f) * dc[-1])
    now, then = np.array(dc[1:]), np.array(dc[:-1])
    fixed = (samples - sensitivity * now - 10 / 22 * (now - then)).reshape(NY, -1)[:, :NX]
    after = fixed[rows, 13:23].mean()
    shift = remove_bias_shift(view, amp)
    assert shift.before == pytest.approx(level, abs=1e-9)
    assert shift.after == pytest.approx(after, abs=1e-9)
    np.testing.assert_allclose(view, fixed - after, atol=2e-3, rtol=0)  # float32 of 3e4
    np.testing.assert_array_equal(view, (fixed - after).astype(np.float32))


def test_cross_talk_goes_along_the_row_in_place() -> None:
    image = frame(2, level=10.0)
    expected = image.copy()
    for row in expected:
        for j in range(NX):
            row[j] += np.float32(9.1e-5 * float(row[NX - 1 - j]))
    remove_cross_talk(image)
    np.testing.assert_array_equal(image, expected)


def test_the_views_have_the_amplifier_at_the_lower_left() -> None:
    image = np.arange(NY * NX, dtype=np.float32).reshape(NY, NX)
    first = {amp: float(amp_view(image, amp)[0, 0]) for amp in "ABCD"}
    assert first == {"A": image[-1, 0], "B": image[-1, -1], "C": image[0, 0], "D": image[0, -1]}
    assert all(amp_view(image, amp).shape == (NY, NX // 2) for amp in "ABCD")


def stripes(seed: int = 3) -> tuple[list[Any], Any, Any]:
    """Return four quadrants with the same stripes, the stripes, and the quadrants without them."""
    random = np.random.default_rng(seed)
    ny, nx = 400, 120
    stripe = random.normal(0, 8, ny)
    at = np.arange(ny)[:, None] + (np.arange(nx) - 11.5) / (nx + 146)
    low = np.clip(np.floor(at), 0, ny - 2).astype(int)
    pattern = stripe[low] + (at - low) * (stripe[low + 1] - stripe[low])
    plain = [random.normal(0, 1, (ny, nx)) + 3 * k for k in range(4)]
    for quadrant in plain:
        quadrant[: ny - 20, 24:] += 30.0  # light
    views = [(quadrant + pattern).astype(np.float32) for quadrant in plain]
    return views, stripe, plain


def test_stripes_and_levels_go_and_light_stays() -> None:
    views, _, _ = stripes()
    found = destripe(views)
    assert found.fixed + found.skipped == 400
    assert found.fixed >= 380
    for k, view in enumerate(views):
        assert found.levels[k] == pytest.approx(3 * k, abs=1.5)
        light = view[50:350, 24:]
        assert float(light.mean()) == pytest.approx(30.0, abs=0.2)
        # what is left of stripes of 8 electrons: the prescans' noise, 1 / sqrt(24 x 4)
        assert float(light.mean(axis=1).std()) < 0.3


def test_a_row_beside_saturation_has_no_part_in_its_stripe() -> None:
    views, _, _ = stripes()
    reference = [view.copy() for view in views]
    destripe(reference)
    views[0][100, 24:30] = 80000  # flagged by the guard columns
    views[0][100, :24] += 12.0  # and its prescan is wrong
    destripe(views)
    away = np.abs(views[1][100, 24:] - reference[1][100, 24:])
    assert away.max() < 0.5
    views, _, _ = stripes()
    views[0][100, :24] += 12.0  # the same without saturation is believed
    destripe(views)
    assert np.abs(views[1][100, 24:] - reference[1][100, 24:]).max() > 1.5


def test_a_noisy_prescan_is_not_used_and_one_quadrant_is_not_enough() -> None:
    views, _, _ = stripes()
    for view in views[:3]:
        view[200, 0:24:2] += 40
        view[200, 1:24:2] -= 40
    before = views[3].copy()
    found = destripe(views)
    level = before[200, 24:] - views[3][200, 24:]
    # the row's own stripe is 0, so only the next row's comes in along the line
    assert float(abs(level[0] - found.levels[3])) < 1.0
