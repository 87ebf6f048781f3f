"""PCTECORR through `python -m calibration`: ``_flc`` beside ``_flt``, ``_crc`` beside ``_crj``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.context import Context
from calibration.exit_codes import ExitCode
from calibration.fits import Header, read, write
from calibration.fits.planes import ImageSet, image_sets
from calibration.instruments import DETECTORS
from calibration.nodes import calibrate, charge_transfer
from calibration.nodes.exposure import Exposure
from calibration.simulate.detectors import model
from calibration.simulate.frames import Scene, light
from tests.integration.calibration_site import MEMBER_NODES, Site, make_site

DATASET, PAIR = "jsimw1a1q", "jsimw1010"
SIMULATED = ("--detector", "ACS/WFC", "--small", "--cte", "--rays", "0", "--stars", "40")
EXPOSURE = 300.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a site with one exposure that was calibrated with CTE correction."""
    site = make_site(tmp_path_factory.mktemp("cte"))
    site.simulate(*SIMULATED)
    for node in MEMBER_NODES:
        site.must(node, DATASET)
    return site


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a site with a CR-split pair up to the archive."""
    site = make_site(tmp_path_factory.mktemp("cte-pair"))
    _, *members = site.simulate(*SIMULATED, "--dataset", PAIR, "--members", "2", "--rays", "15")
    for name in members:
        for node in MEMBER_NODES:
            site.must(node, name)
    for node in ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW"):
        site.must(node, PAIR, "--members", *members)
    return site


def product(site: Site, suffix: str, dataset: str = DATASET) -> tuple[Any, list[ImageSet]]:
    path = site.root / "work" / dataset / f"{dataset}_{suffix}.fits"
    hdus = read(path)
    return hdus[0].header, image_sets(hdus, path.name)


def far_star_residuals(sets: list[ImageSet]) -> Any:
    """Return what 7 x 7 pixels around bright stars far from the register have too much, e-."""
    detector, scene = model("ACS/WFC", small=True), Scene(EXPOSURE, 40, 0, 1)
    out = []
    for images, chip in zip(sets, detector.chips, strict=True):
        excess = images.sci.image() - light(detector, chip, scene) * EXPOSURE
        assert images.dq is not None
        excess[images.dq.image() != 0] = 0
        for x, y, flux in scene.catalogue(detector, chip):
            rows = y if chip.chip == 2 else detector.height - 1 - y
            if rows > 70 and flux > 5:
                row, column = round(y) - 3, round(x) - 3
                out.append(excess[row : row + 7, column : column + 7].sum())
    return np.array(out)


def test_stars_far_from_the_amplifier_are_corrected(site: Site) -> None:
    lost, left = (far_star_residuals(product(site, suffix)[1]) for suffix in ("flt", "flc"))
    assert lost.size > 15
    assert lost.mean() < -60
    assert abs(left.mean()) < 0.2 * abs(lost.mean())


def test_headers_say_which_branch(site: Site) -> None:
    plain, corrected = product(site, "flt")[0], product(site, "flc")[0]
    assert plain.text("PCTECORR") == "OMIT"
    assert "PCTEFRAC" not in plain
    assert corrected.text("PCTECORR") == "COMPLETE"
    assert corrected.real("PCTEFRAC") == pytest.approx(1.0)
    assert corrected.text("CTE_NAME") == "Par/Serial PixelCTE 2023"
    assert corrected.text("CTE_VER") == "3.0"
    for key, value in (("PCTENFOR", 4), ("PCTENPAR", 3), ("PCTETLEN", 60), ("FIXROCR", 1)):
        assert corrected.get(key) == value
    for key in ("DARKCORR", "FLATCORR", "PHOTCORR", "BLEVCORR"):
        assert plain.text(key) == corrected.text(key) == "COMPLETE"
    history = [line for line in corrected.histories() if not line.startswith("RF ")]
    assert any("simwfc256_cte.fits" in line for line in history)
    assert any("simwfc256_dkc.fits" in line for line in history)
    assert not any("simwfc256_drk.fits" in line for line in history)
    assert not any("image simwfc256_dkc.fits" in line for line in plain.histories())


def test_the_error_of_corrected_pixels_is_larger(site: Site) -> None:
    (_, plain), (_, corrected) = product(site, "flt"), product(site, "flc")
    for before, after in zip(plain, corrected, strict=True):
        assert before.err is not None
        assert after.err is not None
        assert before.dq is not None
        assert after.dq is not None
        np.testing.assert_array_equal(before.dq.image(), after.dq.image())
        change = np.abs(after.sci.image() - before.sci.image())
        grown = after.err.image() ** 2 - before.err.image() ** 2
        well = (before.dq.image() == 0) & (change > 20)
        assert well.any()
        # The flat and its own error are in both; what is added is a tenth of the correction.
        np.testing.assert_allclose(grown[well], (0.1 * change[well]) ** 2, rtol=0.1)


def test_the_trailer_has_both_branches(site: Site) -> None:
    text = (site.root / "work" / DATASET / f"{DATASET}.tra").read_text()
    plain, corrected = text.split("\n_flc\n")
    assert "PCTECORR OMIT" in plain
    assert "simwfc256_drk.fits" not in corrected
    assert "PCTECORR COMPLETE" in corrected


def test_the_same_command_gives_the_same_file(site: Site) -> None:
    path = site.root / "work" / DATASET / f"{DATASET}_flc.fits"
    before = path.read_bytes()
    site.must("CA", DATASET)
    assert path.read_bytes() == before


def test_a_pair_makes_crc_beside_crj(pair: Site) -> None:
    (sums, plain), (corrected, sets) = (product(pair, s, PAIR) for s in ("crj", "crc"))
    assert sums.text("PCTECORR") == "OMIT"
    assert corrected.text("PCTECORR") == "COMPLETE"
    assert corrected.real("PCTEFRAC") == pytest.approx(1.0, abs=1e-4)
    assert any("simwfc256_dkc.fits" in line for line in corrected.histories())
    difference = np.concatenate(
        [np.abs(a.sci.image() - b.sci.image()).ravel() for a, b in zip(plain, sets, strict=True)]
    )
    assert difference.max() > 20


def test_rays_are_flagged_in_both_branches(pair: Site) -> None:
    member = f"{PAIR[:6]}abq"
    for suffix in ("flt", "flc"):
        flagged = 0
        for images in product(pair, suffix, member)[1]:
            assert images.dq is not None
            flagged += int(((images.dq.image() & 8192) != 0).sum())
        assert flagged > 10


def test_products_of_both_branches_are_archived(pair: Site) -> None:
    files = pair.manifest(PAIR)["files"]
    member = f"{PAIR[:6]}abq"
    for name in (f"{member}_flc", f"{member}_blc_tmp", f"{PAIR}_crc"):
        assert files[f"{name}.fits"]["dataproduct_type"] == "image"
    assert files[f"{PAIR}_crc.fits"]["calib_level"] == 3


def test_a_reused_member_brings_its_corrected_state(pair: Site, tmp_path: Path) -> None:
    member = f"{PAIR[:6]}abq"
    work = pair.root / "work" / member
    digests = {s: (work / f"{member}_{s}.fits").read_bytes() for s in ("blc_tmp", "flc")}
    work.rename(tmp_path / "old")
    said = pair.must("REUSE", member, "--association", PAIR)
    assert "calibrated again" not in said
    for suffix, content in digests.items():
        assert (work / f"{member}_{suffix}.fits").read_bytes() == content


def changed(site: Site, folder: Path, **cards: Any) -> Site:
    """Return a copy of a site; the header of its exposure, already with references, is changed."""
    shutil.copytree(site.root, folder / "site")
    copy = Site(folder / "site")
    path = copy.root / "work" / DATASET / f"{DATASET}_raw.fits"
    hdus = read(path)
    for key, value in cards.items():
        hdus[0].header.set(key, value)
    write(path, hdus, checksum=False)
    return copy


def test_a_subarray_is_not_corrected_and_says_so(site: Site, tmp_path: Path) -> None:
    """And what an earlier run left is gone: the next nodes would take it for this one's."""
    copy = changed(site, tmp_path, SUBARRAY=True)
    assert "PCTECORR omitted: subarrays" in copy.must("CA", DATASET)
    header, _ = product(copy, "flt")
    assert header.text("PCTECORR") == "OMITTED"
    assert any("PCTECORR omitted: subarrays" in line for line in header.histories())
    assert not (copy.root / "work" / DATASET / f"{DATASET}_flc.fits").exists()


