"""What CA notes about the steps of WFC3/UVIS and STIS, and FLUXCORR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.arrays.chip import Chip, Result
from calibration.fits.planes import ImageSet
from calibration.instruments import is_performed
from calibration.nodes.exposure import Exposure, header_float
from calibration.nodes.products import Calibrated


def tell_counts(exposure: Exposure, chips: list[Calibrated]) -> None:
    """Note in states and history what the kernel did, in the order in which it did it."""
    chip, primary = chips[0].chip, exposure.primary
    counts, references = chip.counts, exposure.references
    assert counts is not None

    def about(*keywords: str) -> list[str]:
        return [line for k in keywords if k in references for line in references[k].history()]

    exposure.history += ["CCD parameters table:", *about("CCDTAB")]
    if not counts.stis:
        exposure.history.append("Uncertainty array initialized.")
    if is_performed(primary, "DQICORR"):
        sinks = ("SNKCFILE",) if counts.sink is not None else ()
        wells = ("SATUFILE",) if chip.full_well is not None else ()
        exposure.done(
            "DQICORR", "  values checked for saturation", *about("BPIXTAB", *wells, *sinks)
        )
    if counts.lookup is not None:
        exposure.done("ATODCORR", *about("ATODTAB"))
    if chip.subtract_level:
        _tell_level(exposure, chip, about("OSCNTAB"))
    if counts.stis:
        exposure.history.append("Uncertainty array initialized.")
    if chip.bias is not None:
        exposure.done("BIASCORR", *about("BIASFILE"))
    if counts.flash is not None:
        exposure.done("FLSHCORR", *about("FLSHFILE"))
    if chip.dark is not None:
        factors = {c.chip.counts.dark_factor for c in chips if c.chip.counts is not None} - {1.0}
        scaled = [f"  scaled for temperature by {f:.6g}" for f in sorted(factors)]
        exposure.done("DARKCORR", *about("DARKFILE"), *scaled)
    if chip.flat is not None or counts.flats:
        exposure.done("FLATCORR", *about("PFLTFILE", "DFLTFILE", "LFLTFILE"))
    if counts.shading is not None:
        exposure.done("SHADCORR", *about("SHADFILE"))
    if is_performed(primary, "EXPSCORR"):  # the exposures' own _flt, which are always written
        exposure.states["EXPSCORR"] = "COMPLETE"


def _tell_level(exposure: Exposure, chip: Chip, about: list[str]) -> None:
    drift = any(amp.drift for amp in chip.amps)
    source = "bias level from overscan" if chip.amps[0].overscan else "default bias level"
    exposure.done(
        "BLEVCORR",
        f"  {source} was subtracted,",
        f"  {'with' if drift else 'without'} correction for drift along lines",
        *about,
    )


def mean_dark(chip: Chip) -> float:
    """Return MEANDARK in DN: the mean over good pixels (STIS: the median over unflagged ones)."""
    if chip.dark is None or chip.counts is None:
        return 0.0
    total, weight = 0.0, 0
    for amp in chip.amps:
        scale = chip.counts.dark_factor * chip.dark_time / amp.gain
        flags = np.asarray(chip.dark.dq[:, amp.out_x])
        good = (flags == 0) if chip.counts.stis else (flags & chip.serious) == 0
        values = np.asarray(chip.dark.sci[:, amp.out_x])[good].astype(np.float64)
        if not values.size:
            continue
        middle = float(np.median(values)) if chip.counts.stis else float(values.mean())
        total += middle * scale * values.size
        weight += values.size
    return total / weight if weight else 0.0


def flux_correction(exposure: Exposure, chips: Sequence[tuple[ImageSet, Result]]) -> None:
    """FLUXCORR: bring chip 2 to chip 1's sensitivity, SCI and ERR x PHTFLAM2 / PHTFLAM1.

    Source: hstcal, wf32d (doflux).
    """
    if exposure.detector.order != "dn" or not is_performed(exposure.primary, "FLUXCORR"):
        return
    if exposure.states.get("PHOTCORR") != "COMPLETE" or "PHTFLAM1" not in exposure.primary:
        exposure.skipped("FLUXCORR", "it needs PHOTCORR and an IMPHTTAB with PHTFLAM1, PHTFLAM2")
        return
    first, second = (exposure.primary.real(f"PHTFLAM{n}") for n in (1, 2))
    ratio = second / first
    for images, result in chips:
        images.sci.header.set("PHTRATIO", header_float(ratio), "PHTFLAM2 / PHTFLAM1")
        if images.chip == 2:
            for array in (result.sci, result.err):
                np.multiply(array, ratio, out=array, casting="unsafe", dtype=np.float64)
    exposure.primary.set("PHTRATIO", header_float(ratio), "PHTFLAM2 / PHTFLAM1")
    exposure.done("FLUXCORR", f"  chip 2 multiplied by PHTRATIO = {ratio:.7g}")
