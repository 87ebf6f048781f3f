"""CRCOMB: the members of a CR-split association into one ``_crj`` free of cosmic rays.

Exposures with CTE correction make a ``_crc`` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays.chip import Result
from calibration.arrays.crrej import Combined, Member, Parameters, combine
from calibration.arrays.dark_flat import dark_and_flat
from calibration.arrays.dq import COSMIC_RAY
from calibration.arrays.statistics import statistics
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, image_hdu, read, write
from calibration.fits.planes import ImageSet, image_sets
from calibration.fits.tables import read_columns
from calibration.instruments import detector_of, is_performed
from calibration.nodes.association import members_of, table_path
from calibration.nodes.best_references import open_reference
from calibration.nodes.exposure import (
    Exposure,
    Reference,
    header_float,
    open_exposure,
    reference_image,
    set_statistics,
)
from calibration.nodes.photometry import photometry
from calibration.nodes.products import SCI_STATISTICS
from calibration.nodes.to_fits import copy_unpacked
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
    if not any(_is_split(context, name) for name in members):
        step("CRCOMB nothing to do: CRCORR is not PERFORM in any exposure")
        return
    _combine(context, members, PLAIN)
    with_cte = [context.product(CTE.before, name).is_file() for name in members]
    if all(with_cte):
        _combine(context, members, CTE)
    elif any(with_cte):
        step(f"CRCOMB no _{CTE.total}: PCTECORR is not PERFORM in every exposure")


def _combine(context: Context, members: Sequence[str], branch: Branch) -> None:
    """Combine one branch of the members' calibration."""
    inputs = [_open(context, name, branch) for name in members]
    _check(inputs)
    parameters = _parameters(context, inputs)
    exposure = open_exposure(
        context, inputs[0].file, inputs[0].hdus, detector_of(inputs[0].primary, inputs[0].file)
    )
    results = []
    for number in range(len(inputs[0].sets)):
        with timed(f"CRCOMB SCI,{number + 1} of {len(inputs)} exposures"):
            results.append(combine([_member(i, number) for i in inputs], parameters))
    for index, item in enumerate(inputs):
        _flag_rays(context, item, [r.rays[index] for r in results], branch)
    _write(context, exposure, inputs, results, parameters, branch=branch)


def _is_split(context: Context, name: str) -> bool:
    """Whether an exposure is to be combined (a dithered one is not: MD does that)."""
    path = context.needs("flt", "CA", name)
    return is_performed(read(path, headers_only=True)[0].header, "CRCORR")


def _open(context: Context, name: str, branch: Branch) -> Input:
    path = context.needs(branch.before, "CA (with CRCORR = PERFORM)", name)
    hdus = read(path)
    return Input(name, path.name, hdus, image_sets(hdus, path.name))


def _check(inputs: Sequence[Input]) -> None:
    first = inputs[0]
    for item in inputs:
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


def _member(item: Input, number: int) -> Member:
    images = item.sets[number]
    err = images.err.image() if images.err else np.zeros(images.sci.shape, np.float32)
    dq = images.dq.image() if images.dq else np.zeros(images.sci.shape, np.int16)
    return Member(images.sci.image(), err, dq, item.time)


def choose_row(rows: Sequence[Mapping[str, Any]], count: int, mean: float) -> Mapping[str, Any]:
    """Return the CRREJTAB row for `count` exposures of `mean` seconds."""
    split = min(count, max(int(row["CRSPLIT"]) for row in rows))
    fitting = [r for r in rows if int(r["CRSPLIT"]) == split and float(r["MEANEXP"]) >= mean]
    if not fitting:
        raise LookupError(f"no row for CRSPLIT {split} and a mean exposure of {mean:g} s")
    return min(fitting, key=lambda row: float(row["MEANEXP"]))


