"""CRCOMB: the members of a CR-split association into one ``_crj`` free of cosmic rays.

Exposures with CTE correction make a ``_crc`` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.algorithm import KEYWORD, algorithm_of, record_algorithm
from calibration.arrays.chip import Image, Result
from calibration.arrays.counts import finish
from calibration.arrays.crrej import Combined, Member, Noise, Parameters, combine
from calibration.arrays.dark_flat import dark_and_flat, mean_of_good
from calibration.arrays.dq import ALL_FLAGS, COSMIC_RAY
from calibration.arrays.statistics import statistics
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, image_hdu, read, write
from calibration.fits.planes import ImageSet, image_sets, plane
from calibration.instruments import detector_of, is_performed
from calibration.nodes.association import exposure_sets, members_of
from calibration.nodes.best_references import open_reference
from calibration.nodes.counts_exposure import noise_of, trimmed_chip
from calibration.nodes.counts_steps import flux_correction
from calibration.nodes.exposure import (
    Exposure,
    Reference,
    header_float,
    open_exposure,
    reference_image,
    set_statistics,
)
from calibration.nodes.photometry import photometry
from calibration.nodes.products import SCI_STATISTICS, save_trailer, trailer, unit_of
from calibration.nodes.repeat import combined_extensions, sum_exposures
from calibration.software import VERSION


@dataclass(frozen=True)
class Branch:
    """A branch of CA: suffixes before dark and flat, of the exposure, of the sum; the dark."""

    before: str
    single: str
    total: str
    dark: str


PLAIN = Branch("blv_tmp", "flt", "crj", "DARKFILE")
CTE = Branch("blc_tmp", "flc", "crc", "DRKCFILE")


@dataclass
class Input:
    """One member's file before dark and flat."""

    name: str
    file: str
    hdus: list[Hdu]
    sets: list[ImageSet]

    @property
    def primary(self) -> Header:
        """The primary header."""
        return self.hdus[0].header

    @property
    def time(self) -> float:
        """EXPTIME."""
        return self.primary.real("EXPTIME", 0.0)


def run(context: Context) -> None:
    """Combine, flag the rays in the members' ``_flt``, apply dark and flat to the sum."""
    members = members_of(context)
    if members == (context.dataset,):
        raise CalibrationError(
            ExitCode.ASSOCIATION_ERROR,
            f"{context.dataset} has no members: neither --members nor {context.dataset}_asn.fits "
            f"in {context.incoming} names any",
        )
    groups = exposure_sets(context)
    if not groups:
        step("CRCOMB nothing to do: the association's exposures are dithered, MD combines them")
    for group in groups:
        whole = replace(context, dataset=group.product, members=group.members)
        if group.kind == "RP" and not any(_is_split(context, name) for name in group.members):
            sum_exposures(whole, group.members)
        elif not any(_is_split(context, name) for name in group.members):
            step("CRCOMB nothing to do: CRCORR is not PERFORM in any exposure")
        else:
            _combine_branches(whole, group.members)


def _combine_branches(context: Context, members: Sequence[str]) -> None:
    """Combine one set of exposures, and what CTE correction made of them."""
    _combine(context, members, PLAIN)
    with_cte = [context.product(CTE.before, name).is_file() for name in members]
    if all(with_cte):
        _combine(context, members, CTE)
        return
    context.product(CTE.total).unlink(missing_ok=True)
    if any(with_cte):
        step(f"CRCOMB no _{CTE.total}: PCTECORR is not PERFORM in every exposure")


def _combine(context: Context, members: Sequence[str], branch: Branch) -> None:
    """Combine one branch of the exposures' calibration; the context is the product's."""
    inputs = [_open(context, name, branch) for name in members]
    _check(context, inputs)
    parameters = read_parameters(
        context, inputs[0].primary, inputs[0].file, [item.time for item in inputs]
    )
    exposure = open_exposure(
        context, inputs[0].file, inputs[0].hdus, detector_of(inputs[0].primary, inputs[0].file)
    )
    results = []
    for number in range(len(inputs[0].sets)):
        with timed(f"CRCOMB SCI,{number + 1} of {len(inputs)} exposures"):
            noise = _noise(exposure, number)
            images = [_member(i, number, noise) for i in inputs]
            results.append(combine(images, parameters, lambda: _release(inputs)))
    for index, item in enumerate(inputs if parameters.mark else ()):
        _flag_rays(context, item, [r.rays[index] for r in results], branch)
    for result in results:
        result.rays = []
    _write(context, exposure, inputs, results, parameters, branch=branch)


