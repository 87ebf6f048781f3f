"""Pixel maps and distortion: against astropy with Hubble's own reference files, and stwcs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from calibration.arrays import idc
from calibration.arrays.lookup import Offsets, Table
from calibration.arrays.pixmap import linear_matrix, pixel_map, spline_matrix
from calibration.arrays.wcs import Wcs, covering, north_up
from calibration.context import Context
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, image_hdu, read
from calibration.fits.planes import image_sets
from calibration.nodes.distortion import Distortion, chips_of

CHIP = (2048, 4096)
REFERENCES = {
    "IDCTAB": "jref$0461802ej_idc.fits",
    "NPOLFILE": "jref$02c14514j_npl.fits",
    "D2IMFILE": "jref$02c1450oj_d2i.fits",
}
OLD = {"IDCTAB": "jref$qbu1641sj_idc.fits", "NPOLFILE": "jref$qbu16424j_npl.fits"}
PIXELS = np.array([(1, 1), (4096, 1), (1, 2048), (4096, 2048), (2048, 1024), (700.3, 444.4),
                   (3333.3, 1777.7)])  # fmt: skip

#: What stwcs 1.7.7 (`updatewcs`, then `HSTWCS.all_pix2world`) makes of the header below.
STWCS = {
    ("new", 2): [
        (150.1612650063, -42.3295973773), (150.1173802881, -42.3762825541),
        (150.1284330805, -42.3152549371), (150.0841677441, -42.3610571344),
        (150.1229999029, -42.3450000535), (150.146765243, -42.3340907569),
        (150.0968737031, -42.3542093945),
    ],
    ("new", 1): [
        (150.1276495127, -42.3148496567), (150.0833335326, -42.3606364024),
        (150.095679149, -42.3012559689), (150.0511934407, -42.3459772168),
        (150.0895365058, -42.3300873494), (150.1131994734, -42.3193152354),
        (150.0637394675, -42.3392261527),
    ],
    ("old", 2): [
        (150.1612660932, -42.3295952916), (150.1173812441, -42.3762836109),
        (150.1284317612, -42.315252928), (150.0841669056, -42.3610584661),
        (150.1229998533, -42.3450001329), (150.1467658767, -42.3340895955),
        (150.0968729724, -42.3542104985),
    ],
    ("old", 1): [
        (150.1276471981, -42.3148467731), (150.0833324555, -42.3606377904),
        (150.0956753001, -42.3012541938), (150.0511897254, -42.3459784583),
        (150.0895339915, -42.330087363), (150.1131975832, -42.3193142012),
        (150.0637363431, -42.3392272301),
    ],
}  # fmt: skip


def exposure(named: dict[str, str]) -> list[Hdu]:
    """Headers of a WFC exposure as calacs leaves them; the pixels do not matter."""
    primary = Header()
    for key, value in {
        "INSTRUME": "ACS", "DETECTOR": "WFC", "FILTER1": "F606W", "FILTER2": "CLEAR2L",
        "PA_V3": 123.4567, "DATE-OBS": "2006-05-17", "DRIZCORR": "PERFORM", **named,
    }.items():  # fmt: skip
        primary.set(key, value)
    out = [image_hdu(primary, None, primary=True)]
    angle, scale = np.radians(-30.0), 0.05 / 3600
    c, s = float(scale * np.cos(angle)), float(scale * np.sin(angle))
    for version, chip in ((1, 2), (2, 1)):
        header = Header()
        for key, number in {
            "EXTNAME": "SCI", "EXTVER": version, "CCDCHIP": chip, "CRPIX1": 2048.0,
            "CRPIX2": 1024.0, "CRVAL1": 150.123, "CRVAL2": -42.345, "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN", "CD1_1": -c, "CD1_2": s, "CD2_1": s, "CD2_2": c, "LTV1": 0.0,
            "LTV2": 0.0, "VAFACTOR": 1.00004321,
        }.items():  # fmt: skip
            header.set(key, number)
        out.append(image_hdu(header, np.zeros(CHIP, np.int16)))
    return out


def distortions(references: Path, named: dict[str, str]) -> list[Distortion]:
    context = Context("MD", "jtest1a1q", references, references, references, references)
    hdus = exposure(named)
    return chips_of(context, hdus, image_sets(hdus, "flt"))


def pixels_apart(a: Any, b: Any) -> float:
    """The largest distance of two lists of sky positions, in pixels of 0.05 arc seconds."""
    d_ra = (np.asarray(a[0]) - b[0]) * np.cos(np.radians(b[1]))
    return float(np.hypot(d_ra, np.asarray(a[1]) - b[1]).max() * 3600 / 0.05)


@pytest.mark.parametrize(("name", "chip", "within"), [
    ("new", 2, 2e-5), ("new", 1, 2e-5), ("old", 2, 2e-5), ("old", 1, 2e-3),
])  # fmt: skip
def test_idctab_npol_and_d2im_as_stwcs(
    shared_data: Path, name: str, chip: int, within: float
) -> None:
    found = distortions(shared_data / "hst/reftabs", REFERENCES if name == "new" else OLD)
    sky = np.array(STWCS[name, chip]).T
    ours = found[2 - chip].wcs.to_sky(*(PIXELS.T - 1))
    assert pixels_apart(ours, sky) < within


@pytest.mark.parametrize(("absent", "least"), [
    ("IDCTAB", 10.0), ("NPOLFILE", 2e-3), ("D2IMFILE", 2e-2), ("VAFACTOR", 0.02), ("TDD", 0.01),
    ("V2REF", 20.0),
])  # fmt: skip
def test_every_term_matters(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, absent: str, least: float
) -> None:
    """Leaving one out moves pixels of chip 1 by more than `least`."""
    references = shared_data / "hst/reftabs"
    named = {k: v for k, v in REFERENCES.items() if k != absent}
    if absent == "TDD":
        monkeypatch.setattr(idc, "at_time", lambda model, *_: model)
    if absent == "V2REF":
        plain = idc.model_of
        monkeypatch.setattr(
            idc, "model_of", lambda row, order: replace(plain(row, order), v2v3=(257.0, 302.0))
        )
    if absent == "VAFACTOR":
        plain_chip = idc.chip_wcs
        monkeypatch.setattr(
            idc, "chip_wcs", lambda p, *rest: plain_chip(replace(p, aberration=1.0), *rest)
        )
    wcs = distortions(references, named)[1].wcs
    assert pixels_apart(wcs.to_sky(*(PIXELS.T - 1)), np.array(STWCS["new", 1]).T) > least


def test_polynomials_are_what_the_table_defines(shared_data: Path) -> None:
    """Undistorted offsets by SIP and CD are the table's sums of powers, in arc seconds."""
    table = fits.getdata(shared_data / "hst/reftabs/0461802ej_idc.fits", 1)
    row = {name.upper(): table[name][1] for name in table.names}
    model = idc.model_of(row, 5)
    a, b = idc.sip_of(model)
    dx, dy = np.array([-2047.0, 1500.0, 333.0]), np.array([1023.0, -900.0, 12.0])
    direct = [
        sum(float(row[f"{c}{n}{m}"]) * dx**m * dy ** (n - m)
            for n in range(1, 6) for m in range(n + 1))
        for c in ("CX", "CY")
    ]  # fmt: skip
    u = dx + sum(v * dx**p * dy**q for (p, q), v in a.items())
    v = dy + sum(v * dx**p * dy**q for (p, q), v in b.items())
    np.testing.assert_allclose(model.linear @ [u, v], direct, rtol=0, atol=1e-9)