def _parameters(context: Context, inputs: Sequence[Input]) -> Parameters:
    opened = open_reference(context, inputs[0].primary, "CRREJTAB")
    if opened is None:
        raise CalibrationError(
            ExitCode.REFERENCE_MISSING,
            f"{inputs[0].file}: CRREJTAB names no file; set CRCORR to PERFORM, then run RF again",
        )
    table = Reference("CRREJTAB", *opened)
    mean = sum(item.time for item in inputs) / len(inputs)
    try:
        row = choose_row(table.rows(), len(inputs), mean)
        return Parameters(
            sigmas=tuple(float(s) for s in str(row["CRSIGMAS"]).split(",")),
            radius=float(row["CRRADIUS"]),
            threshold=float(row["CRTHRESH"]),
            scale_noise=float(row["SCALENSE"]),
            bad_input=int(row["BADINPDQ"]),
            initial=str(row["INITGUES"]).strip(),
            sky=str(row["SKYSUB"]).strip(),
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
        position = hdus.index(images.dq)
        hdus[position] = image_hdu(images.dq.header, dq)
        flagged += int(hit.sum())
    write(path, hdus)
    step(f"CRCOMB {path.name}: {flagged} pixels hit by cosmic rays")


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
    for switch, reference in (("DARKCORR", dark), ("FLATCORR", flat)):
        if reference is not None:
            exposure.done(switch, *reference.history())
    photometry(exposure, exposure.sets)
    context.folder.mkdir(parents=True, exist_ok=True)
    path = context.product(branch.total)
    hdus = [image_hdu(_primary(context, exposure, inputs, results, parameters), None, primary=True)]
    for images, combined in zip(exposure.sets, results, strict=True):
        shape: Any = images.sci.shape
        result = dark_and_flat(
            (combined.sci, combined.err, combined.dq),
            reference_image(dark, images.chip, shape),
            dark_time,
            reference_image(flat, images.chip, shape),
        )
        hdus += _extensions(images, result, len(inputs))
    hdus[0].header.set("FILENAME", path.name)
    hdus[0].header.set("EXPTIME", times)
    hdus[0].header.set("DARKTIME", header_float(dark_time))
    write(path, hdus)
    step(f"CRCOMB {path.name} written")


def _extensions(images: ImageSet, result: Result, count: int) -> list[Hdu]:
    headers = [h.header.copy() if h else Header() for h in (images.sci, images.err, images.dq)]
    good = (result.dq & headers[0].integer("SDQFLAGS", 31743)) == 0
    set_statistics(headers[0], statistics(result.sci, result.err, good), SCI_STATISTICS)
    set_statistics(headers[1], statistics(result.err, None, good), SCI_STATISTICS[:4])
    headers[0].set("NCOMBINE", count)
    arrays = (result.sci, result.err, result.dq)
    return [image_hdu(h, a, consume=True) for h, a in zip(headers, arrays, strict=True)]


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
    out.set("CRCORR", "COMPLETE")
    out.set("NEXTEND", 3 * len(results))
    out.set("SKYSUM", header_float(sum(results[0].skies)))
    out.set("REJ_RATE", header_float(sum(r.rejected for r in results) / times))
    for key, value in (
        ("INITGUES", parameters.initial), ("SKYSUB", parameters.sky),
        ("CRSIGMAS", ",".join(f"{s:g}" for s in parameters.sigmas)),
        ("CRRADIUS", header_float(parameters.radius)),
        ("CRTHRESH", header_float(parameters.threshold)),
        ("SCALENSE", header_float(parameters.scale_noise)), ("BADINPDQ", parameters.bad_input),
        ("CRMASK", True), ("MEANEXP", header_float(times / len(inputs))),
    ):  # fmt: skip
        out.set(key, value)
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


def update_table(context: Context) -> None:
    """Mark the products in the association table as present; nothing to do without a table."""
    name = f"{context.dataset}_asn.fits"
    source = table_path(context)
    if source is None:
        return
    hdus = read(source)
    if context.first_of(("crj", "drz")) is None:  # exposures side by side, nothing combined
        context.folder.mkdir(parents=True, exist_ok=True)
        copy_unpacked(source, context.folder / name)
        return
    rows = np.array(read_columns(hdus[1]))
    products = np.char.startswith(np.char.upper(rows["MEMTYPE"].astype(str)), "PROD")
    rows["MEMPRSNT"] = np.where(products, b"T", rows["MEMPRSNT"])
    hdus[0].header.set("ASN_PROD", True)
    hdus[1] = Hdu(hdus[1].header, memoryview(rows.tobytes()))
    context.folder.mkdir(parents=True, exist_ok=True)
    write(context.folder / name, hdus)
    step(f"AC {name}: {int(products.sum())} products marked present")
