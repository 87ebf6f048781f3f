"""Hubble's distortion model: IDCTAB polynomials to SIP coefficients and a WCS per chip.

An IDCTAB row takes pixels to arc seconds about the chip's reference point,
``x' = sum CX[n, m] dx**m dy**(n - m)`` and the same for y', and says where that point lies in the
telescope's focal plane (V2REF, V3REF). With the roll angle (PA_V3) this places all chips of a
detector on the sky, relative to the chip whose header gives the pointing (Hack & Greenfield 2000,
ADASS IX 433; Shupe et al. 2005, ADASS XIV 491 for SIP; ISR ACS 2007-08 and 2015-06 for the
distortion's change with time).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.lookup import Offsets
from calibration.arrays.wcs import Wcs

F64 = NDArray[np.float64]

#: Angle from V2, V3 to the frame in which the skew of 2007 was measured (ISR ACS 2007-08).
_SKEW_FRAME = 2.234529
#: Skew of ISR ACS 2007-08 for tables that have none: constant and per year since 2004.5.
_SKEW = {"TDD_DATE": 2004.5, "TDD_A": (0.095, 0.036), "TDD_B": (-0.029, -0.012)}
#: Chip centres in the frame of the skew, pixels.
_SKEW_CENTRES = {1: (0.0, 1024.0), 2: (0.0, -1024.0)}


@dataclass(frozen=True)
class Model:
    """One row of an IDCTAB.

    Parameters
    ----------
    cx, cy
        Coefficients by order and power of x, arc seconds.
    reference
        XREF, YREF: 1-based pixel of the full chip.
    v2v3
        Focal-plane position of that pixel, arc seconds.
    scale
        Arc seconds per undistorted pixel.
    theta
        Rotation of the model's frame, degrees.
    """

    cx: F64
    cy: F64
    reference: tuple[float, float]
    v2v3: tuple[float, float]
    scale: float
    theta: float = 0.0

    @property
    def linear(self) -> F64:
        """The matrix of the linear terms, arc seconds per pixel."""
        return np.array([[self.cx[1, 1], self.cx[1, 0]], [self.cy[1, 1], self.cy[1, 0]]])


def model_of(row: Mapping[str, Any], order: int) -> Model:
    """Return the model of a table row (columns in upper case); KeyError when one is absent."""
    prefixes = ("CX", "CY") if "CX10" in row else ("A", "B")
    coefficients = []
    for prefix in prefixes:
        c = np.zeros((order + 1, order + 1))
        for n in range(1, order + 1):
            for m in range(n + 1):
                c[n, m] = float(row[f"{prefix}{n}{m}"])
        coefficients.append(c)
    scale = round(float(row["SCALE"]), 8)
    if coefficients[0][1, 1] == 1.0 and scale != 1.0:  # a table in pixels
        coefficients = [c * scale for c in coefficients]
    return Model(
        cx=coefficients[0],
        cy=coefficients[1],
        reference=(float(row["XREF"]), float(row["YREF"])),
        v2v3=(float(row["V2REF"]), float(row["V3REF"])),
        scale=scale,
        theta=float(row.get("THETA", 0.0)),
    )


def at_time(
    model: Model, terms: Mapping[str, Any], chip: int, year: float, header_scale: float
) -> Model:
    """Return ACS/WFC's model at a time (decimal year).

    Parameters
    ----------
    terms
        The table's primary header: which of three generations of corrections it has.
    header_scale
        Arc seconds per pixel of the exposure's own header, for the oldest generation.
    """
    if f"TDD_CTB{chip}" in terms:  # rates of three linear terms, ISR ACS 2015-06
        since = year - float(terms["TDD_DATE"])
        cx, cy = model.cx.copy(), model.cy.copy()
        cx[1, 1] += float(terms.get(f"TDD_CXB{chip}", 0.0)) * since
        cy[1, 1] += float(terms[f"TDD_CTB{chip}"]) * since
        cy[1, 0] += float(terms.get(f"TDD_CYB{chip}", 0.0)) * since
        return replace(model, cx=cx, cy=cy)
    if f"TDD_CYB{chip}" in terms:  # two terms, with an optional value at TDD_DATE
        since = year - float(terms["TDD_DATE"])
        cx, cy = model.cx.copy(), model.cy.copy()
        for c, axis in ((cy, "Y"), (cx, "X")):
            start = terms.get(f"TDD_C{axis}A{chip}", 0.0)
            rate = float(terms.get(f"TDD_C{axis}B{chip}", 0.0))
            if isinstance(start, int | float) and start != 0:
                c[1, 1] = start + rate * since
            elif axis == "Y":
                c[1, 1] += rate * since
        return replace(model, cx=cx, cy=cy)
    return _skewed(model, terms, chip, year, header_scale)


def _skewed(
    model: Model, terms: Mapping[str, Any], chip: int, year: float, header_scale: float
) -> Model:
    """Apply the skew of ISR ACS 2007-08 to all coefficients (and to the chip's place)."""
    built_in = "TDDORDER" not in terms
    order = 1 if built_in else int(terms["TDDORDER"])
    since = year - float(_SKEW["TDD_DATE"] if built_in else terms["TDD_DATE"])  # type: ignore[arg-type]

    def sum_of(letter: str) -> float:
        constants = [
            _SKEW[f"TDD_{letter}"][i] if built_in else float(terms.get(f"TDD_{letter}{i}", 0.0))  # type: ignore[index]
            for i in range(order + 1)
        ]
        return float(sum(c * since**i for i, c in enumerate(constants)))

    alpha, beta = sum_of("A"), sum_of("B")
    skew = np.array([[beta, alpha], [alpha, -beta]]) / 2048.0
    turn = _rotation(_SKEW_FRAME)
    matrix = turn @ (np.eye(2) + skew) @ turn.T
    both = matrix @ np.stack([model.cx.ravel(), model.cy.ravel()])
    cx, cy = both.reshape(2, *model.cx.shape)
    v2, v3 = model.v2v3
    if built_in:
        shift = turn @ skew @ np.array(_SKEW_CENTRES[chip]) * 0.05 * (header_scale / cx[1, 1])
        v2, v3 = v2 + float(shift[0]), v3 - float(shift[1])
    return replace(model, cx=cx, cy=cy, v2v3=(v2, v3))


def _rotation(degrees: float) -> F64:
    a = np.radians(degrees)
    return np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])


