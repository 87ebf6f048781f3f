"""Where the amplifiers' pixels and overscan are, from CCDTAB and OSCNTAB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibration.arrays.chip import Amp, Virtual
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header
from calibration.instruments import Detector

Row = Mapping[str, Any]

#: Amplifiers of a chip, left and right as the chip is stored.
_CHIP_AMPS = {2: "CD", 1: "AB"}

#: STIS has no OSCNTAB: the full frame as calstis knows it.
_STIS_OVERSCAN: Row = {
    "NX": 1062, "NY": 1044, "TRIMX1": 19, "TRIMX2": 19, "TRIMY1": 0, "TRIMY2": 20,
    "VX1": 0, "VX2": 0, "VY1": 0, "VY2": 0,
    "BIASSECTA1": 3, "BIASSECTA2": 17, "BIASSECTB1": 1046, "BIASSECTB2": 1060,
}  # fmt: skip


@dataclass(frozen=True)
class Geometry:
    """Layout of one chip's read-out."""

    amps: tuple[Amp, ...]
    trim_x: int
    trim_y: int
    shape: tuple[int, int]
    virtual: Virtual | None
    a_to_d_limit: float | None
    full_well_level: float | None


def _fits(row: Row, column: str, value: Any) -> bool:
    if column not in row or value is None:
        return True
    found = row[column]
    if isinstance(found, str):
        return found.strip().upper() in ("ANY", "N/A", str(value).strip().upper())
    return float(found) == -999 or float(found) == float(value)


def ccd_row(rows: Sequence[Row], primary: Header, chip: int, file: str) -> Row:
    """Return the CCDTAB row of this read-out."""
    for row in rows:
        named = all(
            _fits(row, key, primary.get(key))
            for key in ("CCDAMP", "CCDGAIN", "CCDOFSTA", "CCDOFSTB", "CCDOFSTC", "CCDOFSTD")
        )
        if named and _fits(row, "CCDCHIP", chip):
            return row
    raise CalibrationError(
        ExitCode.REFERENCE_BAD,
        f"CCDTAB {file} has no row for CCDAMP {primary.text('CCDAMP')}, CCDGAIN "
        f"{primary.get('CCDGAIN')}, CCDCHIP {chip}; choose another CCDTAB",
    )


def overscan_row(
    rows: Sequence[Row] | None, primary: Header, chip: int, shape: tuple[int, int], file: str
) -> Row:
    """Return the OSCNTAB row of this read-out (STIS: the built-in one)."""
    for row in [_STIS_OVERSCAN] if rows is None else rows:
        if (
            _fits(row, "CCDAMP", primary.get("CCDAMP"))
            and _fits(row, "CCDCHIP", chip)
            and (int(row["NY"]), int(row["NX"])) == shape
        ):
            return row
    raise CalibrationError(
        ExitCode.NOT_SUPPORTED,
        f"OSCNTAB {file} has no row for CCDAMP {primary.text('CCDAMP')}, CCDCHIP {chip} and a "
        f"read-out of {shape[1]} x {shape[0]} pixels (subarrays are not supported yet)",
    )


def _section(row: Row, name: str) -> tuple[int, int] | None:
    first, last = int(row.get(f"BIASSECT{name}1", 0)), int(row.get(f"BIASSECT{name}2", 0))
    return (first - 1, last) if last >= first > 0 else None


def _amp(row: Row, name: str, raw_x: slice, out_x: slice, sections: Sequence[Any]) -> Amp:
    overscan = tuple(s for s in sections if s is not None)
    return Amp(
        name=name,
        gain=float(row.get(f"ATODGN{name}", row.get("ATODGAIN", 0.0))),
        read_noise=float(row.get(f"READNSE{name}", row.get("READNSE", 0.0))),
        bias_level=float(row.get(f"CCDBIAS{name}", row.get("CCDBIAS", 0.0))),
        raw_x=raw_x,
        out_x=out_x,
        overscan=overscan,
    )


def layout(
    detector: Detector, primary: Header, chip: int, *, ltv1: float, ccd: Row, osc: Row
) -> Geometry:
    """Return the layout of one chip.

    A single amplifier takes both physical overscan sections together, beginning with the one
    nearest to it; with two, each takes its own. WFC3/UVIS has its serial virtual overscan in the
    middle of the raw frame (TRIMX3, TRIMX4 columns), which is cut out and gives the level.
    """
    read_out = primary.text("CCDAMP").upper()
    on_chip = _CHIP_AMPS.get(chip, "") if detector.name in ("WFC", "UVIS") else "ABCD"
    names = "".join(a for a in on_chip if a in read_out)
    nx, ny = int(osc["NX"]), int(osc["NY"])
    x1, x2 = int(osc["TRIMX1"]), int(osc["TRIMX2"])
    gap = int(osc.get("TRIMX3", 0)) + int(osc.get("TRIMX4", 0))
    width = nx - x1 - x2 - gap
    near, far = _section(osc, "A"), _section(osc, "B")
    if gap:
        near, far = _section(osc, "C") or near, _section(osc, "D") or far
    if len(names) == 1:
        if names in "BD":
            near, far = far, near
        amps: tuple[Amp, ...] = (
            _amp(ccd, names, slice(x1, x1 + width), slice(0, width), [near, far]),
        )
    elif len(names) == 2 and on_chip != "ABCD":
        split = width // 2 if gap else int(ccd.get("AMPX", width // 2)) + round(ltv1) - x1
        right = slice(x1 + split + gap, x1 + width + gap)
        amps = (
            _amp(ccd, names[0], slice(x1, x1 + split), slice(0, split), [near]),
            _amp(ccd, names[1], right, slice(split, width), [far]),
        )
    else:
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED,
            f"CCDAMP = {read_out!r} on {detector.instrument}/{detector.name} chip {chip} is not "
            "supported yet",
        )
    y1, y2 = int(osc["TRIMY1"]), int(osc["TRIMY2"])
    limit, full = float(ccd.get("ATODSAT", 0)), float(ccd.get("SATURATE", 0))
    return Geometry(amps, x1, y1, (ny - y1 - y2, width), _virtual(osc), limit or None, full or None)


def _virtual(osc: Row) -> Virtual | None:
    columns = int(osc["VX1"]) - 1, int(osc["VX2"])
    rows = int(osc["VY1"]) - 1, int(osc["VY2"])
    if rows[0] <= 0 and rows[1] - 1 <= 0:
        return None
    return Virtual(columns, rows)
