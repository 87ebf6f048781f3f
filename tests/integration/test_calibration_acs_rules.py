"""Rules of calacs that no oracle frame exercises, each by what its definition says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from calibration_site import make_site
from test_calibration_oracle import run

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, image_hdu, read, read_table, write
from calibration.fits.planes import image_sets

HRC, WFC = "jsimh1a1q", "jsimw1a1q"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with one small exposure of each detector, ready for CA."""
    site = make_site(tmp_path_factory.mktemp("rules"))
    for detector, dataset in (("ACS/HRC", HRC), ("ACS/WFC", WFC)):
        assert site.simulate("--detector", detector, "--small") == [dataset]
        run(site.root, dataset, "2FITS", "RF")
    return site.root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "site")
    return tmp_path / "site"


class Frame:
    """The raw file in the work area, to be changed and calibrated."""

    def __init__(self, root: Path, dataset: str) -> None:
        self.root, self.dataset = root, dataset
        self.path = root / "work" / dataset / f"{dataset}_raw.fits"
        self.hdus = read(self.path)

    def set(self, **values: Any) -> Frame:
        for key, value in values.items():
            self.hdus[0].header.set(key, value)
        return self

    def raw(self, version: int = 1) -> Any:
        return self.hdus[3 * version - 2].image().astype(np.uint16)

    def put(self, pixels: Any, version: int = 1, **header: Any) -> Frame:
        at = 3 * version - 2
        card = self.hdus[at].header
        for key, value in header.items():
            card.set(key, value)
        self.hdus[at] = image_hdu(card, pixels)
        return self

    def calibrate(self) -> Product:
        write(self.path, self.hdus)
        return Product(run(self.root, self.dataset, "CA") / f"{self.dataset}_flt.fits")


class Product:
    def __init__(self, path: Path) -> None:
        hdus = read(path)
        self.primary = hdus[0].header
        self.history = self.primary.histories()
        self.sets = image_sets(hdus, path.name)

    def sci(self, version: int = 1) -> Any:
        return self.sets[version - 1].sci.image()

    def err(self, version: int = 1) -> Any:
        found = self.sets[version - 1].err
        assert found is not None
        return found.image()

    def dq(self, version: int = 1) -> Any:
        found = self.sets[version - 1].dq
        assert found is not None
        return found.image()


def reference(root: Path, name: str, planes: dict[int, tuple[Any, Any, Any]], trim_x: int) -> str:
    primary = Header()
    primary.set("PEDIGREE", "MODEL")
    hdus: list[Hdu] = [image_hdu(primary, None, primary=True)]
    for version, (chip, arrays) in enumerate(planes.items(), 1):
        for extension, array in zip(("SCI", "ERR", "DQ"), arrays, strict=True):
            header = Header()
            for key, value in (("EXTNAME", extension), ("EXTVER", version), ("CCDCHIP", chip),
                               ("LTV1", float(trim_x))):  # fmt: skip
                header.set(key, value)
            hdus.append(image_hdu(header, array))
    write(root / "references" / name, hdus)
    return name


def test_err_of_a_bias_target_is_the_read_noise(root: Path) -> None:
    off = {"DARKCORR": "OMIT", "FLATCORR": "OMIT"}
    product = Frame(root, WFC).set(TARGNAME="BIAS-2", **off).calibrate()
    for version, noises in ((1, (4.7, 4.1)), (2, (3.9, 4.3))):
        err = product.err(version)
        for half, noise in zip((err[:, :128], err[:, 128:]), noises, strict=True):
            assert (half == np.float32(noise)).all()


@pytest.mark.parametrize(
    ("switches", "flagged"),
    [({"DQICORR": "OMIT"}, True), ({}, True), ({"BIASCORR": "OMIT"}, False)],
)
def test_full_well_needs_bias_and_level_only(
    root: Path, switches: dict[str, str], flagged: bool
) -> None:
    frame = Frame(root, WFC).set(**switches)
    raw = frame.raw()
    raw[50, 60] = 60000
    product = frame.put(raw).calibrate()
    dq = int(product.dq()[50, 60 - 24])
    assert bool(dq & 256) == flagged
    assert bool(dq & 4) is False
    assert int(product.dq()[29, 19]) & 4 == (0 if switches.get("DQICORR") else 4)