def test_hrc_is_not_corrected_and_says_so() -> None:
    primary = Header()
    primary.set("PCTECORR", "PERFORM")
    context = Context("CA", "x", *[Path()] * 4)
    exposure = Exposure(context, "x", primary, [], DETECTORS["ACS", "HRC"])
    assert not charge_transfer.is_wanted(exposure)
    assert exposure.states == {"PCTECORR": "OMITTED"}
    assert "no model" in exposure.history[0]


def test_without_bias_level_there_is_no_correction(site: Site, tmp_path: Path) -> None:
    copy = changed(site, tmp_path, BLEVCORR="OMIT")
    copy.fails("CA", DATASET, ExitCode.CALIBRATION_ERROR, "PCTECORR", "BLEVCORR")


def test_a_damaged_trap_table_is_named(site: Site, tmp_path: Path) -> None:
    copy = changed(site, tmp_path)
    path = copy.root / "references" / "simwfc256_cte.fits"
    whole = read(path)
    write(path, [hdu for hdu in whole if hdu.name != "CPROF"], checksum=False)
    copy.fails("CA", DATASET, ExitCode.REFERENCE_BAD, "simwfc256_cte.fits", "CPROF")


def test_the_serial_transfer_is_corrected_since_the_repair() -> None:
    context, primary = Context("CA", "x", *[Path()] * 4), Header()
    exposure = Exposure(context, "x", primary, [], DETECTORS["ACS", "WFC"])
    for mjd, expected in ((54961.9, False), (54962.0, True)):
        primary.set("EXPSTART", mjd)
        assert charge_transfer.needs_serial(exposure) == expected


