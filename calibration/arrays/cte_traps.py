"""Charge traps: what PCTETAB says of them, and the tables that the read-out model looks up.

A trap `w` holds `depth[w]` electrons and is filled by every packet of `level[w]` electrons or
more. It gives its charge back over the next `length` pixels: `release[n, w]` of it to the n-th
pixel behind (RPROF), and, when a packet that fills it comes by, `refill[n, w]` more to that packet
(CPROF: what is still in the trap).

The model is that of Anderson & Bedin 2010 (PASP 122, 1035) in the second generation of ACS ISR
2018-04; names of keywords and columns are those of hstcal 10.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
Indices = NDArray[Any]

#: Rows of the detector at which SCLBYCOL gives a column's density.
NODES = (512, 1024, 1536, 2048)
_ROWS = 2048.0
_LAST_NODE = 2.999
#: The lookup of levels has cells of this many electrons at least.
_FINEST = 1 / 16


@dataclass(frozen=True)
class Traps:
    """The traps of a detector for one direction of read-out.

    Parameters
    ----------
    level, depth
        QLEV_Q and DPDE_W in electrons, float64, (traps,), by rising level.
    release, refill
        RPROF and CPROF, (length, traps): share of the depth, n pixels behind.
    shifts
        PCTENPAR: in how many steps a packet's transfers are done.
    """

    level: Floats
    depth: Floats
    release: Floats
    refill: Floats
    shifts: int
    _lookup: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def length(self) -> int:
        """PCTETLEN: for how many pixels a trap releases."""
        return int(self.release.shape[0])

    @cached_property
    def bits(self) -> int:
        """Bits of a table address that hold the age of a charge, 0 to `length` + 1."""
        return int(self.length + 1).bit_length()

    @cached_property
    def filled(self) -> Floats:
        """Charge that the lowest k traps take in one step, (traps + 1,), per unit of density."""
        return _summed(self.depth / self.shifts)

    @cached_property
    def released(self) -> Floats:
        """Charge that the lowest k traps release at age n: flat, address k << bits | n."""
        return self._table(self.release)

    @cached_property
    def refilled(self) -> Floats:
        """The same for what they give to a packet that fills them again."""
        return self._table(self.refill)

    def _table(self, profile: Floats) -> Floats:
        out = np.zeros((self.level.size + 1, 1 << self.bits))
        shares = profile.T * (self.depth / self.shifts)[:, None]
        np.cumsum(shares, axis=0, out=out[1:, 1 : self.length + 1])
        return out.ravel()

    @cached_property
    def _cells(self) -> tuple[float, Indices, Floats]:
        gaps = np.diff(self.level)
        gap = float(gaps[gaps > 0].min()) if (gaps > 0).any() else 1.0
        scale = 1 / max(gap, _FINEST)
        edges = np.arange(int(self.level[-1] * scale) + 2) / scale
        return scale, np.searchsorted(self.level, edges, "right"), np.append(self.level, np.inf)

    def reached(self, charge: Floats) -> Indices:
        """Return how many traps packets of this charge fill.

        A table gives the answer for the start of a cell that is about as wide as the smallest
        step between levels; the few packets beyond the next level then climb.
        """
        scale, start, level = self._cells
        # fmax and fmin: a pixel that is not a number fills nothing.
        cell = np.fmin(np.fmax(charge * scale, 0.0), start.size - 1.0).astype(np.intp)
        out = start.take(cell)
        higher = charge >= level.take(out)
        while higher.any():
            out += higher
            higher = charge >= level.take(out)
        return out


def _summed(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))


def density(sensitivity: Floats, rows: int, fraction: float) -> Floats:
    """Return the density of traps at every pixel of an amplifier's quadrant.

    Parameters
    ----------
    sensitivity
        SENS_0512 to SENS_2048 of the quadrant's columns, (columns, 4).
    rows
        Height; row 0 is the nearest to the serial register.
    fraction
        Age of the detector in units of the table's: `fraction_at`.

    Returns
    -------
    (rows, columns) float32: transfers in units of 2048, times column and age. As in calacs the
    node of row 512 is used from row 0 on, that of 1024 from row 512 on, and so forth.
    """
    index = np.arange(rows)
    node = np.minimum(index / 512.0, _LAST_NODE)
    first = node.astype(int)
    part = (node - first)[:, None]
    low, high = sensitivity.T[first], sensitivity.T[first + 1]
    out: Floats = (low + (high - low) * part) * ((index + 1) / _ROWS)[:, None] * fraction
    return np.asarray(out, dtype=np.float32)


def fraction_at(mjd: float, first: float, pinned: float) -> float:
    """Return PCTEFRAC: age of the detector over its age when the table was made."""
    return (mjd - first) / (pinned - first)
