"""What one chip's calibration needs, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.overscan import LevelFit

if TYPE_CHECKING:
    from calibration.arrays.acs_sink import SinkPixels

# numpy's stubs lose the width of a float in arithmetic, so these names are for the reader.
F32 = NDArray[Any]
I16 = NDArray[Any]
Array = NDArray[Any]

BLOCK_ROWS = 16
BLOCK_PIXELS = 32768
ZERO = np.float32(0)


@dataclass(frozen=True)
class Image:
    """SCI, ERR and DQ of a reference; arrays of any number type and byte order."""

    sci: Array
    err: Array
    dq: Array


@dataclass(frozen=True)
class Virtual:
    """Virtual overscan for the drift along the lines: 0-based column and row ranges."""

    columns: tuple[int, int]
    rows: tuple[int, int]


@dataclass
class Amp:
    """One amplifier's part of a chip: where it is in the raw frame and in the product.

    Parameters
    ----------
    name
        A, B, C or D.
    gain, read_noise, bias_level
        e-/DN, e-, DN.
    raw_x, out_x
        Science columns in the raw frame and in the trimmed one.
    overscan
        Column ranges (first, last + 1) of the raw frame that give the bias level; with none,
        `default_level` (electrons) is taken.
    virtual
        This amplifier's own virtual overscan (WFC3/UVIS, STIS).
    """

    name: str
    gain: float
    read_noise: float
    bias_level: float
    raw_x: slice
    out_x: slice
    overscan: tuple[tuple[int, int], ...]
    fit: LevelFit | None = None
    drift: float = 0.0
    default_level: float = 0.0
    virtual: Virtual | None = None

    @property
    def drift_origin(self) -> float:
        """Column at which the drift along the line is zero: the middle of the near section."""
        if not self.overscan:
            return -0.5
        first, end = self.overscan[0]
        return (first + end - 1) / 2


@dataclass
class Counts:
    """What the orders of WFC3/UVIS and STIS need besides: they work in DN.

    Parameters
    ----------
    stis
        calstis's rules instead of calwf3's.
    gain
        e-/DN by which FLATCORR multiplies (WFC3: the mean of all four amplifiers).
    lookup
        ATODTAB: the corrected value of each DN, float32.
    raw_limit
        Raw DN above which a pixel is saturated; tested in the overscan only when the chip has
        a full-well image.
    flash, flash_time
        Post-flash image (raw frame, e-/s) and FLASHDUR.
    sink, start, down
        SNKCFILE's image (raw frame), EXPSTART (MJD), and whether charge moves to lower rows.
    dark_factor
        STIS: the dark's temperature factor.
    flats
        Delta and low-order flats, after the chip's own.
    shading, shutter_time
        Shutter shading image (s) and EXPTIME.
    """

    stis: bool = False
    gain: float = 1.0
    lookup: Array | None = None
    raw_limit: float | None = None
    flash: Image | None = None
    flash_time: float = 0.0
    sink: Array | None = None
    start: float = 0.0
    down: bool = True
    dark_factor: float = 1.0
    flats: Sequence[Image] = ()
    shading: Image | None = None
    shutter_time: float = 0.0


@dataclass
class Chip:
    """One chip's exposure with everything that its calibration needs.

    `raw` holds the stored integers; `zero` is what to add to them. `dq` is the whole untrimmed
    frame with the raw file's flags and the bad-pixel table's. A reference that is None is not
    applied. With `electrons` it is ACS's order, otherwise that of `counts`. `levelled` is the
    untrimmed frame after BLEVCORR when another module has done it. `corrected` corrects calacs's
    slips instead of reproducing them. `only_read_noise` (BIAS targets) leaves signal and bias out
    of ERR. `err` is the raw file's own ERR (DN), if there is any.
    """

    raw: Array
    zero: float
    dq: I16
    amps: Sequence[Amp]
    trim_y: int
    shape: tuple[int, int]
    serious: int
    a_to_d_limit: float | None = None
    bias: Image | None = None
    dark: Image | None = None
    dark_time: float = 0.0
    flash: Image | None = None
    flash_time: float = 0.0
    flat: Image | None = None
    full_well: Array | None = None
    full_well_level: float | None = None
    subtract_level: bool = True
    electrons: bool = True
    virtual: Virtual | None = None
    levelled: F32 | None = None
    only_read_noise: bool = False
    sinks: SinkPixels | None = None
    corrected: bool = False
    err: Array | None = None
    counts: Counts | None = None

    def __post_init__(self) -> None:
        if not self.electrons and self.counts is None:
            self.counts = Counts(gain=mean_gain(self))


@dataclass
class Result:
    """Calibrated arrays, and the state before dark and flat when it was asked for."""

    sci: F32
    err: F32
    dq: I16
    before: tuple[F32, F32, I16] | None = None
    mean_dark: float = 0.0
    levels: dict[str, float] = field(default_factory=dict)
    mean_level: float | None = None
    mean_flash: float | None = None


def f32(array: Array, rows: slice, columns: slice) -> F32:
    """Return a part of an array as native float32 (a copy)."""
    return np.asarray(array[rows, columns]).astype(np.float32)


def block_of(image: Image, rows: slice, columns: slice) -> tuple[F32, F32, I16]:
    """Return a part of a reference: SCI and ERR as float32, DQ as int16."""
    return (
        f32(image.sci, rows, columns),
        f32(image.err, rows, columns),
        np.asarray(image.dq[rows, columns]).astype(np.int16),
    )


def mean_gain(chip: Chip) -> float:
    """Return the mean gain of the chip's amplifiers."""
    return sum(amp.gain for amp in chip.amps) / len(chip.amps)
