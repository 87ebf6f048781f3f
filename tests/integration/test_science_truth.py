"""What goes in comes out: closure, true errors, cosmic rays found, flags where they belong.

Exposures come from the simulator's command and go through the nodes; what is true is known from the
simulator. The limits are those of an instrument scientist, not of a program that runs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration_site import Site, make_site
from truth_support import FOLDERS, Field, flagged_rays, predicted_flags, pulls

from calibration.arrays.crrej import Member, Parameters, combine
from calibration.fits import read, write
from calibration.fits.files import image_hdu
from calibration.fits.planes import image_sets
from calibration.simulate.frames import Scene

BINS = 4
CASES = {
    "ACS/HRC": (200, 100, True),
    "ACS/WFC": (100, 150, True),
    "WFC3/UVIS": (100, 150, True),
    "STIS/CCD": (12, 1500, False),
}
"""Exposures, stars per chip, small format: thousands of measurements in each bin."""


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.partition("/")[2].lower())
def field(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Field:
    count, stars, small = CASES[request.param]
    root = new_site(tmp_path_factory, "field")
    scene = Scene(seconds=300.0, stars=stars, rays=0, seed=11)
    field = Field.make(root, request.param, count, scene, small=small)
    field.calibrate()
    return field


def new_site(factory: pytest.TempPathFactory, name: str) -> Path:
    root = factory.mktemp(name)
    for folder in FOLDERS:
        (root / folder).mkdir()
    return root


def test_the_light_of_stars_is_recovered(field: Field) -> None:
    """Pulls of aperture sums: per amplifier and in every magnitude bin 0 +- 0.05 and 1 +- 0.05."""
    found = pulls(field)
    for amp, (_, values) in found.items():
        assert abs(values.mean()) < 0.05, amp
        assert values.std() == pytest.approx(1, abs=0.05), amp
    electrons = np.concatenate([pair[0] for pair in found.values()])
    values = np.concatenate([pair[1] for pair in found.values()])
    edges = np.geomspace(electrons.min(), electrons.max() * 1.001, BINS + 1)
    for low, high in pairwise(edges):
        inside = values[(electrons >= low) & (electrons < high)]
        assert inside.size > 2500
        assert abs(inside.mean()) < 0.05, (low, high)
        assert inside.std() == pytest.approx(1, abs=0.05), (low, high)


def test_err_is_the_scatter_of_many_realisations(field: Field) -> None:
    """Per amplifier, for sky, faint and bright pixels: sample sigma / ERR within 2 %."""
    for number, chip, amp, columns in field.amplifiers():
        sci, err, dq = field.stacks[number]
        true = field.light(chip)
        good = (dq == 0).all(axis=0)
        good[:, : columns.start] = good[:, columns.stop :] = False
        for low, high in ((0, 20), (20, 100), (100, np.inf)):
            chosen = good & (true >= low) & (true < high)
            assert chosen.sum() > 500
            sample = sci[:, chosen].var(axis=0, ddof=1, dtype=np.float64).mean()
            claimed = np.square(err[:, chosen], dtype=np.float64).mean()
            assert np.sqrt(sample / claimed) == pytest.approx(1, abs=0.02), (amp, low)


# Cosmic rays


@pytest.fixture(scope="module", params=["ACS/HRC", "ACS/WFC"])
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Field:
    root = new_site(tmp_path_factory, "split")
    scene = Scene(seconds=300.0, stars=60, rays=90, seed=21)
    field = Field.make(root, request.param, 4, scene, small=True)
    field.calibrate()
    field.node("CRCOMB", field.association, tuple(field.names))
    return field


def test_cosmic_rays_are_found_and_stars_are_not(split: Field) -> None:
    found = flagged_rays(split)
    assert found.strong > 200
    assert found.completeness >= 0.95
    assert found.purity >= 0.99
    assert found.exact >= 0.9
    assert found.star_cores == 0


def test_the_combined_image_is_free_of_rays_and_its_errors_are_true(split: Field) -> None:
    path = split.root / "work" / split.association / f"{split.association}_crj.fits"
    for number, chip in enumerate(split.detector.chips):
        images = image_sets(read(path), path.name)[number]
        assert images.err is not None
        assert images.dq is not None
        good = images.dq.image() == 0
        hit = split.rays(chip).any(axis=0) & good
        true = split.light(chip) * len(split.names)
        pull = (images.sci.image() - true) / images.err.image()
        sky = good & ~hit & (true < 20 * len(split.names))
        off, noise = (images.sci.image() - true)[sky], images.err.image()[sky]
        typical = np.sqrt(np.square(noise, dtype=np.float64).mean())
        assert off.std() / typical == pytest.approx(1, abs=0.05)
        assert abs(off.mean()) / typical < 0.05
        # A ray upon a star stays below SCALENSE, 30 % of the star: the few of these do not count.
        assert abs(np.median(pull[hit])) < 0.2
        low, high = np.percentile(pull[hit], [16, 84])
        assert (high - low) / 2 == pytest.approx(1, abs=0.15)


def test_without_spill_every_flagged_pixel_is_hit(split: Field) -> None:
    found = flagged_rays(split, [np.stack(combine(members(split), crr(radius=0.0)).rays)])
    assert found.exact >= 0.99
    assert found.completeness >= 0.95


def crr(**changes: Any) -> Parameters:
    return replace(Parameters((6.5, 5.5, 4.5), 2.1, 0.5555, 30.0, 39, "min", "mode"), **changes)


def members(field: Field, **changes: float) -> list[Member]:
    out = []
    for number, name in enumerate(field.names):
        path = field.root / "work" / name / f"{name}_blv_tmp.fits"
        images = image_sets(read(path), path.name)[0]
        assert images.err is not None
        assert images.dq is not None
        sci = images.sci.image() + np.float32(changes.get("pedestal", 0.0) if number else 0)
        err = images.err.image() * np.float32(changes.get("err", 1.0))
        out.append(Member(sci, err, images.dq.image(), field.scene.seconds))
    return out


@pytest.mark.parametrize(
    ("change", "parameters", "right"),
    [
        pytest.param({}, {}, True, id="control"),
        pytest.param({"err": 0.5}, {}, False, id="errors in DN"),
        pytest.param({"pedestal": 60.0}, {}, True, id="one sky is brighter"),
        pytest.param({"pedestal": 60.0}, {"sky": "none"}, False, id="its sky is left in"),
        pytest.param({}, {"sigmas": (42.0, 30.0, 20.0)}, False, id="sigmas squared"),
        pytest.param({}, {"bad_input": 0x7FFF, "sigmas": (1.5,)}, False, id="one loose pass"),
    ],
)
def test_broken_rejection_is_noticed(
    split: Field, change: dict[str, float], parameters: dict[str, Any], right: bool
) -> None:
    rays = combine(members(split, **change), crr(**parameters)).rays
    found = flagged_rays(split, [np.stack(rays)])
    assert (found.completeness >= 0.95 and found.purity >= 0.99) is right, found


# Flags


@pytest.mark.parametrize("detector", ["ACS/HRC", "ACS/WFC", "WFC3/UVIS"])
def test_flags_are_where_the_truth_has_them(tmp_path: Path, detector: str) -> None:
    """Every pixel's DQ is what the references, the bad-pixel table and the raw counts say."""
    site = make_site(tmp_path)
    dataset = site.simulate("--detector", detector, "--small", "--rays", "0")[0]
    saturate(site, dataset)
    for node in ("2FITS", "RF", "BC", "CA"):
        site.must(node, dataset)
    for number, expected in enumerate(predicted_flags(site.root, detector, dataset), 1):
        path = site.root / "work" / dataset / f"{dataset}_flt.fits"
        found = image_sets(read(path), path.name)[number - 1].dq
        assert found is not None
        np.testing.assert_array_equal(found.image(), expected)
        for bit in (4, 16, 512, 2048):
            assert (expected & bit).any(), bit


def saturate(site: Site, dataset: str) -> None:
    """Put the converter's end into a few pixels of every chip of a raw file."""
    path = site.root / "incoming" / f"{dataset}_raw.fits"
    hdus = read(path)
    for position, hdu in enumerate(hdus):
        if hdu.name == "SCI":
            counts = np.array(hdu.image())
            counts[40:44, 70:75] = 65535
            counts[50, 200 % counts.shape[1]] = 65534
            counts[52, 200 % counts.shape[1]] = 65533
            hdus[position] = image_hdu(hdu.header, counts)
    write(path, hdus, checksum=False)
