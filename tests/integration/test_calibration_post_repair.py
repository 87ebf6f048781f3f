"""WFC after the repair of 2009 against calacs 10.5: bias shift, cross talk and stripes.

calacs's own frames are not kept whole: windows, sums over rows, columns and blocks, and all flags.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from test_calibration_oracle import run, site, stats

from calibration.fits import read, write

DATASET = "jwfcp4abq"
ORACLE = "oracle/wfc_two_chip"


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = site(shared_data / ORACLE, tmp_path_factory.mktemp("post_repair"))
    hdus = read(root / "incoming/jwfc01abq_raw.fits")
    changes = json.loads((shared_data / ORACLE / "raw/post_sm4_variant_keywords.json").read_text())
    for key, (_, value) in changes[f"{DATASET}_raw.fits"]["keywords"].items():
        hdus[0].header.set(key, value)
    write(root / f"incoming/{DATASET}_raw.fits", hdus)
    work = run(root, DATASET, "2FITS", "RF")
    # CRCORR keeps _blv_tmp as well; CA only looks whether the table is there
    shutil.copy(shared_data / "oracle/hrc_47tuc/ref/hrc_crr.fits", root / "references")
    hdus = read(work / f"{DATASET}_raw.fits")
    hdus[0].header.set("CRCORR", "PERFORM")
    hdus[0].header.set("CRREJTAB", "hrc_crr.fits")
    write(work / f"{DATASET}_raw.fits", hdus)
    return run(root, DATASET, "CA")


def sums(image: Any) -> tuple[Any, Any, Any]:
    """Return the row sums of each amplifier's half, column sums, and means of 64 x 64 pixels."""
    values = image.astype(np.float64)
    half = values.shape[1] // 2
    rows = np.stack([values[:, :half].sum(axis=1), values[:, half:].sum(axis=1)])
    blocks = values.reshape(32, 64, 64, 64).mean(axis=(1, 3))
    return rows, values.sum(axis=0), blocks


@pytest.mark.parametrize("suffix", ["blv_tmp", "flt"])
def test_sums(folder: Path, shared_data: Path, suffix: str) -> None:
    with (
        fits.open(folder / f"{DATASET}_{suffix}.fits") as ours,
        fits.open(shared_data / ORACLE / f"out/{DATASET}_{suffix}_sums.fits") as theirs,
    ):
        for version in (1, 2):
            for name in ("SCI", "ERR"):
                rows, columns, blocks = sums(ours[name, version].data)
                expected = theirs[f"{name}_ROWSUM", version].data
                np.testing.assert_allclose(rows, expected.reshape(rows.shape), rtol=0, atol=1e-4)
                expected = theirs[f"{name}_COLSUM", version].data
                np.testing.assert_allclose(columns, expected, rtol=0, atol=1e-4)
                expected = theirs[f"{name}_BLOCKMEAN64", version].data
                np.testing.assert_allclose(blocks, expected, rtol=0, atol=1e-6)


def test_windows_and_flags(folder: Path, shared_data: Path) -> None:
    out = shared_data / ORACLE / "out"
    compared = 0
    with (
        fits.open(folder / f"{DATASET}_flt.fits") as ours,
        fits.open(out / f"{DATASET}_flt_win.fits.gz") as windows,
        fits.open(out / f"{DATASET}_flt_dq.fits.gz") as flags,
    ):
        for version in (1, 2):
            theirs = next(h for h in flags if h.data is not None and h.ver == version)
            np.testing.assert_array_equal(ours["DQ", version].data, theirs.data)
        for window in windows[1:]:
            y, x = window.header["WY0"], window.header["WX0"]
            ny, nx = window.data.shape
            part = ours[window.name[:-1], window.ver].data[y : y + ny, x : x + nx]
            np.testing.assert_allclose(part, window.data, rtol=0, atol=1e-5)
            compared += 1
    assert compared == 16


def test_header(folder: Path, shared_data: Path) -> None:
    expected = stats(shared_data, "wfc_two_chip")[f"{DATASET}_flt"]
    with fits.open(folder / f"{DATASET}_flt.fits", checksum=True) as hdus:
        primary = hdus[0].header
        assert primary["DARKTIME"] == expected["primary"]["DARKTIME"] == 503.25
        # the levels of calacs's log: what the shift's square left, and the destriping's
        for key, level in (
            ("A", 4598.7345 + 2.31371), ("B", 4654.7813 - 1.77804),
            ("C", 4477.7928 - 4.38994), ("D", 4999.9640 - 1.09933),
        ):  # fmt: skip
            assert primary[f"BIASLEV{key}"] == pytest.approx(level, abs=2e-3)
        history = list(primary["HISTORY"])
        assert "DESTRIPE: number of rows fixed per amp: 2063" in history
        assert "DESTRIPE: number of rows skipped per amp: 5" in history
        assert "BLEVCORR complete; bias level from overscan was subtracted." in history
        for version in (1, 2):
            facts = expected["ext"][f"SCI,{version}"]["header"]
            found = hdus["SCI", version].header
            for key in ("MEANBLEV", "MEANDARK", "GOODMEAN", "PHOTFLAM", "PHOTPLAM", "PHOTBW"):
                assert found[key] == pytest.approx(facts[key], rel=2e-6), key
            for key in ("PHOTMODE", "NGOODPIX", "LTV1", "LTV2", "SIZAXIS1", "SIZAXIS2"):
                assert found[key] == facts[key], key
