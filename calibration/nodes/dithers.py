"""Exposures on their way to MD's product: their sky, and the cosmic rays that differ between them.

Frames stay on disk; what is needed of them is read by rows, so that many exposures need little
more memory than two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import driz_cr
from calibration.arrays.dq import ALL_FLAGS, COSMIC_RAY, DRIZZLE_RAY
from calibration.arrays.drizzling import Stack, blot
from calibration.arrays.median import grown, minmed
from calibration.arrays.pixmap import pixel_map
from calibration.arrays.wcs import Wcs, aligned, covering
from calibration.context import Context, step, timed
from calibration.fits import Hdu, Header, image_hdu, read, write
from calibration.fits.planes import ImageSet, image_sets
from calibration.nodes.distortion import chips_of
from calibration.nodes.drizzle_options import TOLERATED, Settings

Mask = NDArray[np.bool_]

#: Bytes for the resampled exposures that lie side by side for the median.
_BAND_BYTES = 200_000_000
_HALO = 3
#: Least part of the full weight with which a resampled pixel counts.
_LEAST_WEIGHT = 0.3
#: Up to this number the minimum may replace the median.
_FEW = 6
_SAMPLING = 4


@dataclass
class Chip:
    """One chip of one exposure."""

    name: str
    images: ImageSet
    wcs: Wcs
    scale: float
    source: str
    seconds: float
    exposure_time: float
    unit: str
    read_noise: float
    bits: int = TOLERATED
    sky: float = 0.0
    rays: Mask | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ny, nx = self.images.sci.shape
        return ny, nx

    @property
    def sky_electrons(self) -> float:
        """The subtracted sky of the whole exposure."""
        return self.sky * self.exposure_time / self.seconds

    def rate(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return rows of the image per second, sky subtracted."""
        values = self.images.sci.rows(start, self.shape[0] if stop is None else stop)
        values = values.astype(np.float32, copy=False)
        values -= np.float32(self.sky)
        values /= np.float32(self.seconds)
        return values

    def good(self, start: int = 0, stop: int | None = None) -> Mask:
        """Return which pixels of rows count."""
        stop = self.shape[0] if stop is None else stop
        if self.images.dq is None:
            return np.ones((stop - start, self.shape[1]), bool)
        serious = self.images.sci.header.integer("SDQFLAGS", ALL_FLAGS) | COSMIC_RAY
        flags = self.images.dq.rows(start, stop) & np.int16(serious & ~self.bits)
        return np.asarray(flags == 0)

    def weight(
        self, start: int = 0, stop: int | None = None, *, by_error: bool = False
    ) -> NDArray[np.float32]:
        """Return the weights of rows: seconds, or the inverse variance of the rate."""
        good = self.good(start, stop)
        if self.rays is not None:
            good &= ~self.rays[start:stop]
        if not by_error or self.images.err is None:
            return good * np.float32(self.exposure_time)
        stop = self.shape[0] if stop is None else stop
        err = self.images.err.rows(start, stop).astype(np.float32, copy=False)
        good &= err > 0
        with np.errstate(divide="ignore"):
            return np.where(good, (np.float32(self.seconds) / err) ** 2, np.float32(0))

    def release(self) -> None:
        """Give the file's pages back."""
        for hdu in (self.images.sci, self.images.err, self.images.dq):
            if hdu is not None:
                hdu.release()


@dataclass
class Exposure:
    """One file to be drizzled."""

    member: str
    path: Path
    hdus: list[Hdu]
    chips: list[Chip]

    @classmethod
    def open(cls, context: Context, member: str, path: Path, hdus: list[Hdu]) -> Exposure:
        """Return an exposure with its chips' coordinates."""
        primary = hdus[0].header
        sets = image_sets(hdus, path.name)
        seconds = primary.real("EXPTIME", 0.0)
        chips = []
        for images, where in zip(sets, chips_of(context, hdus, sets), strict=True):
            unit = images.sci.header.text("BUNIT", "ELECTRONS").upper() or "ELECTRONS"
            is_rate = unit.endswith("/S")
            chips.append(
                Chip(
                    f"{path.name}[SCI,{images.version}]", images, where.wcs, where.scale,
                    where.source, 1.0 if is_rate else seconds, seconds,
                    unit if is_rate else f"{unit}/S", _read_noise(primary),
                )
            )  # fmt: skip
        return cls(member, path, hdus, chips)

    @property
    def primary(self) -> Header:
        """The primary header."""
        return self.hdus[0].header

    @property
    def seconds(self) -> float:
        """EXPTIME."""
        return self.primary.real("EXPTIME", 0.0)