def test_pixel_map_is_astropys(shared_data: Path) -> None:
    """All distortion terms of a real chip: within 1e-4 pixel of the full evaluation everywhere."""
    source = distortions(shared_data / "hst/reftabs", REFERENCES)[1].wcs
    grid, _ = north_up([(source, CHIP)], 0.05 / 3600)
    found = pixel_map(source, grid, CHIP)
    random = np.random.default_rng(3)
    x, y = random.integers(0, 4096, 40_000), random.integers(0, 2048, 40_000)
    theirs = _astropy(source).all_pix2world(x, y, 0)
    expected = _astropy(grid).all_world2pix(*theirs, 0)
    error = np.abs(found[y, x] - np.stack(expected, axis=-1)).max()
    assert error < 1e-4
    smooth = pixel_map(source.without_tables(), grid, CHIP, (100, 110))
    direct = grid.to_pixel(
        *source.without_tables().to_sky(*np.meshgrid(np.arange(4096.0), np.arange(100.0, 110.0)))
    )
    np.testing.assert_allclose(smooth, np.stack(direct, axis=-1), rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        pixel_map(source, grid, CHIP, (640, 700)), found[640:700], rtol=0, atol=1e-9
    )


def _astropy(wcs: Wcs) -> WCS:
    header, hdus = _in_fits(wcs)
    return WCS(header, fobj=hdus)


