"""What previews show: sky, stars, gaps, geometry; and what must not drive their scale."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibration.arrays.stretch import FLAT_GREY, autoscale, background, mosaic, shrink
from calibration.fits import Column, Hdu, Header, image_hdu, read, table_hdu
from calibration.nodes.preview import _encoded, orientation_of, picture

SKY, NOISE = 100.0, 5.0


def field(shape: tuple[int, int] = (400, 500), seed: int = 1) -> Any:
    """A sky with one bright star, row 300 from below, column 100."""
    image = np.random.default_rng(seed).normal(SKY, NOISE, shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    star = 20_000 * np.exp(-((y - 0.75 * shape[0]) ** 2 + (x - 0.2 * shape[1]) ** 2) / 18.0)
    return (image + star).astype(np.float32)


def hdus(chips: dict[int, Any], dq: Any = None, **cards: Any) -> list[Hdu]:
    primary = Header()
    for key, value in {"INSTRUME": "ACS", "DETECTOR": "HRC", **cards}.items():
        primary.set(key, value)
    out = [image_hdu(primary, None, primary=True)]
    for version, (chip, image) in enumerate(chips.items(), 1):
        for name, array in (("SCI", image), ("DQ", dq)):
            header = Header()
            header.set("EXTNAME", name)
            header.set("EXTVER", version)
            header.set("CCDCHIP", chip)
            header.set("BUNIT", "ELECTRONS")
            if array is not None:
                out.append(image_hdu(header, array))
    return out


def show(*arguments: Any, **cards: Any) -> Any:
    return picture(hdus(*arguments, **cards), "jsim01a1q_flt.fits").grey


def test_sky_is_dark_but_not_black_and_the_star_is_white() -> None:
    grey = show({1: field()})
    assert grey.shape == (400, 500)
    assert 8 < np.median(grey) < 90
    assert grey.std() > 1  # the noise of the sky shows
    # Row 300 from below is row 99 from the top.
    assert grey[99, 100] == 255
    assert np.unravel_index(grey.argmax(), grey.shape)[0] in range(85, 115)


def test_a_faint_star_stands_out_beside_a_bright_one() -> None:
    image = field()
    image[40:43, 400:403] += 12 * NOISE
    grey = show({1: image}).astype(int)
    assert grey[357:360, 400:403].mean() > np.median(grey) + 25


def test_an_empty_field_is_linear_and_not_torn_apart() -> None:
    image = np.random.default_rng(2).normal(SKY, NOISE, (300, 300)).astype(np.float32)
    good = np.ones(image.shape, bool)
    assert autoscale(image, good).kind == "linear"
    assert np.percentile(show({1: image}), 99) < 200
    # A crowded one is asinh, so that its sky is seen beside its stars.
    image[::7, ::7] += np.random.default_rng(3).pareto(0.7, (43, 43)).astype(np.float32) * 100
    assert autoscale(image, good).kind == "asinh"
    assert 8 < np.median(show({1: image})) < 90


@pytest.mark.parametrize("kind", ["nan", "flagged", "saturated"])
def test_what_must_not_drive_the_scale(kind: str) -> None:
    clean = show({1: field()}, np.zeros((400, 500), np.int16)).astype(int)
    image, dq = field(), np.zeros((400, 500), np.int16)
    image[:60, :] = {"nan": np.nan, "flagged": -1e9, "saturated": 1e9}[kind]
    if kind != "nan":
        dq[:60, :] = {"flagged": 4, "saturated": 256}[kind]
    grey = show({1: image}, dq).astype(int)
    assert np.abs(grey[:340] - clean[:340]).max() <= 8
    assert set(np.unique(grey[340:])) == {255 if kind == "saturated" else 0}


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_a_constant_image_is_grey(value: float) -> None:
    assert set(np.unique(show({1: np.full((50, 60), value, np.float32)}))) == {FLAT_GREY}
    with pytest.raises(ValueError, match="not one finite pixel"):
        show({1: np.full((50, 60), np.nan, np.float32)})


def test_chip_one_lies_above_chip_two_with_a_gap() -> None:
    lower, upper = field((600, 1200), 1), field((600, 1200), 2) * 0 + 1
    upper += np.random.default_rng(3).normal(0, 0.1, upper.shape).astype(np.float32)
    # EXTVER 1 is chip 2, EXTVER 2 is chip 1; the order of the file must not matter.
    for chips in ({2: lower, 1: upper}, {1: upper, 2: lower}):
        grey = show(chips, DETECTOR="WFC")
        assert grey.shape == (1250, 1200)
        assert np.median(grey[:600]) < np.median(grey[650:])
        assert not grey[600:650].any()
        assert grey[650:].max() == 255
        assert grey[650 + 149, 240] == 255  # row 450 of the lower chip from below


def test_previews_are_bounded_and_deterministic() -> None:
    shown = picture(hdus({2: field((1100, 2100)), 1: field((1100, 2100))}, DETECTOR="WFC"),
                    "jsim01a1q_flt.fits")  # fmt: skip
    for side, form in ((1024, "PNG"), (128, "JPEG")):
        content = _encoded(shown, side, form)
        assert content == _encoded(shown, side, form)
        image = Image.open(io.BytesIO(content))
        assert max(image.size) == side
        assert image.size[1] in (side, side + 1, side - 1, round(image.size[0] * 2250 / 2100))
        assert 8 < np.median(np.asarray(image)) < 90
    small = _encoded(picture(hdus({1: field()}), "jsim01a1q_flt.fits"), 1024, "PNG")
    assert Image.open(io.BytesIO(small)).size == (500, 400)  # nothing is enlarged
    assert Image.open(io.BytesIO(small)).info["Stretch"].startswith("linear from 9")


def test_pixels_without_weight_are_black() -> None:
    content = hdus({1: field()})
    weight = Header()
    weight.set("EXTNAME", "WHT")
    wht = np.ones((400, 500), np.float32)
    wht[:, 250:] = 0
    content.append(image_hdu(weight, wht))
    grey = picture(content, "jsim01a1q_drz.fits").grey
    assert not grey[:, 250:].any()
    assert 8 < np.median(grey[:, :250]) < 90


def wcs(**cards: Any) -> Header:
    header = Header()
    for key, value in {"CTYPE1": "RA---TAN", **cards}.items():
        header.set(key, value)
    return header


def test_orientation(shared_data: Path) -> None:
    north_up = {"CD1_1": -1e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-5}
    assert orientation_of(wcs(**north_up)).startswith(
        "up is 0.0 deg east of north, east is to the left"
    )
    assert "to the right" in orientation_of(wcs(**{**north_up, "CD1_1": 1e-5}))
    assert orientation_of(wcs(CD1_1=1e-5)) == ""
    assert orientation_of(Header()) == ""
    real = read(shared_data / "hst/acs_hrc_raw/j8bt05njq_raw.fits")[1].header
    angle = float(real.get("ORIENTAT")) % 360
    assert abs(float(orientation_of(real).split()[2]) - angle) < 0.1


def test_spectra_with_a_panel_for_each_segment() -> None:
    wave = [np.linspace(1300, 1450, 4000), np.linspace(1130, 1280, 4000)]
    flux = [np.ones(4000), np.where(np.arange(4000) < 2000, 1.0, 0.1)]
    columns = [Column("SEGMENT", "4A", ["FUVA", "FUVB"]), Column("WAVELENGTH", "4000D", wave),
               Column("FLUX", "4000D", flux)]  # fmt: skip
    content = [image_hdu(Header(), None, primary=True), table_hdu("SCI", columns)]
    shown = picture(content, "lsimc1a1q_x1d.fits")
    assert shown.grey.shape == (512, 1024)
    assert shown.notes["Spectrum"] == "FLUX over 1130.0 to 1280.0, 1300.0 to 1450.0 Angstrom"
    filled = (shown.grey == 220).mean(axis=0)
    upper, lower = shown.grey[:256] == 220, shown.grey[256:] == 220
    assert upper[:, :500].mean() > 0.9 > 0.2 > upper[:, 520:].mean()  # FUVB: the shorter waves
    assert lower.mean() > 0.9
    assert filled.shape == (1024,)


def test_the_parts_of_the_stretch() -> None:
    image = np.ones((40, 60), np.float32)
    image[:2, :2] = np.nan
    image[10, 10] = np.nan
    image[20:22, 20:22] = 9
    image[30, 30] = 9
    good = image != 9
    small, mask = shrink(image, good, 30)
    assert small.shape == (20, 30)
    assert np.isnan(small[0, 0])
    assert (small[5, 5], small[10, 10], small[15, 15]) == (1, 9, 1)
    assert not mask[10, 10]
    assert mask[15, 15]
    values = np.random.default_rng(5).normal(10, 2, 40_000)
    values[:2000] = 1e5
    assert background(values) == (pytest.approx(10, abs=0.1), pytest.approx(2, rel=0.05))
    joined = mosaic([np.zeros((2, 3)), np.ones((2, 2))], 1, 7)
    assert joined.tolist() == [[0] * 3, [0] * 3, [7] * 3, [1, 1, 7], [1, 1, 7]]