def _noise(exposure: Exposure, number: int) -> Noise | None:
    """Return wf3rej's noise model; acsrej takes ERR."""
    if exposure.detector.order == "electrons":
        return None
    return noise_of(trimmed_chip(exposure, exposure.sets[number], 0.0))


def _is_split(context: Context, name: str) -> bool:
    """Whether an exposure is to be combined here (STIS has its CR-split imsets in one file)."""
    path = context.needs("flt", "CA", name)
    primary = read(path, headers_only=True)[0].header
    within = detector_of(primary, path.name).order == "counts"
    return not within and is_performed(primary, "CRCORR")


def _open(context: Context, name: str, branch: Branch) -> Input:
    path = context.needs(branch.before, "CA (with CRCORR = PERFORM)", name)
    hdus = read(path)
    return Input(name, path.name, hdus, image_sets(hdus, path.name))


def _check(context: Context, inputs: Sequence[Input]) -> None:
    first = inputs[0]
    for item in inputs:
        if algorithm_of(item.primary) != context.algorithm:
            raise CalibrationError(
                ExitCode.ASSOCIATION_ERROR,
                f"{item.file}: {KEYWORD} = {algorithm_of(item.primary)!r}, but this run's "
                f"algorithm is {context.algorithm!s}; calibrate the member again",
            )
        if item.time <= 0:
            raise CalibrationError(
                ExitCode.ASSOCIATION_ERROR,
                f"{item.file}: EXPTIME = {item.time:g}; leave it out of the association",
            )
        for key in ("INSTRUME", "DETECTOR", "CCDAMP", "CCDGAIN"):
            if item.primary.get(key) != first.primary.get(key):
                raise CalibrationError(
                    ExitCode.ASSOCIATION_ERROR,
                    f"{item.file}: {key} = {item.primary.get(key)!r} but {first.file} has "
                    f"{first.primary.get(key)!r}; they cannot be combined",
                )
        shapes = [s.sci.shape for s in item.sets]
        if shapes != [s.sci.shape for s in first.sets]:
            raise CalibrationError(
                ExitCode.ASSOCIATION_ERROR, f"{item.file} and {first.file} have other shapes"
            )


def _member(item: Input, number: int, noise: Noise | None) -> Member:
    images = item.sets[number]
    shape = images.sci.shape
    return Member(
        images.sci.stored(), plane(images.err, shape), plane(images.dq, shape), item.time, noise
    )


def _release(inputs: Sequence[Input]) -> None:
    for item in inputs:
        item.hdus[-1].release()


def choose_row(rows: Sequence[Mapping[str, Any]], count: int, mean: float) -> Mapping[str, Any]:
    """Return the CRREJTAB row for `count` exposures of `mean` seconds."""
    split = min(count, max(int(row["CRSPLIT"]) for row in rows))
    fitting = [r for r in rows if int(r["CRSPLIT"]) == split and float(r["MEANEXP"]) >= mean]
    if not fitting:
        raise LookupError(f"no row for CRSPLIT {split} and a mean exposure of {mean:g} s")
    return min(fitting, key=lambda row: float(row["MEANEXP"]))