def test_serial_sets_correct_their_amplifier(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third-generation table: the serial transfer of the named amplifiers is corrected, too.

    And the exposure's own PCTENFOR and FIXROCR go before the table's.
    """
    copy = changed(site, tmp_path, EXPSTART=54333.5, PCTENFOR=2, FIXROCR=0)
    monkeypatch.setattr(charge_transfer, "needs_serial", lambda exposure: True)
    context = Context(
        "CA", DATASET, *(copy.root / n for n in ("incoming", "work", "archive", "references"))
    )
    path = copy.root / "references" / "simwfc256_cte.fits"
    parallel = read(path)
    calibrate.run(context)
    without = [images.sci.image() for images in product(copy, "flc")[1]]
    serial = read(path)[1:]
    for hdu in serial:
        hdu.header.set("EXTVER", 4)  # amplifier C
    write(path, [*parallel, *serial], checksum=False)
    calibrate.run(context)
    header, sets = product(copy, "flc")
    assert (header.get("PCTENFOR"), header.get("FIXROCR")) == (2, 0)
    assert header.real("PCTEFRAC") == pytest.approx(3.0)
    assert any("serial transfer corrected for amplifiers C" in line for line in header.histories())
    change = [np.abs(s.sci.image() - old) for s, old in zip(sets, without, strict=True)]
    half = change[0].shape[1] // 2
    assert change[0][:, :half].max() > 5  # amplifier C: the left half of chip 2
    assert change[0][:, half:].max() == 0
    assert change[1].max() == 0
