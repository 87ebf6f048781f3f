"""Headers, extensions and trailer of the files that CA writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.algorithm import KEYWORD, record_algorithm
from calibration.arrays.chip import Chip, Result
from calibration.arrays.statistics import statistics
from calibration.context import Context, step
from calibration.fits import Hdu, Header, image_hdu, write
from calibration.fits.files import temporary
from calibration.fits.planes import ImageSet
from calibration.instruments import ANY_STEP
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
    record_algorithm(out, exposure.context.algorithm)
    for switch, state in exposure.states.items():
        out.set(switch, state)
    for item in chips:
        for amp in item.where.amps:
            ending, gain = amp.name, f"ATODGN{amp.name}"
            if exposure.detector.order == "counts":
                ending, gain = "", "ATODGAIN"
            out.set(gain, header_float(amp.gain))
            out.set(f"READNSE{ending}", header_float(amp.read_noise))
            if amp.name in item.result.levels and ending:
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
        # WFC3's post-flash is subtracted before this state, that of ACS after it.
        later: tuple[str, ...] = ("DARKCORR", "FLATCORR", "SHADCORR", "PHOTCORR", "FLUXCORR")
        if exposure.detector.order == "electrons":
            later = (*later, "FLSHCORR")
        for switch in later:
            if switch in exposure.states:
                primary.set(switch, "PERFORM")
    hdus = [image_hdu(primary, None, primary=True)]
    for item in chips:
        hdus += extensions(exposure, item, before=before, consume=consume)
    write(path, hdus)
    step(f"CA {path.name} written")


def extensions(
    exposure: Exposure, item: Calibrated, *, before: bool, consume: bool = True
) -> list[Hdu]:
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
    unit = unit_of(exposure, before=before)
    good = (arrays[2] & item.chip.serious) == 0
    values = statistics(arrays[0], arrays[1], good)
    set_statistics(headers[0], values, SCI_STATISTICS)
    errors = statistics(arrays[1], None, good)
    set_statistics(headers[1], errors, SCI_STATISTICS[:4])
    for header in headers[:2]:
        header.set("BUNIT", unit)
    levels = list(result.levels.values())
    if levels:
        mean = result.mean_level
        mean = sum(levels) / len(levels) if mean is None else mean
        headers[0].set("MEANBLEV", header_float(mean))
    if not before and item.chip.dark is not None:
        headers[0].set("MEANDARK", header_float(result.mean_dark))
    if not before and result.mean_flash is not None:
        headers[0].set("MEANFLSH", header_float(result.mean_flash))
    return [image_hdu(h, a, consume=consume) for h, a in zip(headers, arrays, strict=True)]


def unit_of(exposure: Exposure, *, before: bool = False) -> str:
    """Return BUNIT of the product, or of the state `before` dark and flat."""
    if exposure.detector.order == "electrons":
        return "ELECTRONS"
    flat = "FLATCORR" in exposure.states and exposure.states["FLATCORR"] == "COMPLETE"
    is_uvis = exposure.detector.order == "dn"
    return "ELECTRONS" if is_uvis and flat and not before else "COUNTS"


def write_trailer(context: Context, exposure: Exposure) -> None:
    """Write the trailer: one line per fact, in the form that HST's trailers have."""
    save_trailer(context, [f"Input    {exposure.file}", *trailer(exposure)])


def append_trailer(context: Context, exposure: Exposure, branch: str) -> None:
    """Append what was done in another branch of CA, under its name."""
    path = context.folder / f"{context.dataset}.tra"
    save_trailer(context, [*path.read_text().splitlines(), "", f"_{branch}", *trailer(exposure)])


def trailer(exposure: Exposure) -> list[str]:
    """Return the trailer's lines: read-out, then each switch with its references and its end.

    Switches come in the order in which they were done; then those that were off.
    """
    primary = exposure.primary
    lines = [f"{VERSION} {exposure.detector.instrument}"]
    lines.append(f"{KEYWORD:<8} {exposure.context.algorithm!s}")
    for key in ("APERTURE", "FILTER", "FILTER1", "FILTER2", "OPT_ELEM", "DETECTOR"):
        if primary.text(key):
            lines.append(f"{key:<8} {primary.text(key)}")
    lines += _about(exposure, "")
    for switch, state in exposure.states.items():
        lines += ["", f"{switch:<8} PERFORM", *_about(exposure, switch)]
        lines += [line for line in exposure.history if line.startswith(f"{switch} skipped")]
        lines.append(f"{switch:<8} {state}")
    off = [key for key in primary if key.endswith("CORR") and key not in exposure.states]
    lines += ["", *(f"{key:<8} {primary.text(key)}" for key in off if primary.text(key))]
    return lines


def _about(exposure: Exposure, switch: str) -> list[str]:
    """Return what is to be said about a step's references."""
    lines = []
    for keyword, needed_by in exposure.detector.references:
        if keyword in exposure.references and (needed_by or "") in (switch, ANY_STEP):
            if needed_by == ANY_STEP and switch:
                continue
            reference = exposure.references[keyword]
            header = reference.hdus[0].header
            lines.append(f"{keyword:<8} {reference.name}")
            lines.append(f"{keyword:<8} PEDIGREE={header.text('PEDIGREE')}")
            if header.text("DESCRIP"):
                lines.append(f"{keyword:<8} DESCRIP ={header.text('DESCRIP')}")
    return lines


def save_trailer(context: Context, lines: Sequence[str]) -> None:
    """Write ``.tra``; it appears by a rename."""
    path = context.folder / f"{context.dataset}.tra"
    draft = temporary(path)
    draft.write_text("\n".join(lines) + "\n")
    draft.replace(path)