def read_parameters(
    context: Context, primary: Header, file: str, times: Sequence[float]
) -> Parameters:
    """Return the parameters of CRREJTAB for exposures (or imsets) of these times."""
    opened = open_reference(context, primary, "CRREJTAB")
    if opened is None:
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"{file}: CRREJTAB names no file; set CRCORR to PERFORM, then run RF again",
        )
    table = Reference("CRREJTAB", *opened)
    mean = sum(times) / len(times)
    try:
        row = choose_row(table.rows(), len(times), mean)
        return Parameters(
            sigmas=tuple(float(s) for s in str(row["CRSIGMAS"]).split(",")),
            radius=float(row["CRRADIUS"]),
            threshold=float(row["CRTHRESH"]),
            scale_noise=float(row["SCALENSE"]),
            bad_input=int(row["BADINPDQ"]),
            initial=str(row["INITGUES"]).strip(),
            sky=str(row["SKYSUB"]).strip(),
            corrected=context.algorithm.corrects,
            mark=bool(row.get("CRMASK", True)) and row.get("CRMASK") != b"F",
        )
    except (LookupError, ValueError) as error:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD, f"CRREJTAB {table.name}: {error}; choose another file"
        ) from error


def _flag_rays(context: Context, item: Input, rays: Sequence[Any], branch: Branch) -> None:
    """Write the cosmic-ray flag into a member's ``_flt``: set where hit, cleared elsewhere."""
    path = context.product(branch.single, item.name)
    if not path.is_file():
        return
    hdus = read(path)
    flagged = 0
    for images, hit in zip(image_sets(hdus, path.name), rays, strict=True):
        if images.dq is None:
            continue
        dq = images.dq.image() & ~np.int16(COSMIC_RAY) | hit * np.int16(COSMIC_RAY)
        _new_statistics(images, dq)
        position = hdus.index(images.dq)
        hdus[position] = image_hdu(images.dq.header, dq, consume=True)
        flagged += int(hit.sum())
        images.sci.release()
    write(path, hdus)
    step(f"CRCOMB {path.name}: {flagged} pixels hit by cosmic rays")


def _new_statistics(images: ImageSet, dq: NDArray[Any]) -> None:
    """Write the statistics of a member anew: what a ray hit is no good pixel."""
    good = (dq & images.sci.header.integer("SDQFLAGS", ALL_FLAGS)) == 0
    sci, err = images.sci.stored(), plane(images.err, images.sci.shape)
    set_statistics(images.sci.header, statistics(sci, err, good), SCI_STATISTICS)
    if images.err is not None:
        set_statistics(images.err.header, statistics(err, None, good), SCI_STATISTICS[:4])


def _write(
    context: Context,
    exposure: Exposure,
    inputs: Sequence[Input],
    results: Sequence[Combined],
    parameters: Parameters,
    *,
    branch: Branch,
) -> None:
    times = sum(item.time for item in inputs)
    dark_time = sum(i.primary.real("DARKTIME", i.time) for i in inputs)
    dark = exposure.usable("DARKCORR", branch.dark)
    flat = exposure.usable("FLATCORR", "PFLTFILE")
    flash, flash_time = _flash(exposure, inputs)
    steps = (("DARKCORR", dark), ("FLSHCORR", flash), ("FLATCORR", flat))
    for switch, reference in steps:
        if reference is not None:
            exposure.done(switch, *reference.history())
    photometry(exposure, exposure.sets)
    shaped: list[tuple[ImageSet, Result]] = []
    for images, combined in zip(exposure.sets, results, strict=True):
        image = combined.sci, combined.err, combined.dq
        if exposure.detector.order == "electrons":
            shape: Any = images.sci.shape
            flashed = reference_image(flash, images, shape)
            darkness = reference_image(dark, images, shape)
            result = dark_and_flat(
                image,
                darkness,
                dark_time,
                reference_image(flat, images, shape),
                (flashed, flash_time) if flashed else None,
                in_place=True,
            )
            _note_means(exposure, images, (darkness, dark_time), (flashed, flash_time))
        else:
            images.sci.header.set("NCOMBINE", len(inputs))
            result = finish(image, trimmed_chip(exposure, images, times))
        shaped.append((images, result))
    flux_correction(exposure, shaped)
    context.folder.mkdir(parents=True, exist_ok=True)
    path = context.product(branch.total)
    hdus = [image_hdu(_primary(context, exposure, inputs, results, parameters), None, primary=True)]
    for images, result in shaped:
        for header in (h.header for h in (images.sci, images.err) if h is not None):
            header.set("BUNIT", unit_of(exposure))
        hdus += combined_extensions(images, result, len(inputs))
    if flash is not None:
        hdus[0].header.set("FLASHDUR", header_float(flash_time))
    hdus[0].header.set("FILENAME", path.name)
    hdus[0].header.set("EXPTIME", times)
    hdus[0].header.set("DARKTIME", header_float(dark_time))
    write(path, hdus)
    step(f"CRCOMB {path.name} written")
    names = [f"Input    {item.file}" for item in inputs]
    lines = [*names, *trailer(exposure), "CRCORR   COMPLETE"]
    if branch is not PLAIN:
        note = context.folder / f"{context.dataset}.tra"
        lines = [*note.read_text().splitlines(), "", f"_{branch.total}", *lines]
    save_trailer(context, lines)


