"""Tangent-plane coordinates with optional distortion, in plain numpy.

Pixels are 0-based, angles in degrees. Importing astropy.wcs alone costs 0.8 s of CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.lookup import Offsets

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Wcs:
    """A gnomonic projection.

    Parameters
    ----------
    crpix
        Reference pixel, 1-based as in FITS.
    crval
        Right ascension and declination there.
    cd
        2 x 2 matrix, degrees per pixel.
    sip_a, sip_b
        SIP polynomials: (power of u, power of v) -> coefficient.
    detector
        Offsets that take detector pixels to image pixels, before everything else (D2IM).
    prior
        Offsets that are added together with SIP, at the same pixels (CPDIS, HST's NPOL).
    """

    crpix: tuple[float, float]
    crval: tuple[float, float]
    cd: F64
    sip_a: Mapping[tuple[int, int], float] = field(default_factory=dict)
    sip_b: Mapping[tuple[int, int], float] = field(default_factory=dict)
    detector: Offsets | None = None
    prior: Offsets | None = None

    def without_tables(self) -> Wcs:
        """Return the smooth part: polynomial and projection."""
        return replace(self, detector=None, prior=None)

    @property
    def scale(self) -> float:
        """Side of a pixel at the reference point."""
        return float(np.sqrt(abs(np.linalg.det(self.cd))))

    def to_sky(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Return right ascension and declination of pixels."""
        if self.detector is not None:
            dx, dy = self.detector.shift(x, y)
            x, y = x + dx, y + dy
        u, v = x - (self.crpix[0] - 1), y - (self.crpix[1] - 1)
        du, dv = self.prior.shift(x, y) if self.prior is not None else (0.0, 0.0)
        if self.sip_a or self.sip_b:
            du, dv = du + _polynomial(self.sip_a, u, v), dv + _polynomial(self.sip_b, u, v)
        u, v = u + du, v + dv
        xi = np.radians(self.cd[0, 0] * u + self.cd[0, 1] * v)
        eta = np.radians(self.cd[1, 0] * u + self.cd[1, 1] * v)
        ra0, dec0 = np.radians(self.crval)
        below = np.cos(dec0) - eta * np.sin(dec0)
        ra = ra0 + np.arctan2(xi, below)
        dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below))
        return np.degrees(ra) % 360.0, np.degrees(dec)

    def to_pixel(self, ra: F64, dec: F64) -> tuple[F64, F64]:
        """Return pixels of sky positions (of a WCS without SIP: an output grid has none)."""
        ra0, dec0 = np.radians(self.crval)
        da, d = np.radians(ra) - ra0, np.radians(dec)
        cos_c = np.sin(dec0) * np.sin(d) + np.cos(dec0) * np.cos(d) * np.cos(da)
        xi = np.degrees(np.cos(d) * np.sin(da) / cos_c)
        eta = np.degrees((np.cos(dec0) * np.sin(d) - np.sin(dec0) * np.cos(d) * np.cos(da)) / cos_c)
        inverse = np.linalg.inv(self.cd)
        x = inverse[0, 0] * xi + inverse[0, 1] * eta + self.crpix[0] - 1
        y = inverse[1, 0] * xi + inverse[1, 1] * eta + self.crpix[1] - 1
        return x, y


def _polynomial(terms: Mapping[tuple[int, int], float], u: F64, v: F64) -> F64:
    out = np.zeros(np.broadcast(u, v).shape)
    for (p, q), coefficient in terms.items():
        out = out + coefficient * u**p * v**q
    return out


def corners(shape: tuple[int, int]) -> tuple[F64, F64]:
    """Return the outer pixel corners' and edge middles' coordinates of an image."""
    ny, nx = shape
    xs, ys = np.linspace(-0.5, nx - 0.5, 9), np.linspace(-0.5, ny - 0.5, 9)
    x = np.concatenate([xs, xs, np.full(9, xs[0]), np.full(9, xs[-1])])
    y = np.concatenate([np.full(9, ys[0]), np.full(9, ys[-1]), ys, ys])
    return x, y


def north_up(
    inputs: Iterable[tuple[Wcs, tuple[int, int]]], scale: float
) -> tuple[Wcs, tuple[int, int]]:
    """Return a north-up grid, and its shape, that just covers all inputs."""
    return covering(inputs, np.array([[-scale, 0.0], [0.0, scale]]))


def aligned(wcs: Wcs, scale: float) -> F64:
    """Return the CD matrix of square pixels that lie along an image's axes."""
    left, _, right = np.linalg.svd(wcs.cd)
    return np.asarray(scale * (left @ right))


def covering(inputs: Iterable[tuple[Wcs, tuple[int, int]]], cd: F64) -> tuple[Wcs, tuple[int, int]]:
    """Return a grid with this CD matrix, and its shape, that just covers all inputs."""
    sky = [wcs.to_sky(*corners(shape)) for wcs, shape in inputs]
    ra = np.concatenate([s[0] for s in sky])
    dec = np.concatenate([s[1] for s in sky])
    ra0 = float(ra[0])
    offsets = (ra - ra0 + 180.0) % 360.0 - 180.0  # the field may straddle RA 0
    centre = ((ra0 + (offsets.min() + offsets.max()) / 2) % 360.0, (dec.min() + dec.max()) / 2)
    trial = Wcs((1.0, 1.0), (float(centre[0]), float(centre[1])), cd)
    x, y = trial.to_pixel(ra, dec)
    left, bottom = float(np.floor(x.min() + 0.5)), float(np.floor(y.min() + 0.5))
    nx, ny = int(np.ceil(x.max() + 0.5) - left), int(np.ceil(y.max() + 0.5) - bottom)
    return Wcs((1.0 - left, 1.0 - bottom), trial.crval, cd), (ny, nx)
