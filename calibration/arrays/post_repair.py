"""BLEVCORR of WFC full frames read by the electronics of the 2009 repair: both chips at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays.bias_shift import Shift, remove_bias_shift
from calibration.arrays.chip import F32, Chip
from calibration.arrays.crosstalk import remove_cross_talk
from calibration.arrays.destripe import Stripes, destripe
from calibration.arrays.levels import raw_values, readout_columns

_BLOCK_ROWS = 64

#: CCDCHIP -> amplifiers from left to right. Chip 1 is read upwards: its views are turned over.
_AMPS = {1: "AB", 2: "CD"}
_ORDER = "ABCD"


@dataclass(frozen=True)
class Report:
    """What was found, for headers and log; `shifts` is empty when that step does not
    apply, `stripes` is None for a subarray.
    """

    shifts: dict[str, Shift]
    stripes: Stripes | None

    def level(self, amp: str) -> float:
        """Return all that was subtracted from an amplifier's pixels on average (BIASLEVx)."""
        own = self.stripes.levels[_ORDER.index(amp)] if self.stripes else 0.0
        return own + (self.shifts[amp].after if amp in self.shifts else 0.0)

    def mean_level(self, chip: int) -> float | None:
        """Return MEANBLEV: of full frames calacs counts only what the destriping subtracted."""
        if self.stripes is None:
            return None
        return float(np.mean([self.stripes.levels[_ORDER.index(a)] for a in _AMPS[chip]]))


def amp_view(frame: F32, amp: str) -> F32:
    """Return an amplifier's half of a frame, overscan included, with it at the lower left."""
    half = frame.shape[1] // 2
    part = frame[:, :half] if amp in "AC" else frame[:, : half - 1 : -1]
    return part[::-1] if amp in "AB" else part


def electrons(chip: Chip) -> F32:
    """Return a chip's whole frame after BIASCORR and gain, float32."""
    out = np.empty(chip.raw.shape, np.float32)
    for start in range(0, len(out), _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, len(out)))
        for amp, columns in readout_columns(chip):
            out[rows, columns] = raw_values(chip, amp, rows, columns)[0]
    return out


def level_both(chips: dict[int, Chip], *, shift: bool) -> Report:
    """Give both chips their frames without bias level, shift, cross talk and stripes.

    Parameters
    ----------
    chips
        CCDCHIP -> chip; `levelled` of each is set.
    shift
        Whether bias shift and cross talk are corrected: only dual-slope integration at gain 2.
    """
    frames = {number: electrons(chip) for number, chip in chips.items()}
    views = {amp: amp_view(frames[n], amp) for n, amps in _AMPS.items() for amp in amps}
    shifts = {amp: remove_bias_shift(views[amp], amp) for amp in _ORDER} if shift else {}
    if shift:
        for frame in frames.values():
            remove_cross_talk(frame)
    stripes = destripe([views[amp] for amp in _ORDER])
    report = Report(shifts, stripes)
    for number, chip in chips.items():
        chip.levelled = frames[number]
    return report


def level_subarray(chip: Chip) -> Shift:
    """Subtract bias shift and level of a subarray that one amplifier read with its overscan.

    There is nothing to find cross talk or stripes with.
    """
    frame = electrons(chip)
    name = chip.amps[0].name
    view = frame if name in "AC" else frame[:, ::-1]
    shift = remove_bias_shift(view[::-1] if name in "AB" else view, name)
    chip.levelled = frame
    return shift


def frames_fit(chips: Sequence[Chip]) -> bool:
    """Whether these frames have the overscan that the algorithm needs."""
    shapes = {chip.raw.shape for chip in chips}
    return len(shapes) == 1 and all(ny > 2 * 20 and nx > 2 * 30 for ny, nx in shapes)
