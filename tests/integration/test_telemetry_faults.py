"""Telemetry that was spoiled on request: 2FITS flags the pixels that the truth names, no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import Site, make_site

from calibration.exit_codes import ExitCode
from calibration.simulate.defects import overflow

NAME = "jsimw1a1q"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw file of one exposure: two chips, four amplifiers."""
    site = make_site(tmp_path_factory.mktemp("clean"))
    site.simulate("--detector", "ACS/WFC", "--small", "--seconds", "20")
    return site.root / "incoming" / f"{NAME}_raw.fits"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def spoiled(site: Site, clean: Path, *faults: str, seed: int = 7) -> dict[str, Any]:
    """Send the exposure with faults; return the truth about them."""
    words = [word for fault in faults for word in ("--fault", fault)]
    site.simulate("--telemetry-from", str(clean), "--seed", str(seed), *words)
    return dict(json.loads((site.root / "incoming" / f"{NAME}_faults.json").read_text()))


def predicted(clean: Path, truth: dict[str, Any]) -> dict[tuple[str, int], Any]:
    """Return SCI and DQ of each chip as the truth says that 2FITS must make them."""
    out: dict[tuple[str, int], Any] = {}
    with fits.open(clean) as raw:
        for chip in truth["chips"]:
            version = chip["extver"]
            sci = raw["SCI", version].data.copy()
            dq = np.zeros(sci.shape, np.int16)
            sci[chip["missing"]] = truth["fill"]
            dq[chip["missing"]] = 2
            for hit in chip["damaged"]:
                assert sci[hit["line"], hit["column"]] == hit["was"]
                sci[hit["line"], hit["column"]] = hit["is"]
                dq[hit["line"]] = 1
            out["SCI", version], out["DQ", version] = sci, dq
    return out


def test_exactly_the_predicted_pixels(site: Site, clean: Path) -> None:
    truth = spoiled(site, clean, "missing=9", "crc=7", "duplicate=40", "reorder")
    assert sum(len(c["missing"]) for c in truth["chips"]) == 9
    assert sum(len(c["damaged"]) for c in truth["chips"]) == 7
    assert all(c["missing"] and c["damaged"] for c in truth["chips"])
    said = site.must("2FITS", NAME)
    assert "9 lost, 7 damaged" in said
    wanted = predicted(clean, truth)
    with fits.open(site.root / "work" / NAME / f"{NAME}_raw.fits") as raw:
        raw.verify("exception")
        for key, array in wanted.items():
            np.testing.assert_array_equal(raw[key].data, array)
        for chip in truth["chips"]:
            header = raw["SCI", chip["extver"]].header
            assert header["FILLCNT"] == len(chip["missing"])
            assert header["ERRCNT"] == len(chip["damaged"])
            assert header["PODPSFF"] is True


def test_the_flags_reach_the_product(site: Site, clean: Path) -> None:
    truth = spoiled(site, clean, "missing=4", "crc=3")
    site.simulate("--detector", "ACS/WFC", "--small", "--dataset", "jother01q")
    for node in ("2FITS", "RF", "BC", "CA"):
        site.must(node, NAME)
    with fits.open(site.root / "work" / NAME / f"{NAME}_flt.fits") as product:
        for chip in truth["chips"]:
            dq = product["DQ", chip["extver"]].data
            # Chip 2 (EXTVER 1) is trimmed at the top, chip 1 at the bottom, by 20 rows.
            first = 0 if chip["extver"] == 1 else 20
            for bit, lines in ((2, chip["missing"]), (1, [h["line"] for h in chip["damaged"]])):
                rows = [y - first for y in lines if 0 <= y - first < dq.shape[0]]
                expected = np.zeros(dq.shape, bool)
                expected[rows] = True
                np.testing.assert_array_equal((dq & bit) != 0, expected)


def test_without_loss_the_raw_file_is_the_same_to_the_byte(site: Site, clean: Path) -> None:
    spoiled(site, clean, "duplicate=300", "reorder")
    site.must("2FITS", NAME)
    made = site.root / "work" / NAME / f"{NAME}_raw.fits"
    assert made.read_bytes() == clean.read_bytes()


def test_the_same_seed_spoils_the_same_and_another_does_not(site: Site, clean: Path) -> None:
    telemetry = site.root / "incoming" / f"{NAME}.tlm"
    words = ("missing=3", "crc=3", "duplicate=3", "reorder")
    truth, first = spoiled(site, clean, *words), telemetry.read_bytes()
    assert spoiled(site, clean, *words) == truth
    assert telemetry.read_bytes() == first
    assert spoiled(site, clean, *words, seed=8)["chips"] != truth["chips"]


