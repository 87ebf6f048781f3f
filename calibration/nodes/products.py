"""Headers, extensions and trailer of the files that CA writes."""

from __future__ import annotations

from dataclasses import dataclass

from calibration.arrays.chip import Chip, Result
from calibration.arrays.statistics import statistics
from calibration.context import Context, step
from calibration.fits import Hdu, Header, image_hdu, write
from calibration.fits.files import temporary
from calibration.fits.planes import ImageSet
from calibration.instruments.geometry import Geometry
from calibration.nodes.exposure import Exposure, header_float, set_statistics, shift_header
from calibration.software import VERSION

SCI_STATISTICS = (
    "NGOODPIX", "GOODMIN", "GOODMAX", "GOODMEAN", "SNRMIN", "SNRMAX", "SNRMEAN",
)  # fmt: skip
BEFORE_DARK = ("blv_tmp", "blc_tmp")


@dataclass
class Calibrated:
    """One chip's result with its place in the file."""

    images: ImageSet
    where: Geometry
    chip: Chip
    result: Result


def primary_header(exposure: Exposure, file: str, chips: list[Calibrated]) -> Header:
    """Return the product's primary header: switches, amplifier values, HISTORY."""
    out = exposure.primary.copy()
    out.set("FILENAME", file)
    out.set("CAL_VER", VERSION)
    for switch, state in exposure.states.items():
        out.set(switch, state)
    for item in chips:
        for amp in item.where.amps:
            for key, value in (("ATODGN", amp.gain), ("READNSE", amp.read_noise)):
                out.set(f"{key}{amp.name}", header_float(value))
            if amp.name in item.result.levels:
                out.set(f"BIASLEV{amp.name}", header_float(item.result.levels[amp.name]))
    out.set("DARKTIME", header_float(exposure.dark_time))
    out.history(*exposure.history)
    return out


def write_product(
    context: Context,
    exposure: Exposure,
    chips: list[Calibrated],
    suffix: str,
    *,
    consume: bool = True,
) -> None:
    """Write ``_flt``, ``_flc``, or ``_blv_tmp``, ``_blc_tmp``: the state before dark and flat.

    With `consume` the arrays must not be used afterwards.
    """
    before = suffix in BEFORE_DARK
    path = context.product(suffix)
    primary = primary_header(exposure, path.name, chips)
    primary.set("NEXTEND", 3 * len(chips))
    if before:
        for switch in ("DARKCORR", "FLATCORR", "PHOTCORR"):
            if switch in exposure.states:
                primary.set(switch, "PERFORM")
    hdus = [image_hdu(primary, None, primary=True)]
    for item in chips:
        hdus += extensions(exposure, item, before=before, consume=consume)
    write(path, hdus)
    step(f"CA {path.name} written")


def extensions(exposure: Exposure, item: Calibrated, *, before: bool, consume: bool) -> list[Hdu]:
    """Return the SCI, ERR and DQ HDUs of one chip."""
    result = item.result
    arrays = result.before if before else (result.sci, result.err, result.dq)
    assert arrays is not None
    headers = []
    for name, hdu in (("SCI", item.images.sci), ("ERR", item.images.err), ("DQ", item.images.dq)):
        header = shift_header(hdu.header if hdu else Header(), item.where)
        header.set("EXTNAME", name)
        header.set("EXTVER", item.images.version)
        headers.append(header)
    unit = unit_of(exposure)
    good = (arrays[2] & item.chip.serious) == 0
    values = statistics(arrays[0], arrays[1], good)
    set_statistics(headers[0], values, SCI_STATISTICS)
    errors = statistics(arrays[1], None, good)
    set_statistics(headers[1], errors, SCI_STATISTICS[:4])
    for header in headers[:2]:
        header.set("BUNIT", unit)
    levels = list(result.levels.values())
    if levels:
        headers[0].set("MEANBLEV", header_float(sum(levels) / len(levels)))
    if not before and item.chip.dark is not None:
        headers[0].set("MEANDARK", header_float(result.mean_dark))
    return [image_hdu(h, a, consume=consume) for h, a in zip(headers, arrays, strict=True)]


def unit_of(exposure: Exposure) -> str:
    """Return BUNIT of the product."""
    if exposure.detector.order == "electrons":
        return "ELECTRONS"
    flat = "FLATCORR" in exposure.states and exposure.states["FLATCORR"] == "COMPLETE"
    return "ELECTRONS" if exposure.detector.order == "dn" and flat else "COUNTS"


def write_trailer(context: Context, exposure: Exposure, branch: str = "") -> None:
    """Write the trailer: what was done, in words; that of a `branch` is appended."""
    path = context.folder / f"{context.dataset}.tra"
    lines = [f"{VERSION} {exposure.file}", *exposure.history]
    lines += [f"{switch} {state}" for switch, state in sorted(exposure.states.items())]
    if branch:
        lines = [*path.read_text().splitlines(), "", f"_{branch}", *lines]
    draft = temporary(path)
    draft.write_text("\n".join(lines) + "\n")
    draft.replace(path)
