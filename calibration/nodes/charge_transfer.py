"""PCTECORR: the branch of CA that ends in ``_flc``.

The branch starts from the state before dark and flat. What it changes is kept as ``_blc_tmp`` for
CR-split exposures, and gets its own dark, DRKCFILE, which was corrected in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from calibration.arrays.chip import Amp
from calibration.arrays.cte_restore import Quadrant, correct
from calibration.arrays.dark_flat import dark_and_flat, mean_of_good
from calibration.context import Context, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.instruments import is_performed
from calibration.instruments.read_out import as_read, as_shifted
from calibration.nodes.exposure import Exposure, Reference, reference_image
from calibration.nodes.photometry import photometry
from calibration.nodes.products import Calibrated, write_product
from calibration.nodes.trap_table import PARALLEL, SERIAL, TrapSet, read_set

SWITCH = "PCTECORR"


def is_wanted(exposure: Exposure) -> bool:
    """Whether to make the branch; if its switch is on all the same, say why not.

    Raises
    ------
    CalibrationError
        CALIBRATION_ERROR when BLEVCORR is off: charge cannot be told from bias.
    """
    is_acs = exposure.detector.order == "electrons"
    if not is_acs or exposure.primary.text(SWITCH).upper() != "PERFORM":
        return False
    reason = _obstacle(exposure)
    if reason is not None:
        exposure.states[SWITCH] = "OMITTED"
        exposure.note(f"{SWITCH} omitted: {reason}")
        return False
    if exposure.usable(SWITCH, "PCTETAB") is None:
        return False
    if not is_performed(exposure.primary, "BLEVCORR"):
        raise CalibrationError(
            ExitCode.CALIBRATION_ERROR,
            f"{exposure.file}: {SWITCH} = PERFORM but BLEVCORR is not; set BLEVCORR to PERFORM, or "
            f"{SWITCH} to OMIT",
        )
    return True


def _obstacle(exposure: Exposure) -> str | None:
    detector = exposure.detector
    if detector.name != "WFC":
        return f"there is no model of the traps of {detector.instrument}/{detector.name}"
    return "subarrays are not corrected" if exposure.is_subarray else None


def remove_products(context: Context) -> None:
    """Remove what an earlier run with PCTECORR left: the nodes that follow would take it."""
    for suffix in ("flc", "blc_tmp"):
        context.product(suffix).unlink(missing_ok=True)


def make_branch(
    context: Context, exposure: Exposure, chips: list[Calibrated], *, keep: bool
) -> None:
    """Correct the chips' state before dark and flat; write ``_flc``, with `keep` ``_blc_tmp``.

    `exposure` has the states and history of what was done before the branch. The chips' `before`
    is used up.
    """
    table = exposure.references["PCTETAB"]
    parallel = read_set(table, PARALLEL, exposure.primary)
    assert parallel is not None
    serial = _serial(table, exposure)
    for item in chips:
        amps = "".join(amp.name for amp in item.where.amps)
        with timed(f"CA SCI,{item.images.version} {SWITCH} amps {amps}"):
            _correct_chip(item, parallel, serial, table)
    _record(exposure, table, parallel, serial, chips)
    if keep:
        write_product(context, exposure, chips, "blc_tmp", consume=False)
    dark, flat = _second_references(exposure, chips)
    products = [_finish(exposure, item, dark, flat) for item in chips]
    photometry(exposure, [c.images for c in products])
    write_product(context, exposure, products, "flc")


def needs_serial(exposure: Exposure) -> bool:
    """Whether calacs corrects the serial transfer as well: since the repair of 2009."""
    return exposure.is_after_repair


def _serial(table: Reference, exposure: Exposure) -> dict[str, TrapSet]:
    """Return the serial sets by amplifier; none before the repair of 2009 or without them."""
    if not needs_serial(exposure):
        return {}
    sets = {amp: read_set(table, version, exposure.primary) for amp, version in SERIAL.items()}
    return {amp: traps for amp, traps in sets.items() if traps is not None}


def _correct_chip(
    item: Calibrated, parallel: TrapSet, serial: dict[str, TrapSet], table: Reference
) -> None:
    """Replace SCI and ERR of the state before dark and flat by the corrected ones."""
    assert item.result.before is not None
    sci, err, _ = item.result.before
    amps = item.where.amps
    try:
        for amp in amps:
            if amp.name in serial:
                parts = (as_shifted(as_read(a[:, amp.out_x], amp.name)) for a in (sci, err))
                _apply([amp], [tuple(parts)], serial[amp.name])
        views = [tuple(as_read(a[:, amp.out_x], amp.name) for a in (sci, err)) for amp in amps]
        _apply(amps, views, parallel)
    except ValueError as error:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD, f"PCTETAB {table.name}: {error}; choose another file"
        ) from error


def _apply(amps: Sequence[Amp], views: Sequence[tuple[Any, ...]], traps: TrapSet) -> None:
    quadrants = [
        Quadrant(sci, err, traps.density(amp.name, sci.shape), amp.read_noise)
        for amp, (sci, err) in zip(amps, views, strict=True)
    ]
    corrected = correct(quadrants, traps.traps, traps.recipe)
    for (sci, err), (new_sci, new_err) in zip(views, corrected, strict=True):
        sci[:], err[:] = new_sci, new_err


def _record(
    exposure: Exposure,
    table: Reference,
    parallel: TrapSet,
    serial: dict[str, TrapSet],
    chips: list[Calibrated],
) -> None:
    """Put into header and history what was used."""
    header = exposure.primary
    for key in ("CTE_NAME", "CTE_VER"):
        header.set(key, table.hdus[0].header.text(key))
    header.set("PCTEFRAC", parallel.fraction, "CTE scaling factor")
    for key, value in parallel.values.items():
        header.set(key, value)
    names = "".join(sorted(serial))
    noises = [(amp.name, amp.read_noise) for item in chips for amp in item.where.amps]
    exposure.done(
        SWITCH,
        *table.history(),
        f"  serial transfer corrected for amplifiers {names}" if names else "  parallel transfer",
        *(f"  read noise of {amp}: {noise:g} electrons" for amp, noise in noises),
    )


def _second_references(
    exposure: Exposure, chips: Sequence[Calibrated]
) -> tuple[Reference | None, Reference | None]:
    """Return DRKCFILE and the flat, and note what will be done."""
    dark = exposure.usable("DARKCORR", "DRKCFILE")
    flat = exposure.usable("FLATCORR", "PFLTFILE")
    flash = exposure.references["FLSHFILE"] if chips[0].chip.flash is not None else None
    for switch, reference in (("DARKCORR", dark), ("FLSHCORR", flash), ("FLATCORR", flat)):
        if reference is not None:
            exposure.done(switch, *reference.history())
    return dark, flat


def _finish(
    exposure: Exposure, item: Calibrated, dark: Reference | None, flat: Reference | None
) -> Calibrated:
    """Apply dark, post-flash and flat to one chip of the branch."""
    chip, where, old = item.chip, item.where, item.result
    assert old.before is not None
    trim = where.trim_x, where.trim_y
    dark_image = reference_image(dark, item.images, where.shape, trim=trim)
    flat_image = reference_image(flat, item.images, where.shape, trim=trim)
    flash = None if chip.flash is None else (chip.flash, chip.flash_time)
    result = dark_and_flat(old.before, dark_image, exposure.dark_time, flat_image, flash)
    old.before = None
    result.levels, result.mean_level = old.levels, old.mean_level
    result.mean_flash = old.mean_flash
    if dark_image is not None:
        result.mean_dark = mean_of_good(dark_image, exposure.dark_time, chip.serious)
    exposure.release()
    return Calibrated(item.images, where, replace(chip, dark=dark_image), result)