def _in_fits(wcs: Wcs) -> tuple[fits.Header, fits.HDUList]:
    """The same coordinates in headers and extensions, as astropy reads them."""
    header = fits.Header()
    kind = "-SIP" if wcs.sip_a else ""
    header.update({
        "NAXIS": 2, "NAXIS1": 4096, "NAXIS2": 2048, "CTYPE1": f"RA---TAN{kind}",
        "CTYPE2": f"DEC--TAN{kind}", "CRPIX1": wcs.crpix[0], "CRPIX2": wcs.crpix[1],
        "CRVAL1": wcs.crval[0], "CRVAL2": wcs.crval[1], "CD1_1": wcs.cd[0, 0],
        "CD1_2": wcs.cd[0, 1], "CD2_1": wcs.cd[1, 0], "CD2_2": wcs.cd[1, 1],
    })  # fmt: skip
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for letter, terms in (("A", wcs.sip_a), ("B", wcs.sip_b)):
        if terms:
            header[f"{letter}_ORDER"] = max(p + q for p, q in terms)
        header.update({f"{letter}_{p}_{q}": v for (p, q), v in terms.items()})
    for offsets, name, kind, record in (
        (wcs.prior, "WCSDVARR", "CPDIS", "DP"), (wcs.detector, "D2IMARR", "D2IMDIS", "D2IM"),
    ):  # fmt: skip
        for axis, table in enumerate((offsets.x, offsets.y) if offsets else (), 1):
            hdu = fits.ImageHDU(table.values.astype(np.float32), name=name, ver=axis)
            for i in (0, 1):
                hdu.header[f"CRPIX{i + 1}"] = table.crpix[i]
                hdu.header[f"CRVAL{i + 1}"] = table.crval[i]
                hdu.header[f"CDELT{i + 1}"] = table.cdelt[i]
            hdus.append(hdu)
            header[f"{kind}{axis}"] = "Lookup"
            for key, value in (("EXTVER", axis), ("NAXES", 2), ("AXIS.1", 1), ("AXIS.2", 2)):
                header[f"{record}{axis}.{key}"] = value
    return header, hdus