def _note_means(
    exposure: Exposure,
    images: ImageSet,
    dark: tuple[Image | None, float],
    flash: tuple[Image | None, float],
) -> None:
    """Write MEANDARK and MEANFLSH of the summed exposure."""
    header = images.sci.header
    serious = header.integer("SDQFLAGS", ALL_FLAGS)
    for key, (image, seconds) in (("MEANDARK", dark), ("MEANFLSH", flash)):
        if image is not None:
            mean = mean_of_good(image, seconds, serious, exposure.release)
            header.set(key, header_float(mean))


def set_parameters(out: Header, parameters: Parameters, mean_time: float) -> None:
    """Write how cosmic rays were rejected into a primary header."""
    for key, value in (
        ("INITGUES", parameters.initial), ("SKYSUB", parameters.sky),
        ("CRSIGMAS", ",".join(f"{s:g}" for s in parameters.sigmas)),
        ("CRRADIUS", header_float(parameters.radius)),
        ("CRTHRESH", header_float(parameters.threshold)),
        ("SCALENSE", header_float(parameters.scale_noise)), ("BADINPDQ", parameters.bad_input),
        ("CRMASK", parameters.mark), ("MEANEXP", header_float(mean_time)),
    ):  # fmt: skip
        out.set(key, value)


def _flash(exposure: Exposure, inputs: Sequence[Input]) -> tuple[Reference | None, float]:
    """Return ACS's post-flash image and the seconds of all members (WFC3 has subtracted it)."""
    seconds = sum(item.primary.real("FLASHDUR", 0.0) for item in inputs)
    if exposure.detector.order != "electrons":
        return None, 0.0
    flash = exposure.usable("FLSHCORR", "FLSHFILE")
    if flash is not None and seconds <= 0:
        exposure.skipped("FLSHCORR", "post-flash exposure was 0 seconds")
        return None, 0.0
    return flash, seconds


def _primary(
    context: Context,
    exposure: Exposure,
    inputs: Sequence[Input],
    results: Sequence[Combined],
    parameters: Parameters,
) -> Header:
    out = exposure.primary.copy()
    times = sum(item.time for item in inputs)
    out.set("ROOTNAME", context.dataset)
    out.set("CAL_VER", VERSION)
    record_algorithm(out, context.algorithm)
    out.set("CRCORR", "COMPLETE")
    out.set("NEXTEND", 3 * len(results))
    out.set("SKYSUM", header_float(sum(results[0].skies)))
    out.set("REJ_RATE", header_float(sum(r.rejected for r in results) / times))
    set_parameters(out, parameters, times / len(inputs))
    for key, values in (
        ("EXPSTART", [i.primary.get("EXPSTART") for i in inputs]),
        ("EXPEND", [i.primary.get("EXPEND") for i in inputs]),
    ):
        known = [v for v in values if isinstance(v, float)]
        if known:
            out.set(key, min(known) if key == "EXPSTART" else max(known))
    for switch, state in exposure.states.items():
        out.set(switch, state)
    out.history(*exposure.history, "CRCORR complete ...")
    out.history(*(f"  {item.file} {item.time:g} s" for item in inputs))
    return out
