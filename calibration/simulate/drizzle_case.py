"""Inputs for measuring MD: two dithered exposures of two full WFC chips, and their coordinates.

The distortion has the size of ACS/WFC's: 4th-order SIP in the headers, and offset tables
(WCSDVARR, D2IMARR) attached to the files, so that no reference file is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays.lookup import Offsets, Table
from calibration.arrays.wcs import Wcs, north_up
from calibration.fits import Hdu, Header, image_hdu, write

SHAPE = (2048, 4096)
DATASET = "jmdb01010"
MEMBERS = ("jmdb01abq", "jmdb01acq")
SECONDS = 300.0
_SKY, _NOISE = 30.0, 4.0
_SCALE = 0.05 / 3600
_A = {(2, 0): 8.4e-6, (1, 1): -5.2e-6, (0, 2): 2.1e-6, (3, 0): -4.7e-10, (1, 2): -5.2e-10,
      (4, 0): 1.4e-14, (2, 2): 3.0e-14}  # fmt: skip
_B = {(2, 0): -1.6e-6, (1, 1): 6.1e-6, (0, 2): -7.2e-6, (2, 1): -4.9e-10, (0, 3): -4.2e-10,
      (0, 4): 2.2e-14}  # fmt: skip


def chip_wcs(chip: int, exposure: int = 0) -> Wcs:
    """Return the coordinates of a chip (2 or 1) of an exposure."""
    angle = np.radians(30.0)
    c, s = _SCALE * np.cos(angle), _SCALE * np.sin(angle)
    up = 0.0 if chip == 2 else 2098.0
    cd = np.array([[-c, s], [s, c]])
    crval = (150.1 + 3.1e-4 * exposure, -42.3 + 1.7e-4 * exposure)
    return Wcs((2048.0, 1024.0 - up), crval, cd, _A, _B, _tables(chip, 0.05), _tables(chip, 0.03))


def _tables(chip: int, size: float) -> Offsets:
    y, x = np.mgrid[0:32, 0:64]
    form = {"crpix": (0.0, 0.0), "crval": (0.0, 0.0), "cdelt": (64.0, 64.0)}
    dx = size * np.sin(x / 7 + chip) * np.cos(y / 5)
    dy = size * np.cos(x / 6) * np.sin(y / 4 + chip)
    return Offsets(*(Table(d.astype(np.float32).astype(np.float64), **form) for d in (dx, dy)))


def pixmap_case() -> tuple[Wcs, Wcs, tuple[int, int]]:
    """Return a chip, the product's grid, and the chip's shape: arguments of `pixel_map`.

    For a comparison with `drizzle.utils.calc_pixmap` take ``chip.without_tables()`` in both:
    `sip_header` has the same coordinates for astropy.
    """
    source = chip_wcs(2)
    return source, north_up([(source, SHAPE)], _SCALE)[0], SHAPE


def sip_header(wcs: Wcs) -> dict[str, Any]:
    """Return the cards of a WCS, without tables."""
    kind = "-SIP" if wcs.sip_a else ""
    cards: dict[str, Any] = {
        "NAXIS": 2, "NAXIS1": SHAPE[1], "NAXIS2": SHAPE[0], "WCSAXES": 2,
        "CTYPE1": f"RA---TAN{kind}", "CTYPE2": f"DEC--TAN{kind}",
    }  # fmt: skip
    for i in (0, 1):
        cards |= {f"CRPIX{i + 1}": wcs.crpix[i], f"CRVAL{i + 1}": wcs.crval[i]}
        cards |= {f"CD{i + 1}_{j + 1}": float(wcs.cd[i, j]) for j in (0, 1)}
    for letter, terms in (("A", wcs.sip_a), ("B", wcs.sip_b)):
        if terms:
            cards[f"{letter}_ORDER"] = max(p + q for p, q in terms)
            cards |= {f"{letter}_{p}_{q}": v for (p, q), v in terms.items()}
    return cards


def median_case(count: int = 4) -> list[Any]:
    """Return images for the median: float32, a chip each."""
    random = np.random.default_rng(4)
    return [random.normal(_SKY, _NOISE, SHAPE).astype(np.float32) for _ in range(count)]


def write_exposures(work: Path) -> tuple[str, tuple[str, ...]]:
    """Write the calibrated files below a work folder.

    Returns
    -------
    tuple
        Dataset and members, for ``python -m calibration MD --dataset ... --members ...``.
    """
    for number, member in enumerate(MEMBERS):
        folder = work / member
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{member}_flt.fits", _exposure(number, member), checksum=False)
    return DATASET, MEMBERS


def _exposure(number: int, member: str) -> list[Hdu]:
    random = np.random.default_rng([7, number])
    primary = Header()
    cards: dict[str, Any] = {
        "INSTRUME": "ACS", "DETECTOR": "WFC", "ROOTNAME": member, "EXPTIME": SECONDS,
        "EXPSTART": 53000.5 + 0.01 * number, "EXPEND": 53000.504 + 0.01 * number,
        "CCDAMP": "ABCD", "DRIZCORR": "PERFORM", "SIMULATE": "OWL",
        **{f"READNSE{a}": _NOISE for a in "ABCD"},
    }  # fmt: skip
    for key, value in cards.items():
        primary.set(key, value)
    out = [image_hdu(primary, None, primary=True)]
    attached: list[Hdu] = []
    for version, chip in ((1, 2), (2, 1)):
        wcs = chip_wcs(chip, number)
        sci = random.normal(_SKY, (_SKY + _NOISE**2) ** 0.5, SHAPE).astype(np.float32)
        y, x = random.integers(0, SHAPE[0], 20_000), random.integers(0, SHAPE[1], 20_000)
        sci[y, x] += random.uniform(300, 3000, 20_000).astype(np.float32)
        planes: dict[str, Any] = {"SCI": sci, "ERR": np.full(SHAPE, 6.8, np.float32),
                  "DQ": np.zeros(SHAPE, np.int16)}  # fmt: skip
        for name, plane in planes.items():
            header = Header()
            own: dict[str, Any] = {
                "EXTNAME": name, "EXTVER": version, "CCDCHIP": chip, "BUNIT": "ELECTRONS",
                "SDQFLAGS": 31743,
            }  # fmt: skip
            for key, value in (own | sip_header(wcs)).items():
                header.set(key, value)
            if name == "SCI":
                attached += _attach(header, wcs, version)
            out.append(image_hdu(header, plane, consume=True))
    return out + attached


def _attach(header: Header, wcs: Wcs, version: int) -> list[Hdu]:
    """Make the tables' extensions; the chip's header then names them."""
    out = []
    for offsets, name, kind, record in (
        (wcs.prior, "WCSDVARR", "CPDIS", "DP"), (wcs.detector, "D2IMARR", "D2IMDIS", "D2IM"),
    ):  # fmt: skip
        assert offsets is not None
        for axis, table in enumerate((offsets.x, offsets.y), 1):
            assert table is not None
            number = 2 * (version - 1) + axis
            header.set(f"{kind}{axis}", "Lookup")
            header.set(f"{record}{axis}", f"EXTVER: {number}.0")
            own = Header()
            own.set("EXTNAME", name)
            own.set("EXTVER", number)
            for i in (0, 1):
                own.set(f"CRPIX{i + 1}", table.crpix[i])
                own.set(f"CRVAL{i + 1}", table.crval[i])
                own.set(f"CDELT{i + 1}", table.cdelt[i])
            out.append(image_hdu(own, table.values.astype(np.float32)))
    return out
