"""Where the amplifiers' pixels and overscan of WFC3/UVIS and STIS/CCD are.

Source: hstcal, wf3ccd (findover, doblev) and calstis-1 (findover). Numbers of tables count from 1,
those of this module from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibration.arrays.chip import Amp, Virtual
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.instruments.geometry import CHIP_AMPS, Gap, Geometry, Row, amp_of, fits

#: calwf3 has this limit in its code, not in a table.
UVIS_A_TO_D_LIMIT = 65534.0

_STIS_PIXELS = 1024
_STIS_SIDE, _STIS_TOP, _STIS_BORDER = 19, 20, 1
#: First and last column of the bias section by binning in x; the first is of unbinned frames.
_STIS_SECTIONS = {1: (1046, 1052), 2: (524, 530), 4: (263, 269)}
_STIS_SECTION = (1046, 1060)


@dataclass(frozen=True)
class CountsGeometry(Geometry):
    """Layout of one chip's read-out, with what calwf3 and calstis need besides.

    Parameters
    ----------
    gap
        Columns of full-frame references that are not in a subarray.
    shift
        The same columns inside a raw full frame, which BPIXTAB does not count.
    gain
        Mean e-/DN of all four amplifiers.
    """

    gap: Gap | None = None
    shift: Gap | None = None
    gain: float = 1.0


def matching_row(rows: Sequence[Row], wanted: Mapping[str, Any], table: str) -> Row:
    """Return the first row that fits; REFERENCE_BAD with what was looked for."""
    for row in rows:
        if all(fits(row, key, value) for key, value in wanted.items()):
            return row
    looked = ", ".join(f"{key} {value}" for key, value in wanted.items() if value is not None)
    raise CalibrationError(
        ExitCode.REFERENCE_BAD, f"{table} has no row for {looked}; choose another file"
    )


def mean_gain_of(ccd: Row) -> float:
    """Return calwf3's mean gain: of all four amplifiers, whichever were read."""
    return sum(float(ccd.get(f"ATODGN{a}", 0.0)) for a in "ABCD") / 4


def uvis_layout(
    amps: str,
    chip: int,
    shape: tuple[int, int],
    *,
    ltv1: float,
    ccd: Row,
    osc: Row,
    part: bool,
) -> CountsGeometry:
    """Return the layout of one chip of WFC3/UVIS.

    Parameters
    ----------
    amps
        CCDAMP.
    chip, shape, ltv1
        CCDCHIP, rows and columns of the raw frame, LTV1.
    ccd, osc
        The rows of CCDTAB and OSCNTAB.
    part
        SUBARRAY.
    """
    names = "".join(a for a in CHIP_AMPS.get(chip, "") if a in amps)
    gain = mean_gain_of(ccd)
    trims = [int(osc.get(f"TRIMX{i}", 0)) for i in (1, 2, 3, 4)]
    width = trims[2] + trims[3]
    half = int(ccd.get("AMPX", 0)) or (shape[1] - sum(trims)) // 2
    gap = Gap(trims[0] + half, width) if width else None
    common: dict[str, Any] = {
        "virtual": None, "a_to_d_limit": UVIS_A_TO_D_LIMIT, "gain": gain,
        "full_well_level": float(ccd.get("SATURATE", 0)) or None,
    }  # fmt: skip
    if part:
        left, right, section = _uvis_part(shape[1], ltv1, trims, osc)
        if len(names) != 1:
            raise _unsupported(amps, chip, "a subarray")
        columns = slice(left, shape[1] - right)
        size = shape[0], columns.stop - columns.start
        amp = amp_of(ccd, names, columns, slice(0, size[1]), [section])
        return CountsGeometry((amp,), left, 0, size, gap=gap, **common)
    y1, y2 = int(osc["TRIMY1"]), int(osc["TRIMY2"])
    if len(names) != 2 or shape != (int(osc["NY"]), int(osc["NX"])):
        raise _unsupported(amps, chip, f"{shape[1]} x {shape[0]} pixels")
    size = shape[0] - y1 - y2, shape[1] - sum(trims)
    start = trims[0] + half + width
    places = (
        (slice(trims[0], trims[0] + half), slice(0, half)),
        (slice(start, shape[1] - trims[1]), slice(half, size[1])),
    )
    both = []
    for index, (name, (raw_x, out_x)) in enumerate(zip(names, places, strict=True)):
        amp = amp_of(ccd, name, raw_x, out_x, [_uvis_section(osc, index)])
        amp.virtual = _uvis_virtual(osc, index)
        both.append(amp)
    return CountsGeometry(tuple(both), trims[0], y1, size, gap=gap, shift=gap, **common)


def _unsupported(amps: str, chip: int, what: str) -> CalibrationError:
    return CalibrationError(
        ExitCode.NOT_SUPPORTED,
        f"CCDAMP = {amps!r} on chip {chip} of UVIS with {what} is not supported; "
        "correct the header or choose another OSCNTAB",
    )


