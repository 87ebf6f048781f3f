"""BLEVCORR: which way this exposure's bias level is found, and what the header says of it."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.arrays.chip import Chip, Result
from calibration.arrays.post_repair import Report, frames_fit, level_both, level_subarray
from calibration.context import step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.nodes.exposure import Exposure

_VIRTUAL_ROWS = 20

#: Subarrays with overscan on two sides, if they have 20 rows of the virtual one.
_APERTURES = frozenset(
    [f"WFC{chip}{amp}-2K" for chip, amps in ((1, "AB"), (2, "CD")) for amp in amps]
    + ["WFC1-IRAMPQ", "WFC1-MRAMPQ", "WFC2-MRAMPQ", "WFC2-ORAMPQ"]
    + [f"WFC{chip}-POL{angle}{band}" for chip in (1, 2) for angle in (0, 60, 120)
       for band in ("UV", "V")]
)  # fmt: skip


def level_after_repair(exposure: Exposure, chips: Sequence[Chip]) -> Report | None:
    """Correct a WFC exposure of 2009 or later; None when the classic fit is to be used."""
    if not exposure.is_after_repair or not chips[0].subtract_level:
        return None
    if exposure.is_subarray:
        return _subarray(exposure, chips)
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


def _subarray(exposure: Exposure, chips: Sequence[Chip]) -> Report | None:
    """Correct the bias shift of a subarray that has what it takes."""
    chip = chips[0]
    virtual = _VIRTUAL_ROWS in (chip.trim_y, chip.raw.shape[0] - chip.shape[0] - chip.trim_y)
    known = exposure.primary.text("APERTURE").upper() in _APERTURES and len(chip.amps) == 1
    if not (virtual and known and _has_shift(exposure)):
        return None
    return Report({chip.amps[0].name: level_subarray(chip)}, None)


def _has_shift(exposure: Exposure) -> bool:
    """Whether the read-out shifts the bias: dual-slope integration at gain 2."""
    primary = exposure.primary
    return primary.text("JWROTYPE").upper() == "DS_INT" and primary.real("CCDGAIN", 0.0) == 2


def note_levels(report: Report, number: int, result: Result) -> None:
    """Enter the levels of one chip into its result, for the header."""
    names = ("AB" if number == 1 else "CD") if report.stripes else report.shifts
    result.levels = {name: report.level(name) for name in names}
    result.mean_level = report.mean_level(number)


def tell(exposure: Exposure, chips: Sequence[Chip], report: Report | None) -> None:
    """Note the state of BLEVCORR and its HISTORY, in calacs's words."""
    exposure.states["BLEVCORR"] = "COMPLETE"
    step("CA BLEVCORR complete")
    lines = exposure.history
    if report is not None:
        for name, shift in report.shifts.items():
            step(f"CA amp {name}: bias shift {shift.before - shift.after:.4f} electrons")
    if report is not None and report.stripes is not None:
        lines.append(f"DESTRIPE: number of rows fixed per amp: {report.stripes.fixed}")
        lines.append(f"DESTRIPE: number of rows skipped per amp: {report.stripes.skipped}")
    amps = [amp for chip in chips for amp in chip.amps]
    if report is None and not any(amp.overscan for amp in amps):
        lines.append("BLEVCORR complete, but default bias level was subtracted.")
    else:
        lines.append("BLEVCORR complete; bias level from overscan was subtracted.")
    for amp in amps:
        if amp.fit is not None and amp.fit.is_default and amp.overscan:
            exposure.note(f"  amp {amp.name}: no usable overscan, CCDBIAS was subtracted")
    drift = report is None and any(amp.drift for amp in amps)
    word = "includes" if drift else "does not include"
    lines.append(f"BLEVCORR {word} correction for drift along lines.")
    table = exposure.references.get("OSCNTAB")
    if table is not None:
        lines += ["  Overscan region table:", *table.history()]