def sip_of(model: Model) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Return the SIP coefficients A and B: the terms above the first, in pixels of the chip."""
    inverse = np.linalg.inv(model.linear)
    a: dict[tuple[int, int], float] = {}
    b: dict[tuple[int, int], float] = {}
    for n in range(2, len(model.cx)):
        for m in range(n + 1):
            value = inverse @ (model.cx[n, m], model.cy[n, m])
            a[m, n - m], b[m, n - m] = float(value[0]), float(value[1])
    return a, b


def roll_at(pa_v3: float, dec: float, v2v3: tuple[float, float]) -> float:
    """Return the position angle of V3 at an aperture, degrees.

    Parameters
    ----------
    pa_v3
        Position angle of V3 at the telescope's axis V1, degrees.
    dec
        Declination of the aperture, degrees.
    v2v3
        Place of the aperture, arc seconds.
    """
    v2, v3 = np.radians(np.array(v2v3) / 3600.0)
    roll, declination = np.radians(pa_v3), np.radians(dec)
    sin_rho = np.sqrt(np.sin(v2) ** 2 + np.sin(v3) ** 2 - np.sin(v2) ** 2 * np.sin(v3) ** 2)
    if sin_rho == 0:
        return pa_v3
    rho = np.arcsin(sin_rho)
    beta, gamma = np.arcsin(np.sin(v3) / sin_rho), np.arcsin(np.sin(v2) / sin_rho)
    beta = np.pi - beta if v2 < 0 else beta
    gamma = np.pi - gamma if v3 < 0 else gamma
    a = np.pi / 2 + roll - beta
    b = np.arctan2(
        np.sin(a) * np.cos(declination),
        np.sin(declination) * sin_rho - np.cos(declination) * np.cos(rho) * np.cos(a),
    )
    return float(np.degrees(np.pi - (gamma + b)))


@dataclass(frozen=True)
class Pointing:
    """Where a detector looks.

    Parameters
    ----------
    header
        Linear WCS of the reference chip as its header has it.
    model
        That chip's model.
    parity
        Signs of the model's axes against east and north.
    pa_v3
        Roll of the telescope, degrees.
    aberration
        VAFACTOR: scale change by the telescope's velocity.
    """

    header: Wcs
    model: Model
    parity: tuple[float, float]
    pa_v3: float
    aberration: float = 1.0


def chip_wcs(pointing: Pointing, model: Model, shift: tuple[float, float] = (0.0, 0.0)) -> Wcs:
    """Return the WCS with SIP of one chip.

    The reference chip's pointing is its header's WCS at the model's reference pixel; the other
    chip's place follows from the difference of V2REF and V3REF. `shift` is LTV1, LTV2: where
    pixel 0 of the full chip lies in a subarray.
    """
    plane = _plane(pointing, shift)
    first = pointing.model
    offset = np.array([p * (a - b) for p, a, b in
                       zip(pointing.parity, model.v2v3, first.v2v3, strict=True)])  # fmt: skip
    offset = _rotation(first.theta) @ offset
    # One pixel along each axis, on the sky: the CD matrix as STScI's tools define it.
    steps = np.stack([model.linear[:, 0], model.linear[:, 1]]) @ _rotation(
        model.theta - first.theta
    )
    points = (np.array([[0.0, 0.0], *steps]) + offset) / first.scale
    ra, dec = plane.to_sky(points[:, 0], points[:, 1])
    d_ra = (ra[1:] - ra[0] + 180.0) % 360.0 - 180.0
    cd = np.stack([d_ra * np.cos(np.radians(dec[0])), dec[1:] - dec[0]]) * pointing.aberration
    crval = (
        plane.crval[0] + pointing.aberration * ((ra[0] - plane.crval[0] + 180) % 360 - 180),
        plane.crval[1] + pointing.aberration * (dec[0] - plane.crval[1]),
    )
    a, b = sip_of(model)
    crpix = (model.reference[0] + shift[0], model.reference[1] + shift[1])
    return Wcs(crpix, (float(crval[0]), float(crval[1])), cd, a, b)


def _plane(pointing: Pointing, shift: tuple[float, float]) -> Wcs:
    """Return the undistorted tangent plane of the reference chip; its pixel 0, 0 is the pole."""
    first = pointing.model
    x, y = first.reference[0] + shift[0] - 1, first.reference[1] + shift[1] - 1
    ra, dec = pointing.header.to_sky(np.array([x]), np.array([y]))
    roll = roll_at(pointing.pa_v3, pointing.header.crval[1], first.v2v3) + first.theta
    a = np.radians(roll)
    p, q = pointing.parity
    cd = np.array([[p * np.cos(a), -p * np.sin(a)], [q * np.sin(a), q * np.cos(a)]])
    return Wcs((1.0, 1.0), (float(ra[0]), float(dec[0])), cd * first.scale / 3600.0)


def prior_of(model: Model, offsets: Offsets) -> Offsets:
    """Return NPOL's offsets for use with SIP.

    The reference file has them in the undistorted frame; SIP's linear terms, which follow, are in
    the CD matrix: they are taken out here. Both tables must have the same grid.
    """
    assert offsets.x is not None
    assert offsets.y is not None
    inverse = np.linalg.inv(model.linear / model.scale)
    x, y = offsets.x, offsets.y
    dx = inverse[0, 0] * x.values + inverse[0, 1] * y.values
    dy = inverse[1, 0] * x.values + inverse[1, 1] * y.values
    return Offsets(replace(x, values=dx), replace(y, values=dy))