def _read_noise(primary: Header) -> float:
    """Return the amplifiers' read noise, electrons (mean of the squares)."""
    names = primary.text("CCDAMP").upper() or "ABCD"
    found = [primary.real(f"READNSE{a}", 0.0) for a in "ABCD" if a in names]
    used = [v for v in found if v > 0] or [5.0]
    return math.sqrt(sum(v * v for v in used) / len(used))


def apply_sky(exposures: Sequence[Exposure], settings: Settings) -> list[str]:
    """Measure each exposure's sky: the lowest of its chips' clipped medians, for all its chips."""
    searched = settings.rays and len(exposures) > 1
    for exposure in exposures:
        found = []
        for chip in exposure.chips:  # what an earlier run flagged counts until it is found again
            chip.bits = settings.bits | (DRIZZLE_RAY if searched else 0)
            if settings.sky:
                found.append(_sky_of(chip))
        sky = float(np.float32(min(found))) if found else 0.0
        for chip in exposure.chips:
            chip.sky = sky
    if not settings.sky:
        return []
    return ["sky of " + ", ".join(f"{e.path.stem} {e.chips[0].sky:.4g}" for e in exposures)]


def _sky_of(chip: Chip) -> float:
    values = [
        chip.images.sci.rows(row, row + 1)[:, ::_SAMPLING][chip.good(row, row + 1)[:, ::_SAMPLING]]
        for row in range(0, chip.shape[0], _SAMPLING if chip.shape[0] > 512 else 1)
    ]
    return driz_cr.clipped_median(np.concatenate(values).astype(np.float32, copy=False))


def find_rays(exposures: Sequence[Exposure]) -> list[str]:
    """Find the pixels of each exposure that differ from what all exposures together say.

    Sets each chip's `rays`. The common grid lies along the first chip's axes, so that the rows of
    a frame fall into few bands of it.
    """
    chips = [c for e in exposures for c in e.chips]
    cd = aligned(chips[0].wcs, chips[0].scale)
    grid, shape = covering([(c.wcs, c.shape) for c in chips], cd)
    with timed(f"MD median of {len(exposures)} exposures, {shape[1]} x {shape[0]} pixels"):
        median, covered = _median(exposures, grid, shape)
    blind = grown(~covered, 3)  # no opinion where the interpolation reaches into nothing
    counts = []
    for exposure in exposures:
        total = 0
        with timed(f"MD cosmic rays of {exposure.path.name}"):
            for chip in exposure.chips:
                chip.rays = _rays_of(chip, median, blind, grid)
                total += int(chip.rays.sum())
                chip.release()
        counts.append(f"{exposure.path.stem} {total}")
    return ["pixels with cosmic rays: " + ", ".join(counts)]


def _rays_of(chip: Chip, median: NDArray[np.float32], blind: Mask, grid: Wcs) -> Mask:
    ny, _ = chip.shape
    out = np.zeros(chip.shape, bool)
    block, halo = 512, 2
    for start in range(0, ny, block):
        first, last = max(start - halo, 0), min(start + block + halo, ny)
        pixmap = pixel_map(chip.wcs, grid, chip.shape, (first, last))
        model = blot(median, pixmap, chip.exposure_time)
        image = chip.rate(first, last) * np.float32(chip.exposure_time)
        hit = driz_cr.rays(image, model, chip.sky_electrons, chip.read_noise)
        hit &= chip.good(first, last)
        rows, columns = np.nonzero(hit)
        nearest = np.rint(pixmap[rows, columns]).astype(np.intp)
        np.clip(nearest, 0, (blind.shape[1] - 1, blind.shape[0] - 1), out=nearest)
        hit[rows, columns] = ~blind[nearest[:, 1], nearest[:, 0]]
        stop = min(start + block, ny)
        out[start:stop] = hit[start - first : stop - first]
    return out


