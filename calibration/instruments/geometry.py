"""Where the amplifiers' pixels and overscan are, from CCDTAB and OSCNTAB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays.chip import Amp, Array, Image, Virtual
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header
from calibration.instruments import Detector

Row = Mapping[str, Any]

#: Amplifiers of a chip of two, left and right as the chip is stored.
CHIP_AMPS = {2: "CD", 1: "AB"}


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


@dataclass(frozen=True)
class Gap:
    """Columns of a reference that a subarray has not: the serial virtual overscan of UVIS."""

    first: int
    width: int


@dataclass(frozen=True)
class Window:
    """Where a read-out lies in a reference image: rows, and one or two ranges of columns."""

    rows: slice
    columns: tuple[slice, ...]

    def of(self, array: Array) -> Array:
        """Return that part of an array: a view, or a copy when it lies on both sides of a gap."""
        parts = [array[self.rows, columns] for columns in self.columns]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def cut(self, image: Image) -> Image:
        """Return that part of SCI, ERR and DQ."""
        return Image(self.of(image.sci), self.of(image.err), self.of(image.dq))


def binning(header: Header) -> tuple[int, int]:
    """Return the binning in x and y of an image, from LTM1_1 and LTM2_2 (1 / bin)."""
    x, y = (round(1 / (header.real(key, 1.0) or 1.0)) for key in ("LTM1_1", "LTM2_2"))
    return x, y


def corner(header: Header, trim: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Return the unbinned detector pixel (0-based, x and y) of an image's first pixel.

    `trim` is what is still to be cut from the left and the bottom. LTV counts from the light's
    start, so overscan in front has negative pixels.
    """
    out = []
    for axis, size, cut in zip((1, 2), binning(header), trim, strict=True):
        offset = header.real(f"LTV{axis}", 0.0) - cut
        out.append(round((size - 1) / 2 - size * offset))
    return out[0], out[1]


def window(
    exposure: Header,
    shape: tuple[int, int],
    reference: Header,
    reference_shape: tuple[int, int],
    *,
    trim: tuple[int, int] = (0, 0),
    gap: Gap | None = None,
) -> Window | None:
    """Return where an exposure lies in a reference; None when it does not lie inside.

    Parameters
    ----------
    exposure
        The SCI header of the raw frame: LTV1, LTV2, LTM1_1, LTM2_2.
    shape
        Rows and columns that are wanted: of the raw frame, or of the trimmed one.
    reference, reference_shape
        Header and shape of the reference's SCI image.
    trim
        Columns and rows that `shape` has less than the raw frame at its left and its bottom.
    gap
        Columns of the reference that the detector's subarrays do not have.

    Notes
    -----
    The rule is hstcal's (FindLine, GetCorner): an image of the same size is taken as it is,
    otherwise the corners are compared. Binning must agree.
    """
    if shape == reference_shape:
        return Window(slice(0, shape[0]), (slice(0, shape[1]),))
    if binning(exposure) != binning(reference):
        return None
    (ex, ey), (rx, ry) = corner(exposure, trim), corner(reference)
    bx, by = binning(reference)
    x, y = (ex - rx) // bx, (ey - ry) // by
    columns = [slice(x, x + shape[1])]
    if gap is not None:
        if x >= gap.first:
            columns = [slice(x + gap.width, x + gap.width + shape[1])]
        elif x + shape[1] > gap.first:
            rest = x + shape[1] - gap.first
            end = gap.first + gap.width
            columns = [slice(x, gap.first), slice(end, end + rest)]
    inside = x >= 0 and y >= 0 and columns[-1].stop <= reference_shape[1]
    if not inside or y + shape[0] > reference_shape[0]:
        return None
    return Window(slice(y, y + shape[0]), tuple(columns))


def fits(row: Row, column: str, value: Any) -> bool:
    """Whether a table's row fits a value; an absent column, ANY, N/A and -999 fit everything."""
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
            fits(row, key, primary.get(key))
            for key in ("CCDAMP", "CCDGAIN", "CCDOFSTA", "CCDOFSTB", "CCDOFSTC", "CCDOFSTD")
        )
        if named and fits(row, "CCDCHIP", chip):
            return row
    raise CalibrationError(
        ExitCode.REFERENCE_BAD,
        f"CCDTAB {file} has no row for CCDAMP {primary.text('CCDAMP')}, CCDGAIN "
        f"{primary.get('CCDGAIN')}, CCDCHIP {chip}; choose another CCDTAB",
    )


def overscan_row(
    rows: Sequence[Row], primary: Header, chip: int, shape: tuple[int, int], file: str
) -> Row:
    """Return the OSCNTAB row of this read-out."""
    for row in rows:
        if (
            fits(row, "CCDAMP", primary.get("CCDAMP"))
            and fits(row, "CCDCHIP", chip)
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


def amp_of(row: Row, name: str, raw_x: slice, out_x: slice, sections: Sequence[Any]) -> Amp:
    """Return an amplifier with the gain, noise and bias level that its row of CCDTAB gives."""
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
    nearest to it; with two, each takes its own.
    """
    read_out = primary.text("CCDAMP").upper()
    on_chip = CHIP_AMPS.get(chip, "") if detector.name == "WFC" else "ABCD"
    names = "".join(a for a in on_chip if a in read_out)
    nx, ny = int(osc["NX"]), int(osc["NY"])
    x1, x2 = int(osc["TRIMX1"]), int(osc["TRIMX2"])
    width = nx - x1 - x2
    near, far = _section(osc, "A"), _section(osc, "B")
    if len(names) == 1:
        if names in "BD":
            near, far = far, near
        amps: tuple[Amp, ...] = (
            amp_of(ccd, names, slice(x1, x1 + width), slice(0, width), [near, far]),
        )
    elif len(names) == 2 and on_chip != "ABCD":
        split = int(ccd.get("AMPX", width // 2)) + round(ltv1) - x1
        right = slice(x1 + split, x1 + width)
        amps = (
            amp_of(ccd, names[0], slice(x1, x1 + split), slice(0, split), [near]),
            amp_of(ccd, names[1], right, slice(split, width), [far]),
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
