"""The CCD kernel on simulated frames: known bias, dark and flat go in, the light comes out.

The mutation tests break one rule at a time and demand that the closure notices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.arrays.chip import Amp, Chip, Counts, Image, Result
from calibration.arrays.dark_flat import dark_and_flat
from calibration.arrays.kernel import calibrate
from calibration.simulate.detectors import ChipModel, Model, model
from calibration.simulate.frames import Scene, expose, light
from calibration.simulate.references import a_to_d_values, flat_field, truth

SCENE = Scene(seconds=300.0, stars=25, rays=0, seed=5)
BRIGHT = Scene(seconds=300.0, stars=25, rays=0, seed=5, sky=2.0)


def make(detector: Model, chip: ChipModel, raw: Any, *, seconds: float = SCENE.seconds) -> Chip:
    known = truth(detector, chip)
    nx = detector.raw_width
    sections = [(6, detector.trim_x), (nx - detector.trim_x, nx - 6)]
    if len(chip.amps) == 1:
        overscan: list[tuple[tuple[int, int], ...]] = [tuple(sections)]
    elif detector.gap:
        half = detector.gap // 2 - 3
        overscan = [((nx // 2 - half, nx // 2),), ((nx // 2, nx // 2 + half),)]
    else:
        overscan = [(sections[0],), (sections[1],)]
    amps = [
        Amp(
            a, detector.amps[a].gain, detector.amps[a].read_noise, detector.amps[a].level,
            detector.science(chip, a), detector.columns(chip, a)[1], overscan[i],
        )
        for i, a in enumerate(chip.amps)
    ]  # fmt: skip
    shape = (detector.height, detector.width)
    small = np.full(shape, 1e-4, np.float32)
    zero = np.zeros(raw.shape, np.int16)
    counts = Counts(
        gain=float(np.mean([detector.amps[a].gain for a in "ABCD" if a in detector.amps])),
        lookup=a_to_d_values(detector).astype(np.float32),
        flash=Image(*(np.full(raw.shape, v, np.float32) for v in (detector.flash, 1e-3)), zero),
        flash_time=detector.flash_time,
    )
    return Chip(
        counts=None if detector.instrument == "ACS" else counts,
        raw=raw,
        zero=0.0,
        dq=np.zeros(raw.shape, np.int16),
        amps=amps,
        trim_y=chip.trim_y[0],
        shape=shape,
        serious=31743,
        a_to_d_limit=65534,
        bias=Image(known.bias, np.full(raw.shape, 0.05, np.float32), known.bias_dq),
        dark=Image(known.dark, small, known.dark_dq),
        dark_time=seconds,
        flat=Image(flat_field(detector, chip, known.flat), small, np.zeros(shape, np.int16)),
        full_well_level=detector.saturation,
        electrons=detector.instrument == "ACS",
    )


def pulls(detector: Model, chip: ChipModel, prepared: Chip) -> Any:
    """Return (measured - true) / ERR of good pixels."""
    result = calibrate(prepared)
    sci, err = result.sci, result.err
    expected = light(detector, chip, SCENE) * SCENE.seconds
    good = result.dq == 0
    return ((sci - expected) / err)[good]


CASES = [
    pytest.param("ACS/HRC", 0, id="hrc"),
    pytest.param("ACS/WFC", 0, id="wfc-chip2"),
    pytest.param("ACS/WFC", 1, id="wfc-chip1"),
    pytest.param("WFC3/UVIS", 0, id="uvis-chip2"),
    pytest.param("WFC3/UVIS", 1, id="uvis-chip1"),
]


@pytest.mark.parametrize(("name", "which"), CASES)
def test_closure_recovers_the_light(name: str, which: int) -> None:
    detector = model(name, small=True)
    chip = detector.chips[which]
    raw, _, _ = expose(detector, chip, SCENE)
    pull = pulls(detector, chip, make(detector, chip, raw))
    assert abs(float(np.median(pull))) < 0.05
    assert 0.9 < float(pull.std()) < 1.1


def swap_gains(chip: Chip) -> None:
    a, b = chip.amps
    a.gain, b.gain = b.gain, a.gain


def swap_overscan(chip: Chip) -> None:
    a, b = chip.amps
    a.overscan, b.overscan = b.overscan, a.overscan


def wrong_dark_time(chip: Chip) -> None:
    chip.dark_time = 0.0


def no_bias(chip: Chip) -> None:
    chip.bias = None


def bias_in_electrons(chip: Chip) -> None:
    """Bias after gain instead of before."""
    assert chip.bias is not None
    chip.bias = replace(chip.bias, sci=chip.bias.sci / np.float32(chip.amps[0].gain))


def no_flat(chip: Chip) -> None:
    chip.flat = None


def flat_times(chip: Chip) -> None:
    assert chip.flat is not None
    with np.errstate(divide="ignore"):
        inverse = np.where(chip.flat.sci > 0, 1 / chip.flat.sci, 0)
    chip.flat = replace(chip.flat, sci=inverse.astype(np.float32))


def row_shift(chip: Chip) -> None:
    chip.trim_y += 1 if chip.trim_y == 0 else -1


@pytest.mark.parametrize(
    "mutate",
    [
        swap_gains, swap_overscan, wrong_dark_time, no_bias, bias_in_electrons, no_flat,
        flat_times, row_shift,
    ],
)  # fmt: skip
def test_each_broken_rule_is_noticed(mutate: Callable[[Chip], None]) -> None:
    detector = model("ACS/WFC", small=True)
    chip = detector.chips[0]
    raw, _, _ = expose(detector, chip, BRIGHT, noise=False)
    control = calibrate(make(detector, chip, raw))
    broken = make(detector, chip, raw)
    mutate(broken)
    result = calibrate(broken)
    expected = light(detector, chip, BRIGHT) * BRIGHT.seconds
    good = (control.dq == 0) & (result.dq == 0)

    def error(item: Result) -> float:
        return float(np.sqrt(((item.sci - expected)[good] ** 2).mean()))

    # what is left is the rounding to whole DN, 2 / sqrt(12) electrons, and the level's error
    assert error(control) < 0.75
    assert error(result) > 1.1 * error(control)


def test_err_is_the_scatter_of_noise_realisations() -> None:
    detector = model("ACS/HRC", small=True)
    chip = detector.chips[0]
    results = []
    for n in range(60):
        raw, _, _ = expose(detector, chip, SCENE, exposure=n)
        prepared = make(detector, chip, raw)
        assert prepared.bias is not None
        prepared.bias = replace(prepared.bias, err=np.zeros_like(prepared.bias.err))
        results.append(calibrate(prepared))
    stack = np.stack([r.sci for r in results])
    good = results[0].dq == 0
    measured = np.sqrt(stack.var(axis=0, ddof=1)[good].mean())
    claimed = np.sqrt(np.mean([np.square(r.err[good]).mean() for r in results]))
    assert claimed == pytest.approx(measured, rel=0.02)


def test_flags() -> None:
    detector = model("ACS/HRC", small=True)
    chip = detector.chips[0]
    raw, _, _ = expose(detector, chip, SCENE)
    raw = raw.copy()
    raw[50, 60] = 65535
    result = calibrate(make(detector, chip, raw))
    x = 60 - detector.trim_x
    assert result.dq[50, x] & 2048
    assert result.dq[3, 5] & 512  # the flat's zero
    assert not result.dq[50, x - 1] & 2304
    assert float(result.sci[3, 5]) == pytest.approx(float(result.sci[3, 5]))


def test_full_well_is_a_strict_limit() -> None:
    detector = model("ACS/HRC", small=True)
    chip = detector.chips[0]
    raw, _, _ = expose(detector, chip, SCENE)
    prepared = make(detector, chip, raw)
    prepared.dark = prepared.flat = None
    level = float(calibrate(prepared).sci.max())
    prepared.full_well_level = level
    assert not (calibrate(prepared).dq & 256).any()
    prepared.full_well_level = np.nextafter(np.float32(level), np.float32(0))
    assert (calibrate(prepared).dq & 256).any()


def test_the_state_before_dark_is_kept_when_asked() -> None:
    detector = model("ACS/HRC", small=True)
    chip = detector.chips[0]
    raw, _, _ = expose(detector, chip, SCENE)
    prepared = make(detector, chip, raw)
    both = calibrate(prepared, keep_before=True)
    assert both.before is not None
    again = dark_and_flat(both.before, prepared.dark, prepared.dark_time, prepared.flat)
    np.testing.assert_array_equal(again.sci, both.sci)
    np.testing.assert_array_equal(again.err, both.err)
    np.testing.assert_array_equal(again.dq, both.dq)