def test_post_flash_is_subtracted_before_the_flat(root: Path) -> None:
    plain = Frame(root, HRC).calibrate()
    shape = plain.sci().shape
    flags = np.zeros(shape, np.int16)
    flags[7, 9] = 32
    planes = (np.full(shape, 0.5, np.float32), np.full(shape, 0.2, np.float32), flags)
    name = reference(root, "flash.fits", {1: planes}, 0)
    frame = Frame(root, HRC).set(
        FLSHCORR="PERFORM", FLSHFILE=f"jref${name}", FLASHDUR=10.0, FLASHSTA="SUCCESSFUL"
    )
    flashed = frame.calibrate()
    flat = read(next((root / "references").glob("simhrc*_pfl.fits")))[1].image()
    good = flat > 0
    np.testing.assert_allclose(((plain.sci() - flashed.sci()) * flat)[good], 5.0, atol=2e-3)
    variance = ((flashed.err() ** 2 - plain.err() ** 2) * flat**2)[good]
    # 10 s x 0.2 e-/s, and less from the flat's error because SCI is lower
    assert float(np.median(variance)) == pytest.approx(4.0, abs=0.01)
    assert int(flashed.dq()[7, 9]) & 32
    assert flashed.primary.text("FLSHCORR") == "COMPLETE"
    assert flashed.sets[0].sci.header.real("MEANFLSH") == pytest.approx(5.0)
    nothing = frame.set(FLASHDUR=0.0).calibrate()
    assert nothing.primary.text("FLSHCORR") == "SKIPPED"
    np.testing.assert_array_equal(nothing.sci(), plain.sci())


def test_sink_pixels_and_their_trails_are_flagged(root: Path) -> None:
    frame = Frame(root, WFC)
    planes = {}
    for chip, trim_y in ((2, 0), (1, 20)):
        sinks = np.zeros((148, 304), np.float32)
        step = 1 if chip == 2 else -1
        at = trim_y + 60
        sinks[at - step, 100] = -1
        sinks[at, 100] = -40
        for behind, limit in enumerate((999, 500, 5, 500), 1):
            sinks[at + step * behind, 100] = limit
        planes[chip] = (sinks, np.zeros_like(sinks), np.zeros(sinks.shape, np.int16))
    name = reference(root, "sink.fits", planes, 24)
    # the simulated chip 1 begins 20 rows higher
    hdus = read(root / "references" / name)
    hdus[4].header.set("LTV2", 20.0)
    write(root / "references" / name, hdus)
    for version in (1, 2):  # 60 electrons above the level in the sink itself
        raw = frame.raw(version)
        y = 60 + (20 if version == 2 else 0)
        raw[y, 100] = np.median(raw[:, 80:120]) + 30
        frame.put(raw, version)
    product = frame.set(SINKCORR="PERFORM", SNKCFILE=f"jref${name}").calibrate()
    for version, step in ((1, 1), (2, -1)):
        column = product.dq(version)[:, 76]
        hit = {60 - step, 60, 60 + step, 60 + 2 * step}  # 5 is below the signal: the trail ends
        assert set(np.flatnonzero(column & 1024)) == hit
        assert not (product.dq(version)[:, 75] & 1024).any()
    assert product.primary.text("SINKCORR") == "COMPLETE"


