"""PCTETAB: traps, their density by column, and how to correct for them.

A table of the third generation has five sets of extensions (QPROF, SCLBYCOL, RPROF, CPROF): EXTVER
1 for the parallel transfer, 2 to 5 for the serial transfer to the amplifiers A to D. Tables of the
second generation have the first one only, and the keywords of a set in the primary header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.cte_restore import Recipe
from calibration.arrays.cte_traps import NODES, Traps, density, fraction_at
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header
from calibration.fits.tables import read_columns
from calibration.instruments.read_out import AMPLIFIERS
from calibration.nodes.exposure import Reference

PARALLEL = 1
#: EXTVER of the serial sets.
SERIAL = {"A": 2, "B": 3, "C": 4, "D": 5}
_UNUSED_LEVEL = 999999.0


@dataclass(frozen=True)
class TrapSet:
    """One direction of transfer.

    Parameters
    ----------
    traps, recipe
        The model and its inverse.
    sensitivity
        SENS_0512 to SENS_2048, (columns of all quadrants, 4), in the order of `AMPLIFIERS`.
    fraction
        PCTEFRAC.
    values
        What was used, by keyword.
    """

    traps: Traps
    recipe: Recipe
    sensitivity: NDArray[np.float64]
    fraction: float
    values: dict[str, Any]

    def density(self, amp: str, shape: tuple[int, int]) -> NDArray[Any]:
        """Return the density of traps in an amplifier's quadrant as it is read."""
        first = AMPLIFIERS.index(amp) * shape[1]
        columns = self.sensitivity[first : first + shape[1]]
        if columns.shape[0] != shape[1]:
            raise ValueError(
                f"SCLBYCOL has {self.sensitivity.shape[0]} columns, amplifier {amp} needs "
                f"{first + 1} to {first + shape[1]}"
            )
        return density(columns, shape[0], self.fraction)


def read_set(table: Reference, version: int, exposure: Header) -> TrapSet | None:
    """Return a set of PCTETAB; None when the table has no such EXTVER.

    Raises
    ------
    CalibrationError
        REFERENCE_BAD: an extension, a column or a keyword is missing, or shapes do not fit.
    """
    found = {hdu.name: hdu for hdu in table.hdus[1:] if hdu.version == version}
    if "QPROF" not in found and version != PARALLEL:
        return None
    try:
        return _read(found, table.hdus[0].header, exposure)
    except (KeyError, ValueError, TypeError) as error:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{table.keyword} {table.name}, EXTVER {version}: {error}; choose another file",
        ) from error


def _read(found: dict[str, Hdu], primary: Header, exposure: Header) -> TrapSet:
    for name in ("QPROF", "SCLBYCOL", "RPROF", "CPROF"):
        if name not in found:
            raise ValueError(f"no extension {name}")
    values = _keywords(found["QPROF"].header, primary, exposure)
    rows = _columns(found["QPROF"], ("QLEV_Q", "DPDE_W"))
    level, depth = rows[:, 0], rows[:, 1]
    count = int(np.count_nonzero(level < _UNUSED_LEVEL))
    level, depth = level[:count], depth[:count]
    if not count or (np.diff(level) < 0).any():
        raise ValueError("QLEV_Q of QPROF does not rise, or holds no trap")
    length = values["PCTETLEN"]
    profiles = [_profile(found[name], name, length, count) for name in ("RPROF", "CPROF")]
    traps = Traps(level, depth, profiles[0], profiles[1], values["PCTENPAR"])
    recipe = Recipe(values["PCTENFOR"], values["PCTETRSH"], bool(values["FIXROCR"]))
    if values["CTEDATE1"] == values["CTEDATE0"]:
        raise ValueError("CTEDATE1 equals CTEDATE0")
    fraction = fraction_at(exposure.real("EXPSTART"), values["CTEDATE0"], values["CTEDATE1"])
    return TrapSet(traps, recipe, _sensitivity(found["SCLBYCOL"]), fraction, values)


def _keywords(own: Header, primary: Header, exposure: Header) -> dict[str, Any]:
    """Return the values to use: the set's, else the table's, unless the exposure has its own."""
    out: dict[str, Any] = {}
    for key in ("CTEDATE0", "CTEDATE1", "PCTETRSH"):
        out[key] = _number(key, own, primary)
    for key in ("PCTETLEN", "PCTENFOR", "PCTENPAR"):
        out[key] = int(_number(key, own, primary))
        asked = exposure.get(key)
        if isinstance(asked, int) and asked > 1:
            out[key] = asked
        if out[key] < 1:
            raise ValueError(f"{key} = {out[key]}")
    out["FIXROCR"] = int(_number("FIXROCR", own, primary))
    if exposure.get("FIXROCR") in (0, 1):
        out["FIXROCR"] = exposure.integer("FIXROCR")
    return out


def _number(key: str, *headers: Header) -> float:
    for header in headers:
        if key in header:
            return header.real(key)
    raise ValueError(f"no keyword {key}")


def _columns(hdu: Hdu, names: tuple[str, ...]) -> NDArray[np.float64]:
    table = read_columns(hdu)
    present = table.dtype.names or ()
    for name in names:
        if name not in present:
            raise ValueError(f"{hdu.name} has no column {name}")
    return np.stack([table[name].astype(np.float64) for name in names], axis=1)


def _profile(hdu: Hdu, name: str, length: int, count: int) -> NDArray[np.float64]:
    image = hdu.image()
    if image.ndim != 2 or image.shape[0] < length or image.shape[1] < count:
        raise ValueError(f"{name} is not {count} x {length} pixels")
    return np.asarray(image[:length, :count], dtype=np.float64)


def _sensitivity(hdu: Hdu) -> NDArray[np.float64]:
    """Return SCLBYCOL in the order of IZ; a column without a row has no traps."""
    rows = _columns(hdu, ("IZ", *(f"SENS_{node:04d}" for node in NODES)))
    index = rows[:, 0].astype(int)
    index -= index.min()
    out = np.zeros((int(index.max()) + 1, len(NODES)))
    out[index] = rows[:, 1:]
    return out
