"""MD: drizzle all chips of all exposures onto one north-up grid: ``_drz``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays.wcs import Wcs, north_up, pixel_map
from calibration.context import Context, step, timed
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, image_hdu, read, write
from calibration.fits.planes import image_sets
from calibration.instruments import detector_of
from calibration.nodes.association import members_of

#: Flags that do not keep a pixel out: hot (the dark took it away), full well, place holder, A-to-D.
_TOLERATED = 16 | 64 | 256 | 2048


@dataclass
class Input:
    """One chip of one exposure."""

    name: str
    header: Header
    sci: Any
    dq: Any
    wcs: Wcs
    exposure_time: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ny, nx = self.sci.shape
        return ny, nx


def run(context: Context) -> None:
    """Combine the dataset's (or the association's members') ``_flt`` files."""
    members = members_of(context)
    first = context.needs("flt", "CA", members[0]) if _has_flt(context, members) else None
    if first is None:
        _explain_nothing_to_do(context, members)
        return
    inputs: list[Input] = []
    primary = Header()
    for member in members:
        path = context.needs("flt", "CA", member)
        hdus = read(path)
        if not inputs:
            primary = hdus[0].header.copy()
        detector = detector_of(hdus[0].header, path.name)
        if not detector.drizzled:
            step(f"MD nothing to do: {detector.instrument}/{detector.name} is not drizzled")
            return
        seconds = hdus[0].header.real("EXPTIME", 0.0)
        for images in image_sets(hdus, path.name):
            inputs.append(
                Input(
                    f"{path.name}[SCI,{images.version}]",
                    images.sci.header,
                    images.sci.image(),
                    images.dq.image() if images.dq else np.zeros(images.sci.shape, np.int16),
                    wcs_of(images.sci.header, f"{path.name}[SCI,{images.version}]"),
                    seconds,
                )
            )
    _write(context, primary, inputs)


def _has_flt(context: Context, members: tuple[str, ...]) -> bool:
    return any(context.product("flt", m).is_file() for m in members)


def _explain_nothing_to_do(context: Context, members: tuple[str, ...]) -> None:
    """End well for COS, which has no image; raise STEP_MISSING for everything else."""
    for member in members:
        path = context.product("qlx", member)
        if path.is_file():
            step(f"MD nothing to do: {path.name} is a spectrum")
            return
    context.needs("flt", "CA", members[0])


def wcs_of(header: Header, where: str) -> Wcs:
    """Return a header's WCS; DRIZZLE_ERROR naming what is wrong."""
    kind = header.text("CTYPE1").upper()
    keys = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
    absent = [k for k in keys if not isinstance(header.get(k), int | float)]
    if absent or not kind.startswith("RA---TAN"):
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR,
            f"{where}: CTYPE1 = {kind!r}, absent: {', '.join(absent) or 'nothing'}; MD needs a "
            "tangential WCS: correct the raw file's header",
        )
    v = {k: header.real(k) for k in keys}
    cd = np.array([[v["CD1_1"], v["CD1_2"]], [v["CD2_1"], v["CD2_2"]]])
    if not abs(np.linalg.det(cd)) > 0:
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR, f"{where}: the CD matrix is singular; correct the header"
        )
    sip = "SIP" in kind
    return Wcs(
        (v["CRPIX1"], v["CRPIX2"]),
        (v["CRVAL1"], v["CRVAL2"]),
        cd,
        _sip(header, "A") if sip else {},
        _sip(header, "B") if sip else {},
    )


def _sip(header: Header, letter: str) -> dict[tuple[int, int], float]:
    order = header.integer(f"{letter}_ORDER", 0)
    return {
        (p, q): float(value)
        for p in range(order + 1)
        for q in range(order + 1 - p)
        if (value := header.get(f"{letter}_{p}_{q}")) is not None
    }


def _combine(inputs: list[Input], grid: Wcs, shape: tuple[int, int]) -> Any:
    from drizzle.resample import Drizzle

    total = Drizzle(kernel="square", out_shape=shape, fillval="NaN", max_ctx_id=len(inputs) - 1)
    for item in inputs:
        if item.exposure_time <= 0:
            raise CalibrationError(
                ExitCode.DRIZZLE_ERROR, f"{item.name}: EXPTIME = 0; leave it out of the association"
            )
        serious = item.header.integer("SDQFLAGS", 31743) & ~_TOLERATED
        weight = np.where(item.dq & serious, 0.0, item.exposure_time).astype(np.float32)
        with timed(f"MD {item.name}"):
            total.add_image(
                item.sci / np.float32(item.exposure_time),
                exptime=item.exposure_time,
                pixmap=pixel_map(item.wcs, grid, item.shape),
                weight_map=weight,
                pixfrac=1.0,
                in_units="cps",
            )
    return total


def _write(context: Context, primary: Header, inputs: list[Input]) -> None:
    grid, shape = north_up([(i.wcs, i.shape) for i in inputs], inputs[0].wcs.scale)
    if shape[0] * shape[1] > 12 * sum(i.sci.size for i in inputs):
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR,
            f"the exposures lie too far apart for one image ({shape[1]} x {shape[0]} pixels); "
            "check CRVAL1, CRVAL2 of the members",
        )
    total = _combine(inputs, grid, shape)
    path = context.product("drz")
    path.parent.mkdir(parents=True, exist_ok=True)
    primary.set("FILENAME", path.name)
    primary.set("ROOTNAME", context.dataset)
    primary.set("NEXTEND", 3)
    primary.set("NDRIZIM", len(inputs), "number of drizzled chips")
    times = {i.name.partition("[")[0]: i.exposure_time for i in inputs}
    primary.set("EXPTIME", sum(times.values()))
    if "DRIZCORR" in primary:
        primary.set("DRIZCORR", "COMPLETE")
    primary.history("MD: drizzle, square kernel, pixfrac 1, north up, weight by exposure time")
    primary.history(*(f"  {i.name} {i.exposure_time:g} s" for i in inputs))
    sci = _grid_header(inputs[0].header, grid, "SCI", "ELECTRONS/S")
    weight = _grid_header(inputs[0].header, grid, "WHT", "UNITLESS")
    context_header = _grid_header(inputs[0].header, grid, "CTX", "UNITLESS")
    ctx = total.out_ctx if total.out_ctx.ndim == 2 else total.out_ctx[0]
    write(
        path,
        [
            image_hdu(primary, None, primary=True),
            image_hdu(sci, total.out_img),
            image_hdu(weight, total.out_wht),
            image_hdu(context_header, ctx),
        ],
    )
    step(f"MD {path.name} written: {shape[1]} x {shape[0]} pixels")


def _grid_header(header: Header, grid: Wcs, name: str, unit: str) -> Header:
    out = header.copy()
    sip = [k for k in out if k[:2] in ("A_", "B_") or k[:3] in ("AP_", "BP_")]
    out.remove("CCDCHIP", "LTV1", "LTV2", "SDQFLAGS", *sip)
    out.set("EXTNAME", name)
    out.set("EXTVER", 1)
    out.set("BUNIT", unit)
    out.set("CTYPE1", "RA---TAN")
    out.set("CTYPE2", "DEC--TAN")
    for axis in (1, 2):
        out.set(f"CRPIX{axis}", grid.crpix[axis - 1])
        out.set(f"CRVAL{axis}", grid.crval[axis - 1])
        for other in (1, 2):
            out.set(f"CD{axis}_{other}", float(grid.cd[axis - 1, other - 1]))
    out.set("ORIENTAT", 0.0)
    return out
