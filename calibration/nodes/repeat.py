"""Repeat-observation sums: the exposures of an EXP-RPn set into one ``_sfl``.

Source: hstcal, acssum and wf3sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibration.arrays.chip import Result
from calibration.arrays.dq import ALL_FLAGS
from calibration.arrays.statistics import statistics
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header, image_hdu, read, write
from calibration.fits.planes import ImageSet, image_sets
from calibration.nodes.exposure import set_statistics
from calibration.nodes.products import SCI_STATISTICS, save_trailer
from calibration.software import VERSION

_SAME = ("INSTRUME", "DETECTOR", "CCDAMP", "CCDGAIN", "FILTER", "FILTER1", "FILTER2")


def sum_exposures(context: Context, members: Sequence[str]) -> bool:
    """Write ``_sfl`` from the members' ``_flt``; return whether there was anything to do.

    RPTCORR = PERFORM of the first member switches it on; one exposure is no sum.
    """
    paths = [context.needs("flt", "CA", name) for name in members]
    first = read(paths[0])
    if first[0].header.text("RPTCORR").upper() not in ("PERFORM", "COMPLETE"):
        step(f"CRCOMB nothing to do for {context.dataset}: RPTCORR is not PERFORM")
        return False
    if len(paths) < 2:
        step(f"CRCOMB nothing to do for {context.dataset}: one exposure is no sum")
        return False
    files = [first, *(read(path) for path in paths[1:])]
    _check([path.name for path in paths], files)
    sets = [image_sets(hdus, path.name) for hdus, path in zip(files, paths, strict=True)]
    results = [add([s[n] for s in sets]) for n in range(len(sets[0]))]
    primaries = [hdus[0].header for hdus in files]
    out = primaries[0].copy()
    out.set("EXPTIME", sum(p.real("EXPTIME", 0.0) for p in primaries))
    ends = [p.real("EXPEND") for p in primaries if "EXPEND" in p]
    if ends:
        out.set("EXPEND", max(ends))
    write_sum(context, out, sets[0], results, [path.name for path in paths])
    return True


def _check(names: Sequence[str], files: Sequence[list[Hdu]]) -> None:
    first = files[0]
    for name, hdus in zip(names[1:], files[1:], strict=True):
        for key in _SAME:
            if hdus[0].header.get(key) != first[0].header.get(key):
                raise CalibrationError(
                    ExitCode.ASSOCIATION_ERROR,
                    f"{name}: {key} = {hdus[0].header.get(key)!r} but {names[0]} has "
                    f"{first[0].header.get(key)!r}; they cannot be summed",
                )
        if [h.shape for h in hdus] != [h.shape for h in first]:
            raise CalibrationError(
                ExitCode.ASSOCIATION_ERROR, f"{name} and {names[0]} have other shapes"
            )


def add(sets: Sequence[ImageSet]) -> Result:
    """Return the sum of images: SCI added, ERR in quadrature, DQ OR-ed; float32 in this order."""
    sci, err, dq = (np.array(part) for part in _arrays(sets[0]))
    err *= err
    for images in sets[1:]:
        more, own, flags = _arrays(images)
        sci += more
        err += own * own
        dq |= flags
    return Result(sci, np.sqrt(err), dq)


def _arrays(images: ImageSet) -> tuple[Any, Any, Any]:
    shape = images.sci.shape
    err = images.err.image() if images.err else np.zeros(shape, np.float32)
    dq = images.dq.image() if images.dq else np.zeros(shape, np.int16)
    return images.sci.image(), err, dq


def write_sum(
    context: Context,
    primary: Header,
    sets: Sequence[ImageSet],
    results: Sequence[Result],
    summed: Sequence[str],
) -> None:
    """Write ``_sfl``; `summed` names what was added, `primary` has the times of the whole."""
    path = context.product("sfl")
    context.folder.mkdir(parents=True, exist_ok=True)
    for key, value in (
        ("FILENAME", path.name), ("ROOTNAME", context.dataset), ("CAL_VER", VERSION),
        ("RPTCORR", "COMPLETE"), ("NEXTEND", 3 * len(results)), ("NCOMBINE", len(summed)),
    ):  # fmt: skip
        primary.set(key, value)
    primary.history("RPTCORR complete", *(f"  {name}" for name in summed))
    primary.history("Statistics computed after rptcorr.")
    hdus = [image_hdu(primary, None, primary=True)]
    for images, result in zip(sets, results, strict=True):
        hdus += combined_extensions(images, result, len(summed))
    write(path, hdus)
    if context.dataset not in summed[0]:  # the imsets of one exposure are in its own trailer
        lines = [f"Input    {name}" for name in summed]
        save_trailer(context, [*lines, "RPTCORR  PERFORM", "RPTCORR  COMPLETE"])
    step(f"CRCOMB {path.name} written: the sum of {len(summed)} exposures")


def combined_extensions(images: ImageSet, result: Result, count: int) -> list[Hdu]:
    """Return the extensions of one summed or combined image."""
    headers = [h.header.copy() if h else Header() for h in (images.sci, images.err, images.dq)]
    good = (result.dq & headers[0].integer("SDQFLAGS", ALL_FLAGS)) == 0
    set_statistics(headers[0], statistics(result.sci, result.err, good), SCI_STATISTICS)
    set_statistics(headers[1], statistics(result.err, None, good), SCI_STATISTICS[:4])
    headers[0].set("NCOMBINE", count)
    arrays = (result.sci, result.err, result.dq)
    return [image_hdu(h, a, consume=True) for h, a in zip(headers, arrays, strict=True)]
