"""Errors that are true, and a check that a broken rule makes them untrue.

References are drawn anew for each realisation with the errors that they claim, so that ERR must
carry these as well: the scatter of the results is the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_calibration_kernel import make

from calibration.arrays.chip import Chip, Image
from calibration.arrays.kernel import calibrate
from calibration.simulate.detectors import model
from calibration.simulate.frames import Scene, expose, light

SCENE = Scene(seconds=300.0, stars=25, rays=0, seed=5)
REALISATIONS = 40
BIAS_ERROR, DARK_ERROR, FLAT_ERROR = 2.5, 0.025, 0.05
"""DN, e-/s, and a share of the light: each as large as the noise of the pixels."""

DETECTOR = model("ACS/WFC", small=True)
CHIP = DETECTOR.chips[0]


@pytest.fixture(scope="module")
def realisations() -> list[Chip]:
    """Return prepared chips: each with its own noise in the counts and in the references."""
    random = np.random.default_rng(1)
    out = []
    for number in range(REALISATIONS):
        raw, _, _ = expose(DETECTOR, CHIP, SCENE, exposure=number)
        chip = make(DETECTOR, CHIP, raw)
        assert chip.bias is not None
        assert chip.dark is not None
        assert chip.flat is not None
        chip.bias = disturbed(chip.bias, BIAS_ERROR, random)
        chip.dark = disturbed(chip.dark, DARK_ERROR, random)
        chip.flat = disturbed(chip.flat, FLAT_ERROR, random)
        out.append(chip)
    return out


def disturbed(image: Image, error: float, random: np.random.Generator) -> Image:
    noise = random.normal(0, error, image.sci.shape).astype(np.float32)
    # the flat's zero stays one
    sci = np.where(image.sci == 0, np.float32(0), image.sci + noise)
    return Image(sci, np.full(image.sci.shape, error, np.float32), image.dq)


def ratios(chips: list[Chip]) -> dict[tuple[str, str], float]:
    """Return sample sigma / ERR per amplifier, of the sky and of stars."""
    results = [calibrate(chip) for chip in chips]
    sci = np.stack([r.sci for r in results]).astype(np.float64)
    err = np.stack([r.err for r in results]).astype(np.float64)
    good = np.all([r.dq == 0 for r in results], axis=0)
    true = light(DETECTOR, CHIP, SCENE) * SCENE.seconds
    out = {}
    for amp in chips[0].amps:
        here = np.zeros_like(good)
        here[:, amp.out_x] = True
        for name, chosen in (("sky", true < 20), ("stars", (true > 100) & (true < 1000))):
            pixels = good & here & chosen
            sample = sci[:, pixels].var(axis=0, ddof=1).mean()
            out[amp.name, name] = float(np.sqrt(sample / np.square(err[:, pixels]).mean()))
    return out


def copies(chips: list[Chip]) -> list[Chip]:
    return [replace(chip, amps=[replace(amp) for amp in chip.amps]) for chip in chips]


def test_errors_of_counts_and_references_are_true(realisations: list[Chip]) -> None:
    for key, ratio in ratios(copies(realisations)).items():
        assert ratio == pytest.approx(1, abs=0.02 if key[1] == "sky" else 0.04), key


def scaled(name: str, factor: float) -> Callable[[Chip], None]:
    """Return a change of a reference's errors, as a forgotten factor would make it."""

    def change(chip: Chip) -> None:
        image: Any = getattr(chip, name)
        setattr(chip, name, replace(image, err=image.err * np.float32(factor)))

    return change


def read_noise_in_dn(chip: Chip) -> None:
    for amp in chip.amps:
        amp.read_noise /= amp.gain


def foreign_noise(chip: Chip) -> None:
    for amp in chip.amps:
        amp.read_noise *= 1.5


MUTATIONS = {
    "no error of the bias": (scaled("bias", 0.0), "sky"),
    "error of the bias not times gain": (scaled("bias", 1 / 2.0), "sky"),
    "no error of the dark": (scaled("dark", 0.0), "sky"),
    "error of the dark not times DARKTIME": (scaled("dark", 1 / SCENE.seconds), "sky"),
    "no error of the flat": (scaled("flat", 0.0), "stars"),
    "error of the flat not times the light": (scaled("flat", 1e-3), "stars"),
    "read noise in DN": (read_noise_in_dn, "sky"),
    "read noise of another detector": (foreign_noise, "sky"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_forgotten_error_is_noticed(realisations: list[Chip], name: str) -> None:
    change, where = MUTATIONS[name]
    chips = copies(realisations)
    for chip in chips:
        change(chip)
    found = ratios(chips)
    assert any(abs(ratio - 1) > 0.04 for key, ratio in found.items() if key[1] == where), found