def _median(
    exposures: Sequence[Exposure], grid: Wcs, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], Mask]:
    """Return the median rate on the grid (0 where nothing fell), and where it is covered."""
    ny, nx = shape
    median, covered = np.zeros(shape, np.float32), np.zeros(shape, bool)
    height = max(int(_BAND_BYTES / (12 * nx * len(exposures))), 64)
    spans = [[_span(chip, grid) for chip in e.chips] for e in exposures]
    noise = [e.chips[0].sky_electrons + e.chips[0].read_noise ** 2 for e in exposures]
    for start in range(0, ny, height):
        first, last = max(start - _HALO, 0), min(start + height + _HALO, ny)
        planes, valid = [], []
        for exposure, span in zip(exposures, spans, strict=True):
            plane, mask = _resampled(exposure, span, grid, (first, last), nx)
            planes.append(plane)
            valid.append(mask)
        middle, here = minmed(
            planes, valid, noise, [e.seconds for e in exposures],
            use_minimum=len(exposures) <= _FEW,
        )  # fmt: skip
        stop = min(start + height, ny)
        inner = slice(start - first, stop - first)
        median[start:stop], covered[start:stop] = middle[inner], here[inner]
    return median, covered


def _span(chip: Chip, grid: Wcs) -> NDArray[np.float64]:
    """Return for each row of a chip the lowest and highest row of the grid that it meets."""
    ny, nx = chip.shape
    x = np.linspace(0.0, nx - 1.0, 33)[None, :]
    y = np.linspace(0.0, ny - 1.0, max(ny // 16, 2))[:, None]
    _, rows = grid.to_pixel(*chip.wcs.to_sky(*np.broadcast_arrays(x, y)))
    every = np.arange(ny)
    return np.stack(
        [np.interp(every, y[:, 0], edge) for edge in (rows.min(axis=1), rows.max(axis=1))]
    )


def _resampled(
    exposure: Exposure,
    spans: Sequence[NDArray[np.float64]],
    grid: Wcs,
    band: tuple[int, int],
    columns: int,
) -> tuple[NDArray[np.float32], Mask]:
    """Return an exposure's rates on rows of the grid, and where it covers them well."""
    stack = Stack((band[1] - band[0], columns), kernel="turbo")
    for chip, (low, high) in zip(exposure.chips, spans, strict=True):
        touched = np.flatnonzero((high > band[0] - _HALO) & (low < band[1] + _HALO))
        if len(touched) == 0:
            continue
        first = max(int(touched[0]) - _HALO, 0)
        last = min(int(touched[-1]) + 1 + _HALO, chip.shape[0])
        pixmap = pixel_map(chip.wcs, grid, chip.shape, (first, last))
        pixmap[..., 1] -= band[0]
        ratio = (grid.scale / chip.scale) ** 2
        stack.add(chip.rate(first, last), chip.weight(first, last), pixmap, flux_scale=ratio)
        chip.release()
    mask = stack.weight > np.float32(_LEAST_WEIGHT * exposure.seconds)
    return stack.image, mask


def write_back(context: Context, exposures: Sequence[Exposure]) -> None:
    """Note sky and cosmic rays in the inputs: set where found, cleared elsewhere.

    Both branches of an input are told, whichever was drizzled.
    """
    for exposure in exposures:
        is_sum = exposure.path.stem.endswith(("_crj", "_crc"))
        for suffix in ("crj", "crc") if is_sum else ("flt", "flc"):
            path = context.product(suffix, exposure.member)
            if path.is_file():
                _write_back(path, exposure)


def forget(path: Path) -> None:
    """Take back what an earlier MD noted in an exposure: it belongs to that combination."""
    hdus = read(path)
    changed = False
    for images in image_sets(hdus, path.name):
        if "MDRIZSKY" in images.sci.header:
            images.sci.header.remove("MDRIZSKY")
            changed = True
        dq: Any = images.dq.image() if images.dq is not None else None
        if dq is not None and (dq & np.int16(DRIZZLE_RAY)).any():
            assert images.dq is not None
            dq &= ~np.int16(DRIZZLE_RAY)
            hdus[hdus.index(images.dq)] = image_hdu(images.dq.header, dq, consume=True)
            changed = True
    if changed:
        write(path, hdus)


def _write_back(path: Path, exposure: Exposure) -> None:
    hdus = read(path)
    for images, chip in zip(image_sets(hdus, path.name), exposure.chips, strict=True):
        images.sci.header.set("MDRIZSKY", chip.sky, "sky level that MD subtracted")
        if images.dq is None or chip.rays is None:
            continue
        dq: Any = images.dq.image() & ~np.int16(DRIZZLE_RAY)
        dq |= chip.rays * np.int16(DRIZZLE_RAY)
        hdus[hdus.index(images.dq)] = image_hdu(images.dq.header, dq, consume=True)
    write(path, hdus)
    for hdu in hdus:
        hdu.release()
    step(f"MD {path.name}: sky and flags noted")