def _range(osc: Row, name: str) -> tuple[int, int] | None:
    first, last = int(osc.get(f"BIASSECT{name}1", 0)) - 1, int(osc.get(f"BIASSECT{name}2", 0))
    return (first, last) if last - 1 > 0 else None


def _uvis_section(osc: Row, index: int) -> tuple[int, int] | None:
    """Return the serial virtual overscan of this side; without it the physical one."""
    inner = _range(osc, "C"), _range(osc, "D")
    if all(inner):
        return inner[index]
    return inner[0] or inner[1] or _range(osc, "A") or _range(osc, "B")


def _uvis_virtual(osc: Row, index: int) -> Virtual | None:
    """Return the parallel virtual overscan of this side; calwf3 leaves out its last row."""
    a, b = (1, 2) if index == 0 else (3, 4)
    columns = int(osc.get(f"VX{a}", 0)) - 1, int(osc.get(f"VX{b}", 0))
    rows = int(osc.get(f"VY{a}", 0)) - 1, int(osc.get(f"VY{b}", 0)) - 1
    if columns[1] - 1 <= columns[0] or rows[1] <= rows[0]:
        return None
    return Virtual(columns, rows)


def _uvis_part(
    nx: int, ltv1: float, trims: Sequence[int], osc: Row
) -> tuple[int, int, tuple[int, int] | None]:
    """Return what a subarray has of physical overscan left and right, and its bias section."""
    offset = int(ltv1)
    light = int(osc["NX"]) - trims[1] - trims[0]
    shift = trims[0] - offset
    first, last = int(osc["BIASSECTA1"]) - 1 - shift, int(osc["BIASSECTA2"]) - 1 - shift
    if offset > 0:
        left = min(offset, trims[0])
        return left, max(nx - left - light, 0), (max(first, 0), last + 1)
    beyond = nx - offset
    if light < beyond <= int(osc["NX"]):
        section = (first, min(last, nx - 1) + 1) if first < nx else None
        return 0, beyond - light, section
    return 0, 0, None


def stis_layout(amp: str, shape: tuple[int, int], bins: tuple[int, int], ccd: Row) -> Geometry:
    """Return the layout of a STIS/CCD read-out, full, binned or part.

    A part of the detector has its overscan only when it has the whole width; otherwise the level
    is CCDTAB's and nothing is trimmed.
    """
    ny, nx = shape
    if amp not in ("A", "B", "C", "D"):
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED, f"CCDAMP = {amp!r} of STIS is not A, B, C or D"
        )
    left, right, top, section = _stis_sides(nx, ny, bins)
    if amp in "BD":
        left, right = right, left
        section = nx - section[1] - 1, nx - section[0] - 1
    bottom, top = (top, 0) if amp in "CD" else (0, top)
    wanted = _STIS_PIXELS if bins == (1, 1) else 1
    rows = _STIS_PIXELS if bins == (1, 1) and ny > _STIS_PIXELS else 1
    width, height = nx - left - right, ny - top - bottom
    common: dict[str, Any] = {"virtual": None, "a_to_d_limit": None}
    common["full_well_level"] = float(ccd.get("SATURATE", 0)) or None
    whole = width >= wanted and height >= rows and min(left, right, top, bottom) >= 0
    if not whole:
        only = amp_of(ccd, amp, slice(0, nx), slice(0, nx), [])
        return Geometry((only,), 0, 0, shape, **common)
    columns = slice(left, nx - right)
    one: Amp = amp_of(ccd, amp, columns, slice(0, width), [(section[0], section[1] + 1)])
    lines = (0, bottom) if amp in "CD" else (ny - top, ny)
    if lines[1] - 1 > lines[0]:
        one.virtual = Virtual((columns.start, columns.stop), lines)
    return Geometry((one,), left, bottom, (height, width), **common)


def _stis_sides(nx: int, ny: int, bins: tuple[int, int]) -> tuple[int, int, int, tuple[int, int]]:
    """Return trims left, right and far from the amplifier, and bias section, as of amplifier A."""
    if bins == (1, 1):
        if ny <= _STIS_PIXELS:
            side = _STIS_SIDE - _STIS_BORDER
            return side, side, 0, (_STIS_SECTION[0], _STIS_SECTION[1] - _STIS_BORDER)
        return _STIS_SIDE, _STIS_SIDE, _STIS_TOP, _STIS_SECTION
    top = ny - _STIS_PIXELS // bins[1]
    if bins[0] == 1:
        return _STIS_SIDE, nx - _STIS_PIXELS - _STIS_SIDE, top, _STIS_SECTIONS[1]
    left = (_STIS_SIDE + 1) // bins[0]
    right = nx - (_STIS_PIXELS // bins[0] - 1) - left
    return left, right, top, _STIS_SECTIONS.get(bins[0], (0, -1))
