"""MD: drizzle all chips of all exposures onto one north-up grid: ``_drz``, of ``_flc`` ``_drc``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibration.algorithm import KEYWORD, algorithm_of
from calibration.arrays.drizzling import Stack
from calibration.arrays.pixmap import pixel_map
from calibration.arrays.wcs import Wcs, north_up
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import image_hdu, read, write
from calibration.instruments import detector_of
from calibration.nodes import dithers, drizzle_headers
from calibration.nodes.association import exposure_sets, members_of
from calibration.nodes.dithers import Chip, Exposure
from calibration.nodes.drizzle_options import Settings, settings_of

#: Output pixels per input pixel from which the exposures must lie apart by mistake.
_TOO_FAR = 12


def run(context: Context) -> None:
    """Combine the dataset's or its members' ``_flt``; of CR-split sets the ``_crj``."""
    settings = settings_of(context.options)
    exposures = _open(context)
    if not exposures:
        return
    grid, shape = _grid([c for e in exposures for c in e.chips], settings)
    done = dithers.apply_sky(exposures, settings)
    if settings.rays and len(exposures) > 1:
        done += dithers.find_rays(exposures)
    _write(context, exposures, (grid, shape), settings)
    dithers.write_back(context, exposures)
    for words in done:
        step(f"MD {words}")


def _inputs(context: Context) -> list[tuple[str, bool, str]]:
    """Return what is to be drizzled: name, whether it is a sum, and the file's suffix.

    Of a CR-split set its sum when there is one, of all others the exposures. The branch that is
    corrected for charge transfer is taken if it is there for everything.
    """
    members = members_of(context)
    names: dict[str, bool] = {}
    for group in exposure_sets(context):
        if any(context.product(s, group.product).is_file() for s in ("crj", "crc")):
            names[group.product] = True
            members = tuple(m for m in members if m not in group.members)
    names |= dict.fromkeys(members, False)
    kinds = {True: ("crc", "crj"), False: ("flc", "flt")}
    corrected = all(context.product(kinds[s][0], n).is_file() for n, s in names.items())
    return [(n, s, kinds[s][0 if corrected else 1]) for n, s in sorted(names.items())]


def _open(context: Context) -> list[Exposure]:
    """Open what is to be drizzled; nothing for detectors that are not."""
    inputs = _inputs(context)
    if not any(context.product(suffix, name).is_file() for name, _, suffix in inputs):
        _explain_nothing_to_do(context, [name for name, _, _ in inputs])
        return []
    out: list[Exposure] = []
    left_out = []
    for name, is_sum, suffix in inputs:
        path = context.needs(suffix, "CRCOMB" if is_sum else "CA", name)
        hdus = read(path)
        detector = detector_of(hdus[0].header, path.name)
        if not detector.drizzled:
            step(f"MD nothing to do: {detector.instrument}/{detector.name} is not drizzled")
            return []
        if (algorithm := algorithm_of(hdus[0].header)) != context.algorithm:
            raise CalibrationError(
                ExitCode.ASSOCIATION_ERROR,
                f"{path.name}: {KEYWORD} = {algorithm!r}, but this run's algorithm is "
                f"{context.algorithm!s}; calibrate it again",
            )
        if hdus[0].header.real("EXPTIME", 0.0) <= 0:
            left_out.append(path.name)
            continue
        out.append(Exposure.open(context, name, path, hdus))
    if not out:
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR,
            f"{', '.join(left_out)}: EXPTIME = 0; leave it out of the association",
        )
    for name in left_out:
        step(f"MD {name} left out: EXPTIME = 0")
    return out


def _explain_nothing_to_do(context: Context, members: Sequence[str]) -> None:
    """End well for COS, which has no image; raise STEP_MISSING for everything else."""
    for member in members:
        path = context.product("qlx", member)
        if path.is_file():
            step(f"MD nothing to do: {path.name} is a spectrum")
            return
    context.needs("flt", "CA", members[0])


def _grid(chips: Sequence[Chip], settings: Settings) -> tuple[Wcs, tuple[int, int]]:
    scale = settings.scale / 3600.0 if settings.scale else chips[0].scale
    grid, shape = north_up([(c.wcs, c.shape) for c in chips], scale)
    area = (chips[0].scale / scale) ** 2
    if shape[0] * shape[1] > _TOO_FAR * area * sum(c.shape[0] * c.shape[1] for c in chips):
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR,
            f"the exposures lie too far apart for one image ({shape[1]} x {shape[0]} pixels); "
            "check CRVAL1, CRVAL2 of the members",
        )
    return grid, shape


def _combine(chips: Sequence[Chip], grid: Wcs, shape: tuple[int, int], settings: Settings) -> Stack:
    total = Stack(shape, kernel=settings.kernel, pixfrac=settings.pixfrac, images=len(chips))
    for chip in chips:
        with timed(f"MD {chip.name}"):
            total.add(
                chip.rate(),
                chip.weight(by_error=settings.weight == "error"),
                pixel_map(chip.wcs, grid, chip.shape),
                flux_scale=(grid.scale / chip.scale) ** 2,
            )
            chip.release()
    return total


def _write(
    context: Context,
    exposures: Sequence[Exposure],
    where: tuple[Wcs, tuple[int, int]],
    settings: Settings,
) -> None:
    chips = [chip for exposure in exposures for chip in exposure.chips]
    grid, shape = where
    total = _combine(chips, grid, shape, settings)
    corrected = exposures[0].path.stem.endswith(("flc", "crc"))
    path = context.product("drc" if corrected else "drz")
    path.parent.mkdir(parents=True, exist_ok=True)
    primary = drizzle_headers.primary(context.dataset, path.name, exposures, grid, settings)
    image, weight = total.image, total.weight
    planes: Any = total.context[0] if len(total.context) == 1 else total.context
    del total
    parts: list[tuple[str, str, Any]] = [
        ("SCI", chips[0].unit, image),
        ("WHT", "UNITLESS", weight),
        ("CTX", "UNITLESS", planes),
    ]
    hdus = [image_hdu(primary, None, primary=True)]
    for name, unit, array in parts:
        header = drizzle_headers.extension(exposures, grid, name, unit)
        hdus.append(image_hdu(header, np.ascontiguousarray(array), consume=True))
    write(path, hdus)
    step(f"MD {path.name} written: {shape[1]} x {shape[0]} pixels")