def test_tables_attached_to_the_file_are_used(shared_data: Path, tmp_path: Path) -> None:
    """SIP in the header wins over IDCTAB; WCSDVARR and D2IMARR are read as astropy reads them."""
    real = distortions(shared_data / "hst/reftabs", REFERENCES)[1].wcs
    header, extensions = _in_fits(real)
    theirs = WCS(header, fobj=extensions)
    science = fits.ImageHDU(np.zeros(CHIP, np.int16), header, name="SCI")
    path = tmp_path / "flt.fits"
    primary = extensions[0]
    primary.header.update({"INSTRUME": "ACS", "DETECTOR": "WFC", "DRIZCORR": "PERFORM",
                           "IDCTAB": "jref$not_there_idc.fits"})  # fmt: skip
    fits.HDUList([primary, science, *extensions[1:]]).writeto(path)
    opened = read(path)
    context = Context("MD", "jtest1a1q", tmp_path, tmp_path, tmp_path, tmp_path)
    found = chips_of(context, opened, image_sets(opened, path.name))[0]
    assert "WCSDVARR" in found.source
    assert "D2IMARR" in found.source
    x, y = np.array([3.0, 1000.0, 4000.0]), np.array([5.0, 2000.0, 900.0])
    assert pixels_apart(found.wcs.to_sky(x, y), theirs.all_pix2world(x, y, 0)) < 1e-6


def test_tables_come_in_the_right_order() -> None:
    """With offsets of pixels, not hundredths: D2IM, then SIP and NPOL both at its result."""
    random = np.random.default_rng(8)
    detector, prior = (
        Offsets(*(Table(random.uniform(-2, 2, (17, 33)).astype(np.float32).astype(float),
                        (1.0, 1.0), (1.0, 1.0), (128.0, 128.0)) for _ in "xy"))
        for _ in "dp"
    )  # fmt: skip
    cd = np.array([[-1.2e-5, 3e-6], [3e-6, 1.3e-5]])
    wcs = Wcs((2000.0, 1100.0), (10.0, 40.0), cd, {(2, 0): 8e-6}, {(1, 1): 6e-6}, detector, prior)
    x, y = random.uniform(0, 4095, 500), random.uniform(0, 2047, 500)
    assert pixels_apart(wcs.to_sky(x, y), _astropy(wcs).all_pix2world(x, y, 0)) < 1e-6


@pytest.mark.parametrize(("named", "code", "word"), [
    ({"IDCTAB": "jref$gone_idc.fits"}, ExitCode.REFERENCE_MISSING, "gone_idc.fits"),
    ({**REFERENCES, "NPOLFILE": "jref$gone_npl.fits"}, ExitCode.REFERENCE_MISSING, "NPOLFILE"),
    ({**REFERENCES, "FILTER1": "F999W"}, ExitCode.REFERENCE_BAD, "F999W"),
    ({**REFERENCES, "PA_V3": "none"}, ExitCode.DRIZZLE_ERROR, "PA_V3"),
    ({**REFERENCES, "DATE-OBS": "soon"}, ExitCode.DRIZZLE_ERROR, "DATE-OBS"),
    ({"IDCTAB": "jref$02c14514j_npl.fits"}, ExitCode.REFERENCE_BAD, "02c14514j_npl.fits"),
])  # fmt: skip
def test_what_is_wrong_is_named(
    shared_data: Path, named: dict[str, str], code: ExitCode, word: str
) -> None:
    with pytest.raises(CalibrationError) as caught:
        distortions(shared_data / "hst/reftabs", named)
    assert caught.value.code == code
    assert word in caught.value.message


@pytest.mark.parametrize("named", [
    {}, {"IDCTAB": "N/A", "NPOLFILE": "N/A"}, {**REFERENCES, "DRIZCORR": "OMIT"},
])  # fmt: skip
def test_without_references_the_headers_wcs_is_taken(
    shared_data: Path, named: dict[str, str]
) -> None:
    found = distortions(shared_data / "hst/reftabs", named)[0]
    assert found.wcs.crval == (150.123, -42.345)
    assert found.source == "linear WCS of the header"


def test_a_dummy_table_is_passed_over(shared_data: Path, tmp_path: Path) -> None:
    with fits.open(shared_data / "hst/reftabs/0461802ej_idc.fits") as hdus:
        hdus[0].header["PEDIGREE"] = "DUMMY 01/01/2000"
        hdus.writeto(tmp_path / "dummy_idc.fits")
    found = distortions(tmp_path, {"IDCTAB": "jref$dummy_idc.fits"})[0]
    assert found.source == "linear WCS of the header"


