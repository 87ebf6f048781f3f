"""Photometric keywords from an image-photometry table (IMPHTTAB)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class NoSuchMode(ValueError):
    """The table has no row for the exposure's mode."""


def value_at(rows: Sequence[Mapping[str, Any]], mode: str, mjd: float) -> float:
    """Return one photometric quantity, linear in MJD.

    Parameters
    ----------
    rows
        Rows of the table's extension for this quantity.
    mode
        Observation mode without date, such as ``acs,wfc1,f606w``.
    mjd
        Start of the exposure; the table is entered with four decimals, as the PHOTMODE says.
    """
    named = {str(row["OBSMODE"]).strip().lower(): row for row in reversed(rows)}
    row = named.get(f"{mode},mjd#", named.get(mode))
    if row is None:
        raise NoSuchMode(mode)
    column = str(row["DATACOL"]).strip().upper()
    values = np.atleast_1d(row[column]).astype(np.float64)
    if values.size == 1:
        return float(values[0])
    return float(np.interp(round(mjd, 4), row["PAR1VALUES"], values))
