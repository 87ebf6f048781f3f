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
    rows: Sequence[Row], primary: Header, sci: Header, shape: tuple[int, int], file: str
) -> Row | None:
    """Return the OSCNTAB row of this read-out; None for a subarray without overscan.

    Raises
    ------
    CalibrationError
        REFERENCE_BAD when there is no row although LTV says that the frame has overscan: calacs
        ends there, too, after it has subtracted the default level.
    """
    chip = sci.integer("CCDCHIP", 1)
    for row in rows:
        if (
            fits(row, "CCDAMP", primary.get("CCDAMP"))
            and fits(row, "CCDCHIP", chip)
            and fits(row, "BINX", sci.integer("BINAXIS1", 1))
            and fits(row, "BINY", sci.integer("BINAXIS2", 1))
            and (int(row["NY"]), int(row["NX"])) == shape
        ):
            return row
    if sci.real("LTV1", 0.0) <= 0 and sci.real("LTV2", 0.0) <= 0:
        return None
    raise CalibrationError(
        ExitCode.REFERENCE_BAD,
        f"OSCNTAB {file} has no row for CCDAMP {primary.text('CCDAMP')}, CCDCHIP {chip} and a "
        f"read-out of {shape[1]} x {shape[0]} pixels, whose LTV1, LTV2 say that it has overscan; "
        "choose another OSCNTAB",
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
    detector: Detector,
    primary: Header,
    sci: Header,
    *,
    ccd: Row,
    osc: Row | None,
    corrected: bool = False,
) -> Geometry:
    """Return the layout of one ACS chip.

    A single amplifier takes both physical overscan sections together; with two, each takes its
    own, or the only one there is. For calacs the middle of BIASSECTA is where the drift of any
    single amplifier is zero; `corrected` begins with the section nearest to it. Without a row of
    OSCNTAB there is no overscan, and nothing is trimmed.
    """
    chip = sci.integer("CCDCHIP", 1)
    read_out = primary.text("CCDAMP").upper()
    on_chip = CHIP_AMPS.get(chip, "") if detector.name == "WFC" else "ABCD"
    names = "".join(a for a in on_chip if a in read_out)
    if osc is None:
        osc = {"NX": sci.integer("NAXIS1"), "NY": sci.integer("NAXIS2")}
    nx, ny = int(osc["NX"]), int(osc["NY"])
    x1, x2, y1, y2 = (int(osc.get(k, 0)) for k in ("TRIMX1", "TRIMX2", "TRIMY1", "TRIMY2"))
    width = nx - x1 - x2
    near, far = _section(osc, "A"), _section(osc, "B")
    if near is None and not corrected:
        far = None  # calacs tests the first section for 0 when it has become -1, and takes it
    if len(names) == 1:
        if corrected and names in "BD":
            near, far = far, near
        amps: tuple[Amp, ...] = (
            amp_of(ccd, names, slice(x1, x1 + width), slice(0, width), [near, far]),
        )
    elif len(names) == 2 and on_chip != "ABCD":
        split = int(ccd.get("AMPX", width // 2)) + max(round(sci.real("LTV1", 0.0)), 0) - x1
        split = min(max(split, 0), width)
        middle = x1 + split
        left, right = [near or far], [far or near]
        amps = (
            amp_of(ccd, names[0], slice(x1, middle), slice(0, split), left),
            amp_of(ccd, names[1], slice(middle, x1 + width), slice(split, width), right),
        )
    else:
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED,
            f"CCDAMP = {read_out!r} on {detector.instrument}/{detector.name} chip {chip} is not "
            "supported yet",
        )
    for amp in amps:
        source = amp.name if corrected else _default_amp(read_out, chip, detector)
        amp.default_level = _default_level(ccd, source, read_out)
    limit, full = float(ccd.get("ATODSAT", 0)), float(ccd.get("SATURATE", 0))
    shape = ny - y1 - y2, width
    return Geometry(amps, x1, y1, shape, _virtual(osc), limit or None, full or None)


def _default_amp(read_out: str, chip: int, detector: Detector) -> str:
    """Return whose CCDBIAS calacs takes for the whole chip: that of the first amplifier."""
    first = "ABCD".index(read_out[0])
    second_chip = detector.name == "WFC" and chip == 2 and len(read_out) > 1
    return "ABCD"[min(first + 2 * second_chip, 3)]


def _default_level(ccd: Row, name: str, read_out: str) -> float:
    """Return CCDBIAS times gain, electrons, single precision; 0 of an amplifier not read."""
    if name not in read_out:
        return 0.0
    bias = np.float32(ccd.get(f"CCDBIAS{name}", 0.0))
    return float(bias * np.float32(ccd.get(f"ATODGN{name}", 0.0)))


def _virtual(osc: Row) -> Virtual | None:
    """Return the virtual overscan; one of less than two columns or rows is none, as for calacs."""
    x1, x2, y1, y2 = (int(osc.get(k, 0)) - 1 for k in ("VX1", "VX2", "VY1", "VY2"))
    if (y1 <= 0 and y2 <= 0) or x2 <= x1 or y2 <= y1:
        return None
    return Virtual((x1, x2 + 1), (y1, y2 + 1))
