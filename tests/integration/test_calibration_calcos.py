"""The call of calcos: what it is given, and what is made of its answers.

Where calcos is installed it is called, up to its own refusal: its reference files are not here.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from astropy.io import fits
from calibration_site import Site, make_site

from calibration.context import Context
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes import calcos

#: Cards that make a simulated event list one that calcos accepts as real.
REAL = {
    "EXPTYPE": "EXTERNAL/SCI", "OBSTYPE": "SPECTROSCOPIC", "COSCOORD": "USER", "APERTURE": "PSA",
    "CENWAVE": 1291, "FPPOS": 3, "LIFE_ADJ": 1, "RA_TARG": 6.0, "DEC_TARG": -72.0,
    "DQICORR": "PERFORM", "BADTCORR": "PERFORM", "FLATCORR": "PERFORM", "X1DCORR": "PERFORM",
    "BPIXTAB": "lref$owl_bpix.fits", "BADTTAB": "lref$owl_badt.fits",
    "FLATFILE": "lref$owl_flat.fits", "DISPTAB": "lref$owl_disp.fits",
    "XTRACTAB": "lref$owl_1dx.fits",
}  # fmt: skip

FOUND = {"FILETYPE": "BAD TIME INTERVALS TABLE", "VCALCOS": "3.0"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with the staged events of a real exposure, as far as a header can tell."""
    site = make_site(tmp_path)
    dataset = site.simulate("--detector", "COS/FUV", "--seconds", "5")[0]
    path = site.root / "incoming" / f"{dataset}_rawtag_a.fits"
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["SIMULATE"]
        hdus[0].header.update(REAL)
        hdus[1].header.update({"EXPSTART": 55197.0, "EXPEND": 55197.1, "EXPTIMEA": 5.0})
    site.must("2FITS", dataset)
    return site


DATASET = "lsimc1a1q"


@pytest.mark.skipif(find_spec("calcos") is None, reason="calcos is not installed")
def test_calcos_itself_names_the_references_that_it_misses(site: Site) -> None:
    reference = site.root / "references" / "owl_badt.fits"
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(FOUND))]
                 ).writeto(reference)  # fmt: skip
    for _ in range(2):  # calcos itself would refuse to write over the files of a former call
        site.fails("CA", DATASET, ExitCode.REFERENCE_MISSING, "calcos needs BPIXTAB = owl_bpix",
                   "FLATFILE = owl_flat.fits")  # fmt: skip
    folder = site.root / "work" / DATASET
    assert sorted(p.name for p in folder.iterdir()) == [
        f"{DATASET}.tra", f"{DATASET}_delivered.json", f"{DATASET}_rawtag_a.fits",
    ]  # fmt: skip
    trailer = (folder / f"{DATASET}.tra").read_text()
    assert "CALCOS version" in trailer
    assert "bpixtab=lref/owl_bpix.fits" in trailer
    assert "badttab" not in trailer  # this one was found through $lref


def context(site: Site) -> Context:
    folders = [site.root / n for n in ("incoming", "work", "archive", "references")]
    return Context("CA", DATASET, *folders)


def test_without_calcos(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calcos, "find_spec", lambda name: None)
    monkeypatch.setattr(calcos.shutil, "which", lambda name: None)
    with pytest.raises(CalibrationError, match=r"owl-for-airflow\[cos\]") as caught:
        calcos.run(context(site))
    assert caught.value.code == ExitCode.CALCOS_MISSING


def test_rf_takes_the_headers_own_files_and_names_the_missing(site: Site) -> None:
    site.fails("RF", DATASET, ExitCode.REFERENCE_MISSING, "BPIXTAB = owl_bpix.fits is not there",
               "DISPTAB = owl_disp.fits is not there")  # fmt: skip


def test_an_exit_code_of_0_is_not_believed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """calcos ends with 0 when it does not understand its options, and when it has nothing to do."""
    words = "print('Nothing to do; all calibration switches are OMIT.')"
    monkeypatch.setattr(calcos, "command", lambda: [sys.executable, "-c", words])
    with pytest.raises(CalibrationError, match=r"no product of lsimc1a1q.*Nothing to do") as caught:
        calcos.run(context(site))
    assert caught.value.code == ExitCode.CALIBRATION_ERROR


@pytest.mark.parametrize(
    ("code", "text", "kind", "words"),
    [
        (1, "ERROR:  The following reference file is missing:\nflatfile=lref/a.fits\nRuntimeError",
         ExitCode.REFERENCE_MISSING, "needs FLATFILE = a.fits;"),
        (1, "Traceback\nRuntimeError: File in/x.fits does not have EXPTYPE keyword.",
         ExitCode.CALIBRATION_ERROR, "exit code 1: RuntimeError: File in/x.fits does not have"),
        (1, "ERROR:  Wrong coordinates\nRuntimeError", ExitCode.CALIBRATION_ERROR,
         "ERROR:  Wrong coordinates | RuntimeError"),
        (5, "no data", ExitCode.NOT_SUPPORTED, "nothing to calibrate in this exposure: no data"),
        (16, "row not found", ExitCode.REFERENCE_BAD, "row not found"),
        (-9, "", ExitCode.SUBPROCESS_MEMORY_ERROR, "memory"),
        (1, "numpy MemoryError", ExitCode.SUBPROCESS_MEMORY_ERROR, "memory"),
        (3, "", ExitCode.CALIBRATION_ERROR, "it said nothing"),
    ],
)  # fmt: skip
def test_what_calcos_says(code: int, text: str, kind: ExitCode, words: str) -> None:
    error = calcos.failure(code, text)
    assert error.code == kind
    assert words in error.message
