"""Overscan fit, bad pixels, photometry, coordinates, previews and extraction."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from calibration.arrays.dq import BadPixels, flag_bad_pixels
from calibration.arrays.extract import extract
from calibration.arrays.overscan import NoOverscan, drift_slope, fit_level, line_medians
from calibration.arrays.photometry import OUTSIDE, NoSuchMode, value_at
from calibration.arrays.pixmap import pixel_map
from calibration.arrays.wcs import Wcs, north_up


def test_line_medians_ignore_flagged_pixels() -> None:
    values = np.array([[1, 2, 3, 100], [5, 7, 0, 0], [9, 9, 9, 9]], np.float32)
    good = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    medians = line_medians(values, good)
    assert list(medians[:2]) == [2.0, 6.0]
    assert np.isnan(medians[2])


def test_fit_finds_level_and_slope_despite_contaminated_lines() -> None:
    rows = np.arange(500)
    levels = 2500.0 + 2e-3 * (rows - 250)
    levels[::50] += 80.0
    fit = fit_level(levels, 4.0)
    assert fit.intercept == pytest.approx(2500.0, abs=0.02)
    assert fit.slope == pytest.approx(2e-3, rel=0.05)
    assert fit.rejected >= 10


def test_fit_is_evaluated_at_the_untrimmed_row() -> None:
    """calacs's slip, kept: the level of untrimmed row 20 is the fit's value 20 rows too far."""
    fit = fit_level(1000.0 + 0.5 * np.arange(100), 1e3)
    assert fit.at(np.array([20]))[0] == pytest.approx(1000.0 + 0.5 * 20)


def test_no_usable_overscan() -> None:
    with pytest.raises(NoOverscan):
        fit_level(np.full(10, np.nan), 4.0)


def test_drift_slope() -> None:
    columns = np.arange(20, 120)
    values = np.broadcast_to(-2e-3 * columns, (15, 100))
    slope = drift_slope(values, np.ones((15, 100), bool), columns.tolist())
    assert slope == pytest.approx(-2e-3)


def test_bad_pixels_are_clipped_and_shifted() -> None:
    dq = np.zeros((10, 12), np.int16)
    runs = [
        BadPixels(1, 2, 3, 1, 4),
        BadPixels(2, 1, 100, 2, 16),
        BadPixels(-5, 3, 4, 1, 32),
        BadPixels(2, 2, 1, 1, 128),
    ]
    assert flag_bad_pixels(dq, runs, (2, 0)) == 4
    assert list(dq[1, 2:5]) == [4, 4 | 16 | 128, 4]
    assert (dq[:, 3] & 16).all()
    assert not (dq & 32).any()


ROWS = [
    {"OBSMODE": "acs,wfc1,f606w", "DATACOL": "PHOTFLAM", "PHOTFLAM": 9.0},
    {
        "OBSMODE": "acs,wfc1,f606w,MJD#", "DATACOL": "PHOTFLAM1",
        "PHOTFLAM1": np.array([1.0, 2.0]), "PAR1VALUES": np.array([50000.0, 50010.0]),
    },
]  # fmt: skip


def test_photometry_prefers_the_dated_row() -> None:
    assert value_at(ROWS, "acs,wfc1,f606w", 50005.0) == pytest.approx(1.5)
    with pytest.raises(NoSuchMode):
        value_at(ROWS, "acs,wfc1,f814w", 50005.0)
    assert value_at(ROWS, "acs,wfc1,f606w", 50015.0) == OUTSIDE
    assert value_at(ROWS, "acs,wfc1,f606w", 50015.0, extrapolate=True) == pytest.approx(2.5)


def test_a_ramp_filter_is_entered_by_wavelength_and_date() -> None:
    table = [
        {
            "OBSMODE": "acs,wfc1,fr656n#,MJD#", "DATACOL": "PHOTFLAM2",
            "PHOTFLAM2": np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0]),
            "PAR1NAMES": "FR656N#", "PAR2NAMES": "MJD#",
            "PAR1VALUES": np.array([6000.0, 6100.0, 6200.0]),
            "PAR2VALUES": np.array([50000.0, 50010.0]),
        }
    ]  # fmt: skip
    assert value_at(table, "acs,wfc1,fr656n#6150", 50005.0) == pytest.approx(2.5 + 5)
    assert value_at(table, "acs,wfc1,fr656n#6300", 50005.0, extrapolate=True) == OUTSIDE
    late = value_at(table, "acs,wfc1,fr656n#6150", 50020.0, extrapolate=True)
    assert late == pytest.approx(2.5 + 20)


def make_wcs(sip: bool) -> tuple[Wcs, WCS]:
    header = fits.Header()
    values = {
        "NAXIS": 2, "NAXIS1": 400, "NAXIS2": 300, "CRPIX1": 210.5, "CRPIX2": 140.25,
        "CRVAL1": 0.001, "CRVAL2": -72.1, "CD1_1": -7.4e-6, "CD1_2": 1.8e-6, "CD2_1": 2.9e-6,
        "CD2_2": 6.6e-6, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
    }  # fmt: skip
    a, b = {}, {}
    if sip:
        values |= {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
        a, b = {(2, 0): 3e-6, (1, 1): -2e-6}, {(0, 2): 5e-6}
        values |= {f"A_{p}_{q}": v for (p, q), v in a.items()}
        values |= {f"B_{p}_{q}": v for (p, q), v in b.items()}
    header.update(values)
    cd = np.array([[-7.4e-6, 1.8e-6], [2.9e-6, 6.6e-6]])
    return Wcs((210.5, 140.25), (0.001, -72.1), cd, a, b), WCS(header)


@pytest.mark.parametrize("sip", [False, True])
def test_wcs_agrees_with_astropy(sip: bool) -> None:
    ours, theirs = make_wcs(sip)
    x, y = np.meshgrid(np.linspace(0, 399, 9), np.linspace(0, 299, 7))
    sky = ours.to_sky(x, y)
    ra, dec = theirs.all_pix2world(x, y, 0)
    np.testing.assert_allclose(sky[0], ra, atol=1e-11)
    np.testing.assert_allclose(sky[1], dec, atol=1e-11)
    if not sip:
        back = ours.to_pixel(*sky)
        np.testing.assert_allclose(back[0], x, atol=1e-7)


def test_grid_covers_everything_and_is_north_up() -> None:
    ours, _ = make_wcs(True)
    grid, shape = north_up([(ours, (300, 400))], ours.scale)
    pixels = pixel_map(ours, grid, (300, 400))
    assert pixels[..., 0].min() > -0.5
    assert pixels[..., 1].min() > -0.5
    assert pixels[..., 0].max() < shape[1] - 0.5
    assert pixels[..., 1].max() < shape[0] - 0.5
    assert grid.cd[0, 0] < 0 < grid.cd[1, 1]
    assert abs(grid.cd[0, 1]) == 0


def test_extraction_subtracts_the_background() -> None:
    random = np.random.default_rng(3)
    x = np.concatenate([random.integers(100, 900, 50_000), random.integers(0, 1000, 40_000)])
    y = np.concatenate([random.normal(300, 3, 50_000), random.uniform(0, 1024, 40_000)])
    spectrum = extract(x, y.astype(int), (1024, 1000))
    assert spectrum.trace == pytest.approx(300, abs=1)
    assert spectrum.net.sum() == pytest.approx(50_000, rel=0.01)
    outside = spectrum.net[5:90]
    assert abs(outside.mean()) < 0.5