def test_a_subarray_without_overscan_gets_the_default_level(root: Path) -> None:
    whole = Frame(root, HRC).calibrate()
    frame = Frame(root, HRC)
    part = np.ascontiguousarray(frame.raw()[40:104, 49:113])
    position = {"LTV1": -30.0, "LTV2": -40.0, "NAXIS1": 64, "NAXIS2": 64}
    table = read(next((root / "references").glob("simhrc*_bpx.fits")))
    product = frame.set(SUBARRAY=True).put(part, **position).calibrate()
    window = slice(40, 104), slice(30, 94)
    both = (product.dq() == 0) & (whole.dq()[window] == 0)
    away = (product.sci() - whole.sci()[window])[both]
    # the level at hand is CCDBIAS x gain; the overscan knows the slope and the noise
    assert abs(float(np.median(away))) < 1.0
    assert float(away.std()) < 0.25
    np.testing.assert_array_equal(product.dq() & ~64, whole.dq()[window] & ~64)
    assert "BLEVCORR complete, but default bias level was subtracted." in product.history
    assert product.sets[0].sci.header.real("LTV1") == -30
    # no row of BPIXTAB fits: the place holder is at x = 1, y = 1 from 0, and nothing trims it away
    rows = np.array(read_rows := _rows(table[1]))
    rows["CCDCHIP"] = 7
    table[1] = Hdu(table[1].header, memoryview(rows.tobytes()))
    write(next((root / "references").glob("simhrc*_bpx.fits")), table)
    assert len(read_rows)
    held = frame.calibrate()
    assert list(zip(*np.nonzero(held.dq() & 64), strict=True)) == [(1, 1)]


def _rows(table: Hdu) -> Any:
    from calibration.fits.tables import read_columns

    return read_columns(table)


def test_a_frame_with_overscan_that_oscntab_does_not_know(root: Path) -> None:
    frame = Frame(root, HRC)
    with pytest.raises(CalibrationError, match="has no row") as caught:
        frame.put(np.ascontiguousarray(frame.raw()[:-1])).calibrate()
    assert caught.value.code == ExitCode.REFERENCE_BAD


def test_no_usable_overscan_means_the_default_level(root: Path) -> None:
    frame = Frame(root, WFC)
    flags = np.zeros((148, 304), np.int16)
    flags[:, :24] = 4  # amplifier C's overscan
    header = frame.hdus[3].header
    header.remove("NPIX1", "NPIX2", "PIXVALUE")
    frame.hdus[3] = image_hdu(header, flags)
    product = frame.calibrate()
    assert "  amp C: no usable overscan, CCDBIAS was subtracted" in product.history
    assert product.primary.real("BIASLEVC") == pytest.approx(2188.3 * 2.05, rel=1e-6)
    assert product.primary.real("BIASLEVD") != pytest.approx(2566.1 * 1.95, rel=1e-6)


def test_destriping_alone_when_the_read_out_has_no_shift(root: Path) -> None:
    table = next((root / "references").glob("simwfc*_ccd.fits"))
    _with_overheads(table)
    classic = Frame(root, WFC).calibrate()
    product = Frame(root, WFC).set(EXPSTART=55000.5, JWROTYPE="CLAMP").calibrate()
    assert any(line.startswith("DESTRIPE: number of rows fixed") for line in product.history)
    assert product.primary.real("DARKTIME") == classic.primary.real("DARKTIME") + 1.5
    good = (product.dq(2) == 0) & (classic.dq(2) == 0)
    away = (product.sci(2) - classic.sci(2))[good]
    assert abs(float(np.median(away))) < 1.0
    shifted = Frame(root, WFC).set(EXPSTART=55000.5, JWROTYPE="DS_INT").calibrate()
    assert float(np.abs(shifted.sci(2) - product.sci(2))[good].max()) > 0.05
    flashed = Frame(root, WFC).set(
        EXPSTART=55000.5, JWROTYPE="CLAMP", FLASHDUR=3.0, FLASHSTA="SUCCESSFUL"
    )
    assert flashed.calibrate().primary.real("DARKTIME") == (classic.primary.real("DARKTIME") + 4.5)


