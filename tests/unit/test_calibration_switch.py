"""calacs's slips and what the switch changes: each slip's effect is shown, and who is nearer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_calibration_crrej import PARAMETERS
from test_calibration_kernel import SCENE, make

from calibration.arrays.crrej import Member, combine
from calibration.arrays.kernel import calibrate
from calibration.arrays.overscan import fit_level
from calibration.simulate.detectors import AmpModel, model
from calibration.simulate.frames import expose, light


def test_the_clip_limit_is_a_whole_number_only_for_calacs() -> None:
    """A line between the truncated limit and the true one is lost to calacs."""
    levels = np.full(400, 10.3)
    levels[::2] += 0.6
    mean = levels.mean()  # 10.6; with 3 x 0.3 e- of scatter or read noise: 11.5, truncated 11
    levels[100] = 11.3
    assert int(mean + 0.9) < levels[100] < mean + 0.9
    calacs, corrected = fit_level(levels, 0.3), fit_level(levels, 0.3, origin=0)
    assert calacs.rejected >= 1
    assert corrected.intercept > calacs.intercept
    everything = np.polynomial.polynomial.polyfit(np.arange(400) - 200, levels, 1)
    assert corrected.intercept == pytest.approx(everything[0], abs=1e-9)


def test_the_line_is_evaluated_twenty_rows_away_only_for_calacs() -> None:
    rows = np.arange(500)
    truth = 1000 + 0.01 * (rows + 20)  # what trimmed row 0, raw row 20, really has
    calacs = fit_level(truth, 100.0).at(rows + 20) - truth
    corrected = fit_level(truth, 100.0, origin=20).at(rows + 20) - truth
    np.testing.assert_allclose(calacs, 20 * 0.01, atol=1e-9)
    np.testing.assert_allclose(corrected, 0, atol=1e-9)


def test_chip_one_with_a_slope_comes_nearer_to_the_truth() -> None:
    detector = model("ACS/WFC", small=True)
    steep = {name: replace(amp, slope=0.05) for name, amp in detector.amps.items()}
    steep = {**steep, "X": AmpModel(1, 1, 1)}
    detector = replace(detector, amps=steep)
    chip = detector.chips[1]
    assert chip.trim_y == (20, 0)
    raw, _, _ = expose(detector, chip, SCENE)
    expected = light(detector, chip, SCENE) * SCENE.seconds

    def offset(corrected: bool) -> tuple[float, ...]:
        prepared = make(detector, chip, raw)
        prepared.corrected = corrected
        result = calibrate(prepared)
        away = np.where(result.dq == 0, result.sci - expected, np.nan)
        return tuple(float(np.nanmedian(away[:, amp.out_x])) for amp in prepared.amps)

    for calacs, corrected, name in zip(offset(False), offset(True), chip.amps, strict=True):
        slip = 20 * 0.05 * detector.amps[name].gain  # two electrons are subtracted too much
        assert corrected - calacs == pytest.approx(slip, abs=0.3)
        assert abs(corrected) < 0.35 < abs(calacs)


def members(flag: int) -> tuple[list[Member], Any]:
    shape = (12, 12)
    out = []
    for _ in range(2):
        dq = np.zeros(shape, np.int16)
        dq[5, 5] = flag
        sci = np.full(shape, 100.0, np.float32)
        out.append(Member(sci, np.full(shape, 10.0, np.float32), dq, 100.0))
    return out, (5, 5)


@pytest.mark.parametrize("flag", [8, 2])
@pytest.mark.parametrize("bad_input", [39, 4])
def test_an_input_flag_is_a_cosmic_ray_only_for_calacs(flag: int, bad_input: int) -> None:
    exposures, at = members(flag)
    parameters = replace(PARAMETERS, bad_input=bad_input)
    calacs = combine(exposures, parameters)
    corrected = combine(exposures, replace(parameters, corrected=True))
    excluded_first = flag & bad_input and flag != 2  # acsrej excludes it before it can pass for one
    if not excluded_first:
        assert all(ray[at] for ray in calacs.rays)
        assert calacs.dq[at] & 8192
    assert not any(ray.any() for ray in corrected.rays)
    assert corrected.dq[at] == flag  # nothing added, and the input's flag is not lost
    assert corrected.rejected == 0
    used = not flag & bad_input
    assert (corrected.sci[at] > 0) == used


def test_real_rays_are_found_alike() -> None:
    exposures, _ = members(0)
    exposures[0].sci[3, 4] += 5000
    exposures[1].sci[8, 2] += 5000
    calacs = combine(exposures, PARAMETERS)
    corrected = combine(exposures, replace(PARAMETERS, corrected=True))
    assert calacs.rays[0][3, 4]
    assert calacs.rays[1][8, 2]
    for ours, theirs in zip(calacs.rays, corrected.rays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(calacs.sci, corrected.sci)
