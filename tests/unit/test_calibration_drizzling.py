"""Drizzle and blot: drizzlepac's stored products, flux, context, edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from calibration.arrays.drizzling import Stack, blot
from calibration.arrays.pixmap import pixel_map
from calibration.arrays.wcs import Wcs, north_up

NAMES = ("point", "square", "gaussian", "turbo", "lanczos3")
#: 512 (bad flat), 256 and 16 tolerated when the products were made; no pixel here has them.
_BITS = 784


@pytest.mark.parametrize("name", NAMES)
def test_drizzlepacs_products_are_reproduced(shared_data: Path, name: str) -> None:
    """The kernel is the one that the product's own header names: `gaussian` was made by square."""
    folder = shared_data / "hst/drizzle"
    with fits.open(folder / f"reference_drizzlepac_{name}_drz_sci.fits") as hdus:
        expected, kernel = hdus[0].data.astype(np.float32), hdus[0].header["D001KERN"]
    with fits.open(folder / "test_drizzlepac_flt.fits") as hdus:
        image = hdus["SCI"].data.astype(np.float32)
        weight = ((hdus["DQ"].data & ~_BITS) == 0) * np.float32(hdus[0].header["EXPTIME"])
    pixmap = fits.getdata(folder / "test_drizzlepac_pixmap.fits").astype(np.float64)
    stack = Stack(expected.shape, kernel=kernel, margin=4)
    stack.add(image, weight, pixmap)
    np.testing.assert_allclose(np.nan_to_num(stack.image), expected, rtol=1e-5, atol=2e-5)
    assert kernel == ("square" if name == "gaussian" else name)


def test_pixels_whose_centre_lies_outside_count_at_the_edge() -> None:
    """Without a margin the library leaves them out."""
    ones = np.ones((3, 3), np.float32)
    pixmap = np.stack(np.meshgrid(np.arange(3.0) + 0.6, np.arange(3.0)), axis=-1)
    weights = []
    for margin in (2, 0):
        stack = Stack((3, 3), margin=margin)
        stack.add(ones, ones, pixmap)
        weights.append(stack.weight[1, 2])
    # Of the pixel 1.5 to 2.5, 0.6 come from the pixel at 1.6 and 0.4 from the one at 2.6.
    assert weights[0] == pytest.approx(1.0)
    assert weights[1] == pytest.approx(0.6)


def _distorted() -> Wcs:
    angle, scale = np.radians(37.0), 0.05 / 3600
    c, s = np.cos(angle), np.sin(angle)
    cd = scale * np.array([[-c, s], [s, c]])
    return Wcs((96.0, 64.0), (6.0, -72.0), cd,
               {(2, 0): 2e-4, (1, 1): -1e-4}, {(0, 2): 1.5e-4, (1, 1): 1e-4})  # fmt: skip


@pytest.mark.parametrize(("kernel", "finer", "within"), [
    ("square", 1.0, 1e-4), ("square", 0.6, 1e-4), ("turbo", 1.0, 1e-3),
])  # fmt: skip
def test_flux_is_conserved_through_distortion(kernel: str, finer: float, within: float) -> None:
    """A flat-fielded pixel holds its counts per undistorted pixel: the area brings them back."""
    shape, source = (128, 192), _distorted()
    grid, out_shape = north_up([(source, shape)], source.scale * finer)
    pixmap = pixel_map(source, grid, shape)
    dx, dy = np.gradient(pixmap, axis=1), np.gradient(pixmap, axis=0)
    area = np.abs(dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]) * finer**2
    assert np.ptp(area) > 0.05  # the distortion matters
    yy, xx = np.mgrid[0 : shape[0], 0 : shape[1]]
    for x, y in ((40.3, 30.7), (150.1, 100.6), (96.0, 64.0)):
        counts = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.5**2))
        counts *= 1000 / counts.sum()
        stack = Stack(out_shape, kernel=kernel)
        stack.add((counts / area).astype(np.float32), np.ones(shape, np.float32), pixmap,
                  flux_scale=finer**2)  # fmt: skip
        assert np.nansum(stack.image, dtype=np.float64) == pytest.approx(1000, rel=within)


def test_the_context_names_all_of_many_images() -> None:
    stack = Stack((4, 4), images=33)
    pixmap = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1)
    weight = np.ones((4, 4), np.float32)
    for _ in range(33):
        stack.add(weight, weight, pixmap)
    assert stack.context.shape == (2, 4, 4)
    assert (stack.context[0] == -1).all()
    assert (stack.context[1] == 1).all()
    ours = Stack((4, 4), kernel="lanczos3", images=33)
    for _ in range(33):
        ours.add(weight, weight, pixmap)
    assert (ours.context[0] == -1).all()
    assert (ours.context[1] == 1).all()


def test_blot_returns_a_smooth_image_at_other_pixels() -> None:
    yy, xx = np.mgrid[0:60, 0:70].astype(np.float32)
    image = np.cos(xx / 7) * np.sin(yy / 9) + 2
    grid = np.meshgrid(np.arange(10, 50) + 0.37, np.arange(10, 40) - 0.21)
    model = blot(image, np.stack(grid, axis=-1), 300.0)
    np.testing.assert_allclose(
        model, 300 * (np.cos(grid[0] / 7) * np.sin(grid[1] / 9) + 2), rtol=2e-5
    )