def _with_overheads(path: Path) -> None:
    """Add the columns that CCDTAB has since 2019."""
    from calibration.fits import Column, table_hdu
    from calibration.fits.tables import read_table

    hdus = read(path)
    rows = read_table(hdus[1])
    columns = [
        Column(name, "20A" if isinstance(rows[0][name], str) else "E", [r[name] for r in rows])
        for name in rows[0]
    ]
    count = len(rows)
    columns += [Column("OVRHUFLS", "E", [1.5] * count), Column("OVRHFLS", "E", [4.5] * count)]
    hdus[1] = table_hdu("CCDTAB", columns)
    write(path, hdus)


def reference_of(frame: Frame, keyword: str) -> Path:
    name = frame.hdus[0].header.text(keyword).rpartition("$")[2]
    return frame.root / "references" / name


def test_a_dummy_bias_leaves_the_full_well_untested(root: Path) -> None:
    frame = Frame(root, HRC)
    with fits.open(reference_of(frame, "SATUFILE"), mode="update") as hdus:
        hdus["SCI"].data[:] = -100
    assert (frame.calibrate().dq() & 256).any()
    fits.setval(reference_of(frame, "BIASFILE"), "PEDIGREE", value="DUMMY 2002-03-01")
    fits.setval(reference_of(frame, "BPIXTAB"), "PEDIGREE", value="DUMMY 2002-03-01")
    product = frame.calibrate()
    assert product.primary.text("BIASCORR") == "SKIPPED"
    assert product.primary.text("DQICORR") == "SKIPPED"
    assert not (product.dq() & 256).any()


def test_errors_of_the_raw_file_count(root: Path) -> None:
    frame = Frame(root, HRC).set(DARKCORR="OMIT", FLATCORR="OMIT")
    before = frame.calibrate()
    gain = before.primary.real("ATODGNC")
    frame.hdus[2] = image_hdu(frame.hdus[2].header, np.full(frame.raw().shape, 3, np.float32))
    after = frame.calibrate()
    np.testing.assert_allclose(after.err() ** 2, before.err() ** 2 + (3 * gain) ** 2, rtol=1e-6)


def test_without_blevcorr_the_frame_is_trimmed_all_the_same(root: Path) -> None:
    frame = Frame(root, HRC)
    usual = frame.calibrate()
    product = frame.set(BLEVCORR="OMIT").calibrate()
    assert product.sci().shape == usual.sci().shape
    assert np.median(product.sci() - usual.sci()) > 1000  # the level is still in it


def test_values_that_no_header_can_hold(root: Path) -> None:
    """A flat of nearly zero makes infinite errors: AC names them, CA does not fall over."""
    frame = Frame(root, HRC)
    with fits.open(reference_of(frame, "PFLTFILE"), mode="update") as hdus:
        hdus["SCI"].data[3, 3] = 1e-38
    assert not np.isfinite(frame.calibrate().err()).all()


def test_expscorr_is_complete_in_the_exposures_own_product(root: Path) -> None:
    assert Frame(root, HRC).set(EXPSCORR="PERFORM").calibrate().primary.text("EXPSCORR") == (
        "COMPLETE"
    )


@pytest.mark.parametrize("gone", ["A", "B"])
def test_one_overscan_section_for_two_amplifiers(root: Path, gone: str) -> None:
    """The first serves both, in the gain of whoever read it; the second alone is overlooked."""
    frame = Frame(root, WFC)
    usual = frame.calibrate()
    with fits.open(reference_of(frame, "OSCNTAB"), mode="update") as hdus:
        for end in "12":
            hdus[1].data[f"BIASSECT{gone}{end}"] = 0
    product = frame.calibrate()
    level = {a: product.primary.real(f"BIASLEV{a}") for a in "CD"}
    if gone == "B":
        assert level["C"] == usual.primary.real("BIASLEVC")
        assert level["D"] == pytest.approx(level["C"], abs=0.5)
    else:
        table = read(reference_of(frame, "CCDTAB"))
        row = next(r for r in read_table(table[1]) if r["CCDCHIP"] == 2)
        assert level["C"] == level["D"] == pytest.approx(row["CCDBIASC"] * row["ATODGNC"], rel=1e-6)
