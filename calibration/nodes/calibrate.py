"""CA: raw exposure to calibrated ``_flt`` (and ``_blv_tmp`` for a CR-split association).

With PCTECORR a second branch makes ``_flc`` (and ``_blc_tmp``): `charge_transfer`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.arrays.chip import Chip, Result
from calibration.arrays.dark_flat import mean_of_good
from calibration.arrays.dq import count_bits
from calibration.arrays.kernel import calibrate
from calibration.arrays.overscan import NoOverscan
from calibration.arrays.post_repair import Report
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.fits.planes import ImageSet
from calibration.instruments import ANY_STEP, detector_of, is_performed
from calibration.instruments.data_quality import flag_names
from calibration.instruments.geometry import Geometry
from calibration.nodes import bias_level, charge_transfer
from calibration.nodes.acs_exposure import make_chip
from calibration.nodes.counts_exposure import make_counts_chip
from calibration.nodes.counts_steps import flux_correction, mean_dark, tell_counts
from calibration.nodes.exposure import Exposure, open_exposure
from calibration.nodes.photometry import photometry
from calibration.nodes.products import (
    Calibrated,
    append_trailer,
    write_product,
    write_trailer,
)


def run(context: Context) -> None:
    """Calibrate the dataset's raw file."""
    path = context.raw()
    hdus = read(path)
    detector = detector_of(hdus[0].header, path.name)
    if detector.order == "events":
        from calibration.nodes.cos import run as run_cos

        run_cos(context)
        return
    exposure = open_exposure(context, path.name, hdus, detector)
    keep = _keeps_state(exposure)
    is_acs = detector.order == "electrons"
    make = make_chip if is_acs else make_counts_chip
    branches = charge_transfer.is_wanted(exposure)
    made = [make(exposure, images) for images in exposure.sets]
    report = bias_level.level_after_repair(exposure, [chip for chip, _ in made]) if is_acs else None
    chips = []
    for images, (chip, where) in zip(exposure.sets, made, strict=True):
        chips.append(_calibrate(exposure, images, chip, where, keep or branches))
        if report is not None:
            bias_level.note_levels(report, images.chip, chips[-1].result)
    if is_acs:
        _tell_first(exposure, chips, report)
        branch = _split(exposure) if branches else None
        _tell_second(exposure, chips[0].chip)
    else:
        branch = None
        tell_counts(exposure, chips)
    if keep and detector.order != "counts":  # imsets of one file are combined here
        write_product(context, exposure, chips, "blv_tmp", consume=branch is None)
        if branch is None:
            for item in chips:
                item.result.before = None
    photometry(exposure, [c.images for c in chips])
    flux_correction(exposure, [(c.images, c.result) for c in chips])
    if detector.order == "counts":
        from calibration.nodes.imsets import combine_within

        combine_within(context, exposure, chips)
    write_product(context, exposure, chips, "flt")
    write_trailer(context, exposure)
    if branch is None:
        charge_transfer.remove_products(context)
        return
    for item in chips:  # written: their memory is wanted now
        item.result.sci = item.result.err = item.result.dq = np.empty((0, 0))
    charge_transfer.make_branch(context, branch, chips, keep=keep)
    append_trailer(context, branch, "flc")


def _keeps_state(exposure: Exposure) -> bool:
    """Whether the state before dark and flat is wanted; refuse what has nothing to calibrate."""
    primary, is_counts = exposure.primary, exposure.detector.order == "counts"
    if is_counts and not is_performed(primary, ANY_STEP):
        raise CalibrationError(
            ExitCode.NOT_SUPPORTED,
            f"{exposure.file}: OBSMODE = {primary.text('OBSMODE')!r} and no switch is PERFORM: "
            "calstis has nothing to do with such an image either; set the switches, then run RF",
        )
    keep = is_performed(primary, "CRCORR")
    if keep and is_counts and len(exposure.sets) < 2:
        exposure.skipped("CRCORR", "there is one imset")
        return False
    return keep


def _split(exposure: Exposure) -> Exposure:
    """Return the exposure as it is now, for the branch with CTE correction."""
    branch = replace(
        exposure,
        primary=exposure.primary.copy(),
        references={k: r for k, r in exposure.references.items() if k != "DARKFILE"},
        states=dict(exposure.states),
        history=list(exposure.history),
    )
    exposure.states[charge_transfer.SWITCH] = "OMIT"
    return branch


def _calibrate(
    exposure: Exposure, images: ImageSet, chip: Chip, where: Geometry, keep: bool
) -> Calibrated:
    with timed(f"CA SCI,{images.version} amps {''.join(a.name for a in where.amps)}"):
        try:
            result = calibrate(chip, keep_before=keep, after_rows=exposure.release)
        except NoOverscan as error:
            raise CalibrationError(
                ExitCode.CALIBRATION_ERROR,
                f"{exposure.file}: SCI,{images.version}: BLEVCORR: {error}; check the raw pixels "
                "and OSCNTAB",
            ) from error
    chip.levelled, chip.dq = None, np.empty((0, 0), np.int16)  # used up
    if not chip.electrons:
        result.mean_dark = mean_dark(chip)
    elif chip.dark is not None:
        result.mean_dark = mean_of_good(chip.dark, chip.dark_time, chip.serious, exposure.release)
    if chip.flash is not None:
        result.mean_flash = mean_of_good(
            chip.flash, chip.flash_time, chip.serious, exposure.release
        )
    _tell_flags(exposure, images, result)
    return Calibrated(images, where, chip, result)


def _tell_flags(exposure: Exposure, images: ImageSet, result: Result) -> None:
    """Say how many pixels have which flag."""
    instrument = exposure.detector.instrument
    found = [f"{flag_names(instrument, b)[0]} {n}" for b, n in count_bits(result.dq).items()]
    step(f"CA SCI,{images.version} flags: {', '.join(found) or 'none'}")


def _tell_first(exposure: Exposure, chips: list[Calibrated], report: Report | None) -> None:
    """Note in states and history what the kernel did before dark and flat."""
    references = exposure.references
    chip = chips[0].chip
    if exposure.context.algorithm.corrects:
        exposure.history.append("Algorithm: corrected (known slips of calacs are not reproduced).")
    exposure.history += ["CCD parameters table:", *references["CCDTAB"].history()]
    if is_performed(exposure.primary, "DQICORR"):
        table = references.get("BPIXTAB")
        if table is not None and table.is_dummy:  # calacs looks for saturation all the same
            exposure.states["DQICORR"] = "SKIPPED"
        else:
            exposure.done(
                "DQICORR", "  values checked for saturation", *(table.history() if table else [])
            )
    if chip.bias is not None:
        exposure.done("BIASCORR", *references["BIASFILE"].history())
    if chip.subtract_level:
        bias_level.tell(exposure, [c.chip for c in chips], report)
    exposure.history.append("Uncertainty array initialized.")
    if chip.sinks is not None:
        exposure.done("SINKCORR", *references["SNKCFILE"].history())


def _tell_second(exposure: Exposure, chip: Chip) -> None:
    """Note dark, post-flash and flat."""
    references = exposure.references
    if chip.dark is not None:
        exposure.done("DARKCORR", *references["DARKFILE"].history())
    if chip.flash is not None:
        exposure.done("FLSHCORR", *references["FLSHFILE"].history())
    if chip.flat is not None:
        exposure.done("FLATCORR", *references["PFLTFILE"].history())
    if is_performed(exposure.primary, "EXPSCORR"):  # the exposure's own product, always written
        exposure.states["EXPSCORR"] = "COMPLETE"
