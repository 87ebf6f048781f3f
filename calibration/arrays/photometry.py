"""Photometric keywords from an image-photometry table (IMPHTTAB)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

#: What hstcal writes when a date or wavelength is outside the table and must not be extrapolated.
OUTSIDE = -9999.0


class NoSuchMode(ValueError):
    """The table has no row for the exposure's mode."""


def value_at(
    rows: Sequence[Mapping[str, Any]], mode: str, mjd: float, *, extrapolate: bool = False
) -> float:
    """Return one photometric quantity, linear in MJD (and in the wavelength of a ramp filter).

    Parameters
    ----------
    rows
        Rows of the table's extension for this quantity.
    mode
        Observation mode without date, such as ``acs,wfc1,f606w`` or ``acs,wfc1,fr656n#6560``.
    mjd
        Start of the exposure; the table is entered with four decimals, as the PHOTMODE says.
    extrapolate
        EXTRAP of the table: before its first and after its last date the straight line goes on.
        Otherwise, and for a wavelength outside the table, the result is ``OUTSIDE``.
    """
    given = {"mjd#": round(mjd, 4)}
    names = []
    for part in mode.split(","):
        name, mark, value = part.partition("#")
        if mark:
            given[f"{name}#"] = float(value)
        names.append(name + mark)
    bare = ",".join(names)
    named = {str(row["OBSMODE"]).strip().lower(): row for row in reversed(rows)}
    row = named.get(f"{bare},mjd#", named.get(bare))
    if row is None:
        raise NoSuchMode(mode)
    column = str(row["DATACOL"]).strip().upper()
    values = np.atleast_1d(row[column]).astype(np.float64)
    if values.size == 1:
        return float(values[0])
    for number, name in enumerate(_parameters(row), 1):
        if name not in given:
            raise NoSuchMode(name)
        at, grid = given[name], np.asarray(row[f"PAR{number}VALUES"], dtype=np.float64)
        if not grid[0] <= at <= grid[-1] and not (extrapolate and name == "mjd#"):
            return OUTSIDE
        values = _along(values.reshape(-1, len(grid)), grid, at)
    return float(values[0])


def _parameters(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the row's parameters, the fastest axis first."""
    out: list[str] = []
    while (key := f"PAR{len(out) + 1}VALUES") in row:
        name = str(row.get(f"PAR{len(out) + 1}NAMES", "mjd#")).strip().lower()
        if not name or np.size(row[key]) < 2:
            break
        out.append(name)
    return out


def _along(values: F64, grid: F64, at: float) -> F64:
    """Interpolate along the last axis, on the line through the two nearest points."""
    low = int(np.clip(np.searchsorted(grid, at, side="right") - 1, 0, len(grid) - 2))
    first, second = values[:, low], values[:, low + 1]
    step = (at - grid[low]) * (second - first) / (grid[low + 1] - grid[low])
    return np.asarray(first + step, dtype=np.float64)