def test_a_cut_stream_ends_with_a_code(site: Site, clean: Path) -> None:
    assert spoiled(site, clean, "truncate=17")["truncated"] == 17
    site.fails("2FITS", NAME, ExitCode.TELEMETRY_TRUNCATED, "is cut at the file's end")
    assert not (site.root / "work" / NAME / f"{NAME}_raw.fits").exists()


def test_more_than_half_missing_is_no_exposure(site: Site, clean: Path) -> None:
    spoiled(site, clean, "missing=149")  # of 2 x 148
    site.fails("2FITS", NAME, ExitCode.TELEMETRY_TRUNCATED, "149 of 296 image lines are missing")


@pytest.mark.parametrize("word", ["lost=3", "missing", "missing=x", "missing=0", "crc=-1"])
def test_words_that_are_no_faults_are_named(site: Site, clean: Path, word: str) -> None:
    done = site.run(
        "simulate", "--incoming", "incoming", "--telemetry-from", str(clean), "--fault", word
    )
    assert done.returncode == ExitCode.USAGE_ERROR
    assert repr(word) in done.stderr
    assert not list((site.root / "incoming").iterdir())


def test_more_faults_than_lines_are_refused(site: Site, clean: Path) -> None:
    done = site.run(
        "simulate", "--incoming", "incoming", "--telemetry-from", str(clean),
        "--fault", "missing=200", "--fault", "crc=97",
    )  # fmt: skip
    assert done.returncode == ExitCode.USAGE_ERROR
    assert "296" in done.stderr


# What the simulator puts into an exposure, and says so.


def table(path: Path, name: str) -> Any:
    with fits.open(path) as file:
        return file[name].data.copy()


@pytest.mark.parametrize(
    ("detector", "name", "full_well"),
    [
        ("ACS/WFC", "jsimw1a1q", True),
        ("WFC3/UVIS", "isimu1a1q", True),
        ("ACS/HRC", "jsimh1a1q", None),  # its converter ends below the full well
        ("STIS/CCD", "osims1a1q", True),
    ],
)
def test_saturated_stars_bleed_and_are_flagged(
    site: Site, detector: str, name: str, full_well: bool | None
) -> None:
    words = ("--detector", detector, "--small", "--saturated", "2", "--defects")
    site.simulate(*words, "--truth", "truth", "--seconds", "60")
    path = site.root / "truth" / f"{name}_truth.fits"
    stars, saturated = table(path, "STARS"), table(path, "SATURATED")
    chips = sorted(set(stars["CHIP"].tolist()))
    assert len(stars) == 62 * len(chips)
    assert full_well is None or saturated["FULL"].all() == full_well
    assert full_well is not None or not saturated["FULL"].all()
    for node in ("2FITS", "RF", "BC", "CA"):
        site.must(node, name)
    hot, bad = table(path, "HOT"), table(path, "BAD")
    with fits.open(site.root / "work" / name / f"{name}_flt.fits") as product:
        for hdu in (h for h in product if h.name == "DQ"):
            chip = product["SCI", hdu.ver].header["CCDCHIP"]
            mine = saturated[saturated["CHIP"] == chip]
            assert len(mine) > 10
            dq = hdu.data[mine["Y"], mine["X"]]
            ends = 2048 | 256
            assert ((dq & ends) != 0).all()
            flagged = np.zeros(hdu.data.shape, bool)
            flagged[mine["Y"], mine["X"]] = True
            if mine["FULL"].any():  # it bleeds along columns: far longer than a star is wide
                assert flagged.sum(axis=0).max() > 2 * flagged.sum(axis=1).max()
            np.testing.assert_array_equal((hdu.data & ends) != 0, flagged)
            for rows, bit in ((hot, 16), (bad, 4)):
                these = rows[rows["CHIP"] == chip]
                expected = np.zeros(hdu.data.shape, bool)
                expected[these["Y"], these["X"]] = True
                np.testing.assert_array_equal((hdu.data & bit) != 0, expected)


def test_overflow_keeps_charge_in_its_column() -> None:
    electrons = np.zeros((50, 3))
    electrons[25, 1], electrons[49, 2] = 1000.0, 250.0
    overflow(electrons, 100.0)
    np.testing.assert_array_equal(electrons[:, 0], 0.0)
    assert electrons[:, 1].sum() == pytest.approx(1000.0)
    assert electrons.max() == 100.0
    # Half goes each way: about five full pixels above and below the star.
    assert np.flatnonzero(electrons[:, 1] == 100.0).tolist() == list(range(21, 30))
    # At the edge the upper half is lost.
    assert electrons[:, 2].sum() == pytest.approx(175.0)
