"""BLEVCORR: which way this exposure's bias level is found, and what the header says of it."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.arrays.chip import Chip, Result
from calibration.arrays.post_repair import Report, frames_fit, level_both
from calibration.context import step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes.exposure import Exposure


def level_after_repair(exposure: Exposure, chips: Sequence[Chip]) -> Report | None:
    """Correct both chips of a WFC full frame of 2009 or later; None when that does not apply."""
    if not exposure.is_after_repair or exposure.is_subarray or not chips[0].subtract_level:
        return None
    numbered = {images.chip: chip for images, chip in zip(exposure.sets, chips, strict=True)}
    if sorted(numbered) != [1, 2] or not frames_fit(chips):
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED,
            f"{exposure.file}: BLEVCORR after the repair of 2009 needs both chips with their "
            "overscan; set SUBARRAY to T if it is a part of the frame",
        )
    shift = _has_shift(exposure)
    with timed("CA BLEVCORR of both chips"):
        report = level_both(numbered, shift=shift)
    if not shift:
        step("CA no bias shift or cross talk: only for JWROTYPE = DS_INT and CCDGAIN = 2")
    return report


def _has_shift(exposure: Exposure) -> bool:
    """Whether the read-out shifts the bias: dual-slope integration at gain 2."""
    primary = exposure.primary
    return primary.text("JWROTYPE") == "DS_INT" and primary.real("CCDGAIN", 0.0) == 2


def note_levels(report: Report, number: int, result: Result) -> None:
    """Enter the levels of one chip into its result, for the header."""
    names = "AB" if number == 1 else "CD"
    result.levels = {name: report.level(name) for name in names}
    result.mean_level = report.mean_level(number)


def tell(exposure: Exposure, chips: Sequence[Chip], report: Report | None) -> None:
    """Note the state of BLEVCORR and its HISTORY, in calacs's words."""
    exposure.states["BLEVCORR"] = "COMPLETE"
    step("CA BLEVCORR complete")
    lines = exposure.history
    if report is not None:
        for amp, shift in report.shifts.items():
            step(f"CA amp {amp}: bias shift {shift.before - shift.after:.4f} electrons")
        lines.append(f"DESTRIPE: number of rows fixed per amp: {report.stripes.fixed}")
        lines.append(f"DESTRIPE: number of rows skipped per amp: {report.stripes.skipped}")
    lines.append("BLEVCORR complete; bias level from overscan was subtracted.")
    drift = report is None and any(amp.drift for chip in chips for amp in chip.amps)
    word = "includes" if drift else "does not include"
    lines.append(f"BLEVCORR {word} correction for drift along lines.")
    table = exposure.references.get("OSCNTAB")
    if table is not None:
        lines += ["  Overscan region table:", *table.history()]
