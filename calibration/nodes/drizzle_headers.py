"""Headers of MD's product, in the keywords of AstroDrizzle."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.arrays.wcs import Wcs
from calibration.fits import Header
from calibration.fits.header import Value
from calibration.nodes.dithers import Chip, Exposure
from calibration.nodes.drizzle_options import Settings
from calibration.software import VERSION

#: Keywords that describe a chip or its distortion, which the product no longer has.
_CHIP = (
    "CCDCHIP", "LTV1", "LTV2", "SDQFLAGS", "LTM1_1", "LTM2_2", "OCX10", "OCX11", "OCY10", "OCY11",
    "IDCSCALE", "IDCTHETA", "IDCXREF", "IDCYREF", "IDCV2REF", "IDCV3REF", "NGOODPIX", "GOODMIN",
    "GOODMAX", "GOODMEAN", "SOFTERRS", "SNRMIN", "SNRMAX", "SNRMEAN", "NPOLEXT", "D2IMEXT",
    "WCSNAME", "PIXVALUE", "NPIX1", "NPIX2", "D2IMERR1", "D2IMERR2", "CPERR1", "CPERR2", "D2IMDIS1",
    "D2IMDIS2", "CPDIS1", "CPDIS2", "D2IM1", "D2IM2", "DP1", "DP2", "MDRIZSKY", "WCSCDATE",
)  # fmt: skip
_SIP = ("A_", "B_", "AP_", "BP_")
#: Numbered keywords have three digits.
_MOST_RECORDED = 999


def primary(
    dataset: str, file: str, exposures: Sequence[Exposure], grid: Wcs, settings: Settings
) -> Header:
    """Return the product's primary header, from that of the first exposure."""
    first = exposures[0].primary
    out = first.copy()
    chips = [chip for e in exposures for chip in e.chips]
    seconds = sum(e.seconds for e in exposures)
    for key, value in (
        ("FILENAME", file), ("ROOTNAME", dataset), ("NEXTEND", 3), ("CAL_VER", VERSION),
        ("EXPTIME", seconds), ("TEXPTIME", seconds),
    ):  # fmt: skip
        out.set(key, value)
    if len(exposures) > 1:
        out.set("ASN_ID", dataset.upper())
    for key, choose in (("EXPSTART", min), ("EXPEND", max)):
        known = [v for e in exposures if isinstance(v := e.primary.get(key), int | float)]
        if known:
            out.set(key, float(choose(known)))
    if "DRIZCORR" in out:
        out.set("DRIZCORR", "COMPLETE")
    out.set("NDRIZIM", len(chips), "number of images (chips) drizzled")
    for number, chip in enumerate(chips[:_MOST_RECORDED], 1):
        for key, word, comment in _record(chip, file, grid, settings):
            out.set(f"D{number:03d}{key}", word, comment)
    searched = any(c.rays is not None for c in chips)
    out.history(
        f"MD: {settings.kernel} kernel, pixfrac {settings.pixfrac:g}, north up, weight by "
        + ("exposure time" if settings.weight == "exptime" else "inverse variance"),
        f"MD: DQ flags tolerated: {_flags(settings.bits)}",
        "MD: cosmic rays across exposures: "
        + ("median, blot, driz_cr" if searched else "not looked for"),
    )
    for chip in chips:
        out.history(f"  {chip.name} {chip.source}, sky {chip.sky:.6g}")
    return out


def _flags(bits: int) -> str:
    return ", ".join(str(1 << i) for i in range(15) if bits >> i & 1) or "none"


def _record(
    chip: Chip, file: str, grid: Wcs, settings: Settings
) -> tuple[tuple[str, Value, str], ...]:
    return (
        ("VER", VERSION[:60], "software"),
        ("GEOM", "wcs", "source of geometric information"),
        ("DATA", chip.name.replace("SCI", "sci"), "input image"),
        ("DEXP", chip.exposure_time, "exposure time of the input (s)"),
        ("OUDA", f"{file}[SCI,1]", "output image"),
        ("OUWE", f"{file}[WHT,1]", "output weights"),
        ("OUCO", f"{file}[CTX,1]", "output context"),
        ("MASK", "DQ", "input mask"),
        ("WTSC", 1.0, "factor of the weights"),
        ("KERN", settings.kernel, "form of the kernel"),
        ("PIXF", settings.pixfrac, "linear size of a drop"),
        ("COEF", "SIP" if chip.wcs.sip_a else "NONE", "distortion polynomial"),
        ("OUUN", "cps", "unit of the output"),
        ("FVAL", "NaN", "value of pixels without input"),
        ("WKEY", "", "WCS version used"),
        ("SCAL", grid.scale * 3600.0, "pixel size of the output (arcsec)"),
        ("ISCL", chip.scale * 3600.0, "undistorted pixel size of the input (arcsec)"),
    )


def extension(exposures: Sequence[Exposure], grid: Wcs, name: str, unit: str) -> Header:
    """Return the header of the product's SCI, WHT or CTX, from that of the first chip."""
    out = exposures[0].chips[0].images.sci.header.copy()
    sip = [k for k in out if (k.startswith(_SIP) and k[-1:].isdigit()) or k.endswith("_ORDER")]
    alternate = [k for k in out if k[-1:] == "O" and k[:-1] in out]  # the linear WCS kept by stwcs
    out.remove(*_CHIP, *sip, *alternate)
    for key, value in (
        ("EXTNAME", name), ("EXTVER", 1), ("BUNIT", unit), ("CTYPE1", "RA---TAN"),
        ("CTYPE2", "DEC--TAN"),
    ):  # fmt: skip
        out.set(key, value)
    for axis in (1, 2):
        out.set(f"CRPIX{axis}", grid.crpix[axis - 1])
        out.set(f"CRVAL{axis}", grid.crval[axis - 1])
        for other in (1, 2):
            out.set(f"CD{axis}_{other}", float(grid.cd[axis - 1, other - 1]))
    out.set("ORIENTAT", 0.0)
    if "VAFACTOR" in out:
        out.set("VAFACTOR", 1.0)  # taken out with the inputs' scale
    out.set("NCOMBINE", sum(e.chips[0].images.sci.header.integer("NCOMBINE", 1) for e in exposures))
    return out