def test_splines_reproduce_cubics_and_lines() -> None:
    knots, at = np.linspace(0, 50, 9), np.linspace(0, 50, 201)
    cubic = 3 + knots - 0.02 * knots**2 + 1e-3 * knots**3
    expected = 3 + at - 0.02 * at**2 + 1e-3 * at**3
    np.testing.assert_allclose(spline_matrix(knots, at) @ cubic, expected, atol=1e-10)
    uneven = np.array([0.0, 3.0, 20.0, 50.0])
    np.testing.assert_allclose(linear_matrix(uneven, at) @ (2 * uneven + 1), 2 * at + 1)


def test_tables_are_bilinear_and_constant_beyond_their_edge() -> None:
    table = Table(np.array([[0.0, 1.0], [2.0, 5.0]]), (1.0, 1.0), (11.0, 21.0), (10.0, 10.0))
    x, y = np.array([10.0, 15.0, 20.0, -5.0, 99.0]), np.array([20.0, 25.0, 20.0, 20.0, 99.0])
    np.testing.assert_allclose(table(x, y), [0.0, 2.0, 1.0, 0.0, 5.0])
    assert table.knots(0).tolist() == [10.0, 20.0]
    assert Offsets(None, table).shift(x, y)[0].tolist() == [0.0] * 5


def test_a_grid_along_the_detector_covers_both_chips(shared_data: Path) -> None:
    found = [d.wcs for d in distortions(shared_data / "hst/reftabs", REFERENCES)]
    grid, shape = covering([(w, CHIP) for w in found], np.array([[-1e-5, 4e-6], [4e-6, 1e-5]]))
    for wcs in found:
        x, y = grid.to_pixel(*wcs.to_sky(np.array([0.0, 4095.0]), np.array([2047.0, 0.0])))
        assert x.min() > -0.5
        assert x.max() < shape[1] - 0.5
        assert y.min() > -0.5
        assert y.max() < shape[0] - 0.5


def test_a_real_header_of_hrc_is_reproduced(shared_data: Path) -> None:
    """From the linear WCS that the header keeps (WCS "O") and the model to the WCS with SIP."""
    path = shared_data / "hst/drizzle/j8bt06nyq_sip_flt.fits"
    roll, header = fits.getheader(path)["PA_V3"], fits.getheader(path, 1)
    linear = np.array([[header["OCX11"], header["OCX10"]], [header["OCY11"], header["OCY10"]]])
    cx, cy = np.zeros((5, 5)), np.zeros((5, 5))
    (cx[1, 1], cx[1, 0]), (cy[1, 1], cy[1, 0]) = linear
    for n in range(2, 5):
        for m in range(n + 1):
            sip = (header[f"A_{m}_{n - m}"], header[f"B_{m}_{n - m}"])
            cx[n, m], cy[n, m] = linear @ sip
    model = idc.Model(
        cx, cy, (header["IDCXREF"], header["IDCYREF"]), (header["IDCV2REF"], header["IDCV3REF"]),
        header["IDCSCALE"],
    )  # fmt: skip
    cd = np.array([[header[f"CD{i}_{j}O"] for j in (1, 2)] for i in (1, 2)])
    given = Wcs((header["CRPIX1O"], header["CRPIX2O"]), (header["CRVAL1O"], header["CRVAL2O"]), cd)
    found = idc.chip_wcs(idc.Pointing(given, model, (-1.0, 1.0), roll, header["VAFACTOR"]), model)
    expected = [[header[f"CD{i}_{j}"] for j in (1, 2)] for i in (1, 2)]
    # 1e-13 degrees per pixel are 7e-6 pixel at the edge of the chip.
    np.testing.assert_allclose(found.cd, expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.crval, (header["CRVAL1"], header["CRVAL2"]), atol=1e-9)
    assert found.sip_a[2, 1] == pytest.approx(header["A_2_1"], rel=1e-9)
