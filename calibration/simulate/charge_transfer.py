"""CTE losses of the simulated ACS/WFC: the traps, what they do to an image, and their PCTETAB.

The losses are of the size that ACS had at the end of its first ten years: a packet of q electrons
that comes from the last row leaves about 1.2 q^0.6 electrons behind.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from calibration.arrays.cte import read_out
from calibration.arrays.cte_traps import Traps, density
from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu
from calibration.instruments.read_out import AMPLIFIERS, as_read
from calibration.simulate.detectors import ChipModel, Model

#: Launch of ACS, and the time of the first simulated exposure: there PCTEFRAC is 1.
DATE0, DATE1 = 52334.0, 53000.5
TRAPS, LENGTH, SHIFTS, ITERATIONS = 300, 60, 3, 4
_WHOLE = 2048.0


@cache
def traps() -> Traps:
    """Return the simulated traps: release with two time scales, everything comes out in the end."""
    level = np.geomspace(2.0, 90000.0, TRAPS)
    lost = 1.2 * level**0.6
    age = np.arange(1, LENGTH + 1)[:, None]
    trail = np.exp(-age / 2.0) + 0.3 * np.exp(-age / 20.0)
    trail = trail / trail.sum() * np.ones(TRAPS)
    return Traps(level, np.diff(lost, prepend=0.0), trail, 1 - np.cumsum(trail, axis=0), SHIFTS)


def sensitivity(model: Model) -> Any:
    """Return SENS_0512 to SENS_2048 of all columns, (columns, 4).

    A small format has denser traps, so that its last row loses as much as row 2048.
    """
    random = np.random.default_rng(77)
    whole = _WHOLE / model.height
    return np.repeat(random.uniform(0.8, 1.2, (2 * model.width, 1)) * whole, 4, axis=1)


def trail(model: Model, chip: ChipModel, electrons: Any, mjd: float) -> Any:
    """Return what arrives at the amplifiers of a chip, of these electrons in its pixels."""
    out = np.empty_like(electrons)
    columns = sensitivity(model)
    fraction = (mjd - DATE0) / (DATE1 - DATE0)
    for amp in chip.amps:
        part = model.columns(chip, amp)[1]
        width = part.stop - part.start
        first = AMPLIFIERS.index(amp) * width
        dense = density(columns[first : first + width], model.height, fraction)
        as_read(out[:, part], amp)[:] = read_out(as_read(electrons[:, part], amp), dense, traps())
    return out


def table(model: Model) -> list[Hdu]:
    """Return the extensions of the PCTETAB: the parallel set."""
    known = traps()
    numbers = np.arange(known.level.size)
    sensed = sensitivity(model)
    return [
        table_hdu(
            "QPROF",
            [
                Column("W", "J", numbers),
                Column("QLEV_Q", "D", known.level),
                Column("DPDE_W", "D", known.depth),
            ],
            _header(None),
        ),
        table_hdu(
            "SCLBYCOL",
            [
                Column("IZ", "J", np.arange(sensed.shape[0])),
                *(
                    Column(f"SENS_{node:04d}", "D", sensed[:, i])
                    for i, node in enumerate((512, 1024, 1536, 2048))
                ),
            ],
            _header(None),
        ),
        image_hdu(_header("RPROF"), known.release.astype(np.float32)),
        image_hdu(_header("CPROF"), known.refill.astype(np.float32)),
    ]


def _header(name: str | None) -> Header:
    header = Header()
    if name:
        header.set("EXTNAME", name)
    header.set("EXTVER", 1)
    for key, value in (
        ("CTEDATE0", DATE0), ("CTEDATE1", DATE1), ("PCTETLEN", LENGTH), ("PCTENFOR", ITERATIONS),
        ("PCTENPAR", SHIFTS),
    ):  # fmt: skip
        header.set(key, value)
    return header


def keywords() -> dict[str, Any]:
    """Return what the primary header of the PCTETAB says."""
    return {
        "CTE_NAME": "Par/Serial PixelCTE 2023", "CTE_VER": "3.0", "PCTERNOI": 4.3, "PCTENSMD": 0,
        "PCTETRSH": -10.0, "FIXROCR": 1,
    }  # fmt: skip
