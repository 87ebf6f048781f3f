"""CA: raw exposure to calibrated ``_flt`` (and ``_blv_tmp`` for a CR-split association).

With PCTECORR a second branch makes ``_flc`` (and ``_blc_tmp``): `charge_transfer`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibration.arrays.chip import Chip, mean_gain
from calibration.arrays.dark_flat import mean_of_good
from calibration.arrays.kernel import calibrate
from calibration.arrays.overscan import NoOverscan
from calibration.context import Context, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.fits.planes import ImageSet
from calibration.instruments import detector_of, is_performed
from calibration.nodes import charge_transfer
from calibration.nodes.exposure import Exposure, make_chip, open_exposure
from calibration.nodes.photometry import photometry
from calibration.nodes.products import Calibrated, write_product, write_trailer


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
    keep = detector.order == "electrons" and is_performed(hdus[0].header, "CRCORR")
    branches = charge_transfer.is_wanted(exposure)
    chips = [_calibrate(exposure, images, keep or branches) for images in exposure.sets]
    _tell_first(exposure, chips[0].chip)
    branch = _split(exposure) if branches else None
    _tell_second(exposure, chips[0].chip)
    if keep:
        write_product(context, exposure, chips, "blv_tmp", consume=branch is None)
    photometry(exposure, [c.images for c in chips])
    write_product(context, exposure, chips, "flt")
    write_trailer(context, exposure)
    if branch is not None:
        for item in chips:  # written: their memory is wanted now
            item.result.sci = item.result.err = item.result.dq = np.empty((0, 0))
        charge_transfer.make_branch(context, branch, chips, keep=keep)
        write_trailer(context, branch, "flc")
    else:
        charge_transfer.remove_products(context)


def _split(exposure: Exposure) -> Exposure:
    """Return the exposure as it is now, for the branch with CTE correction."""
    branch = replace(
        exposure,
        primary=exposure.primary.copy(),
        states=dict(exposure.states),
        history=list(exposure.history),
    )
    exposure.states[charge_transfer.SWITCH] = "OMIT"
    return branch


def _calibrate(exposure: Exposure, images: ImageSet, keep: bool) -> Calibrated:
    chip, where = make_chip(exposure, images)
    with timed(f"CA SCI,{images.version} amps {''.join(a.name for a in where.amps)}"):
        try:
            result = calibrate(chip, keep_before=keep, after_rows=exposure.release)
        except NoOverscan as error:
            raise CalibrationError(
                ExitCode.CALIBRATION_ERROR,
                f"{exposure.file}: SCI,{images.version}: BLEVCORR: {error}; check the raw pixels "
                "and OSCNTAB",
            ) from error
    if exposure.detector.order == "dn" and chip.flat is not None:
        gain = np.float32(mean_gain(chip))
        result.sci *= gain
        result.err *= gain
    if chip.dark is not None:
        result.mean_dark = mean_of_good(chip.dark, chip.dark_time, chip.serious)
    return Calibrated(images, where, chip, result)


def _tell_first(exposure: Exposure, chip: Chip) -> None:
    """Note in states and history what the kernel did before dark and flat."""
    references = exposure.references
    exposure.history += ["CCD parameters table:", *references["CCDTAB"].history()]
    if is_performed(exposure.primary, "DQICORR"):
        table = references.get("BPIXTAB")
        exposure.done(
            "DQICORR", "  values checked for saturation", *(table.history() if table else [])
        )
    if chip.bias is not None:
        exposure.done("BIASCORR", *references["BIASFILE"].history())
    if chip.subtract_level:
        table = references.get("OSCNTAB")
        exposure.done("BLEVCORR", *(table.history() if table else []))
        if _is_post_repair(exposure):
            exposure.history.append(
                "BLEVCORR by the classic fit: bias shift, cross talk and stripes not corrected"
            )
    exposure.history.append("Uncertainty array initialized.")


def _tell_second(exposure: Exposure, chip: Chip) -> None:
    """Note dark and flat."""
    references = exposure.references
    if chip.dark is not None:
        exposure.done("DARKCORR", *references["DARKFILE"].history())
    if chip.flat is not None:
        exposure.done("FLATCORR", *references["PFLTFILE"].history())


def _is_post_repair(exposure: Exposure) -> bool:
    """Whether this WFC exposure was read by the electronics of the 2009 repair."""
    return exposure.detector.name == "WFC" and exposure.primary.real("EXPSTART", 0.0) >= 54962
