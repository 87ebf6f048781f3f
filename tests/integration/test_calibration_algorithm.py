"""The switch through its real entrance: recorded everywhere, and never mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import Site, make_site

from calibration.exit_codes import ExitCode

CORRECTED = ("--algorithm", "corrected")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def test_a_frame_by_both_algorithms(site: Site) -> None:
    dataset = site.simulate("--detector", "ACS/WFC", "--small")[0]
    for node in ("2FITS", "RF", "BC", "CA"):
        site.must(node, dataset)
    path = site.root / "work" / dataset / f"{dataset}_flt.fits"
    with fits.open(path) as hdus:
        assert hdus[0].header["OWLALGO"] == "calacs"
        calacs = hdus["SCI", 2].data.astype(float)
    site.must("CA", dataset, *CORRECTED)
    with fits.open(path) as hdus:
        assert hdus[0].header["OWLALGO"] == "corrected"
        assert any("slips" in line for line in hdus[0].header["HISTORY"])
        corrected = hdus["SCI", 2].data.astype(float)
    # amplifiers A and B of chip 1: 20 rows of their slopes (e-/row), over the flat
    for half, slope in ((slice(0, 128), 2.0 * 1.1e-3), (slice(128, 256), 1.9 * -8e-4)):
        difference = float(np.median((corrected - calacs)[:, half]))
        assert difference != 0
        assert difference == pytest.approx(20 * slope, abs=0.6)
    assert (site.root / "work" / dataset / f"{dataset}.tra").read_text().count("corrected") >= 1


def test_reuse_and_combination_do_not_mix(site: Site) -> None:
    association, *members = site.simulate("--detector", "ACS/HRC", "--small", "--members", "2")
    for member in members:
        for node in ("2FITS", "RF", "BC", "CA"):
            site.must(node, member)
    site.fails("CRCOMB", association, ExitCode.ASSOCIATION_ERROR, "OWLALGO = 'calacs'",
               "algorithm is corrected", options=CORRECTED)  # fmt: skip
    for node in ("CRCOMB", "MD", "AC", "INGEST_SCI"):
        site.must(node, association)
    assert site.manifest(association)["observations"][members[0]]["software"]["algorithm"] == (
        "calacs"
    )
    for path in (site.root / "work").glob("*/*"):
        path.unlink()
    same = site.must("REUSE", members[0], "--association", association)
    assert "calibrated again" not in same
    said = site.must("REUSE", members[0], "--association", association, *CORRECTED)
    assert "made with the algorithm calacs, now it is corrected" in said
    flt = site.root / "work" / members[0] / f"{members[0]}_flt.fits"
    assert fits.getheader(flt)["OWLALGO"] == "corrected"


def test_an_unknown_algorithm(site: Site) -> None:
    site.fails("CA", "jsim01abq", ExitCode.USAGE_ERROR, "--algorithm", "corrected",
               options=("--algorithm", "best"))  # fmt: skip
