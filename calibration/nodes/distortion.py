"""Where the pixels of an exposure's chips lie on the sky: from its headers, or reference files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.arrays import idc
from calibration.arrays.lookup import Offsets, Table
from calibration.arrays.wcs import Wcs
from calibration.context import Context
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, Header
from calibration.fits.header import parse_value
from calibration.fits.planes import ImageSet
from calibration.instruments import is_performed
from calibration.nodes.best_references import open_reference
from calibration.nodes.exposure import Reference

#: Signs of the model's axes against east and north.
_PARITY = {("ACS", "WFC"): (1.0, -1.0)}
_OTHER_PARITY = (-1.0, 1.0)
#: The chip whose header gives the pointing.
_REFERENCE_CHIP = 2


@dataclass(frozen=True)
class Distortion:
    """One chip's coordinates.

    Parameters
    ----------
    wcs
        Projection with all distortion.
    scale
        Side of an undistorted pixel, degrees: what a flat-fielded pixel's counts refer to.
    source
        In words, for HISTORY.
    """

    wcs: Wcs
    scale: float
    source: str


def chips_of(context: Context, hdus: Sequence[Hdu], sets: Sequence[ImageSet]) -> list[Distortion]:
    """Return the coordinates of an exposure's chips.

    A header with SIP, and tables that are attached to the file, are taken as they are. Otherwise
    IDCTAB, NPOLFILE and D2IMFILE are applied when the primary header names them and DRIZCORR is
    to be performed.

    Raises
    ------
    CalibrationError
        DRIZZLE_ERROR for a WCS that is none, REFERENCE_MISSING, REFERENCE_BAD.
    """
    primary = hdus[0].header
    file = primary.file
    headers = [wcs_of(s.sci.header, f"{file}[SCI,{s.version}]") for s in sets]
    if any(h.sip_a or h.sip_b for h in headers) or not is_performed(primary, "DRIZCORR"):
        return [_attached(hdus, s, w) for s, w in zip(sets, headers, strict=True)]
    models = _models(context, primary, sets, headers)
    prior, detector = (_reference(context, primary, k) for k in ("NPOLFILE", "D2IMFILE"))
    out = []
    for number, (images, header) in enumerate(zip(sets, headers, strict=True)):
        wcs, scale, words = header, header.scale, ["linear WCS of the header"]
        if models is not None:
            pointing, chip_models, name = models
            model = chip_models[number]
            wcs = idc.chip_wcs(pointing, model, _shift(images.sci.header))
            scale, words = model.scale / 3600.0, [f"IDCTAB {name}"]
            if prior is not None and (offsets := _offsets(prior, images)) is not None:
                wcs = replace(wcs, prior=idc.prior_of(model, offsets))
                words.append(f"NPOLFILE {prior.name}")
        if detector is not None and (offsets := _offsets(detector, images)) is not None:
            wcs = replace(wcs, detector=offsets)
            words.append(f"D2IMFILE {detector.name}")
        out.append(Distortion(wcs, scale, ", ".join(words)))
    return out


def wcs_of(header: Header, where: str) -> Wcs:
    """Return a header's WCS with SIP; DRIZZLE_ERROR naming what is wrong."""
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


def _shift(header: Header) -> tuple[float, float]:
    return header.real("LTV1", 0.0), header.real("LTV2", 0.0)


# Tables that are attached to the file (Paper IV: D2IMARR and WCSDVARR extensions).


def _attached(hdus: Sequence[Hdu], images: ImageSet, wcs: Wcs) -> Distortion:
    header = images.sci.header
    words = ["SIP of the header" if wcs.sip_a or wcs.sip_b else "linear WCS of the header"]
    tables: dict[str, Offsets] = {}
    for role, extension, kind, record in (
        ("prior", "WCSDVARR", "CPDIS", "DP"),
        ("detector", "D2IMARR", "D2IMDIS", "D2IM"),
    ):
        pair = []
        for axis in (1, 2):
            table = None
            if header.text(f"{kind}{axis}").upper() == "LOOKUP":
                version = _record(header, f"{record}{axis}", "EXTVER")
                table = _table(_extension(hdus, extension, version, header.file))
            pair.append(table)
        if any(t is not None for t in pair):
            tables[role] = Offsets(*pair)
            words.append(f"{extension} of the file")
    scale = header.real("IDCSCALE", 0.0) / 3600.0 or wcs.scale
    wcs = replace(wcs, prior=tables.get("prior"), detector=tables.get("detector"))
    return Distortion(wcs, scale, ", ".join(words))


def _record(header: Header, key: str, field: str) -> int:
    """Return a field of a record-valued card such as ``DP1 = 'EXTVER: 1'`` (0 when absent)."""
    for card in header.cards:
        if card[:8].rstrip() == key:
            name, _, value = str(parse_value(card)[0]).partition(":")
            if name.strip() == field:
                return int(float(value))
    return 0


def _extension(hdus: Sequence[Hdu], name: str, version: int, file: str) -> Hdu:
    for hdu in hdus:
        if hdu.name == name and hdu.version == version:
            return hdu
    raise CalibrationError(
        ExitCode.DRIZZLE_ERROR,
        f"{file}: the header names {name},{version}, which is not in the file; calibrate it again",
    )


def _table(hdu: Hdu, shift: tuple[float, float] = (0.0, 0.0)) -> Table:
    header = hdu.header
    return Table(
        hdu.image().astype(np.float64),
        (header.real("CRPIX1", 0.0), header.real("CRPIX2", 0.0)),
        (header.real("CRVAL1", 0.0) + shift[0], header.real("CRVAL2", 0.0) + shift[1]),
        (header.real("CDELT1", 1.0), header.real("CDELT2", 1.0)),
    )


# Reference files.


def _reference(context: Context, primary: Header, keyword: str) -> Reference | None:
    opened = open_reference(context, primary, keyword)
    if opened is None:
        return None
    reference = Reference(keyword, *opened)
    return None if reference.is_dummy else reference


def _offsets(reference: Reference, images: ImageSet) -> Offsets | None:
    """Return a chip's tables of an NPOLFILE or D2IMFILE; None for one as large as the image."""
    found = {
        h.name: h
        for h in reference.hdus[1:]
        if h.name in ("DX", "DY") and h.header.integer("CCDCHIP", images.chip) == images.chip
    }
    if not found or (reference.keyword == "NPOLFILE" and len(found) < 2):
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"{reference.keyword} {reference.name} has no DX, DY for chip {images.chip}; choose "
            "another file, or set it to N/A",
        )
    if any(h.shape[0] >= images.sci.shape[0] for h in found.values()):
        return None  # the old form, an image of offsets: stwcs does not apply it either
    pair = [_table(h, _shift(images.sci.header)) if (h := found.get(n)) else None
            for n in ("DX", "DY")]  # fmt: skip
    return Offsets(*pair)


def _models(
    context: Context, primary: Header, sets: Sequence[ImageSet], headers: Sequence[Wcs]
) -> tuple[idc.Pointing, list[idc.Model], str] | None:
    """Return the pointing, each chip's model and the table's name; None without IDCTAB."""
    reference = _reference(context, primary, "IDCTAB")
    if reference is None:
        return None
    roll = primary.get("PA_V3")
    if not isinstance(roll, int | float):
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR,
            f"{primary.file}: PA_V3 is absent, without which IDCTAB cannot be applied; correct "
            "the header, or set IDCTAB to N/A",
        )
    key = (primary.text("INSTRUME").upper(), primary.text("DETECTOR").upper())
    rows = reference.rows()
    models = [
        _model(reference, rows, primary, images.chip, headers[i].scale * 3600.0)
        for i, images in enumerate(sets)
    ]
    first = next((i for i, s in enumerate(sets) if s.chip == _REFERENCE_CHIP), 0)
    pointing = idc.Pointing(
        headers[first],
        models[first],
        _PARITY.get(key, _OTHER_PARITY),
        float(roll),
        sets[first].sci.header.real("VAFACTOR", 1.0),
    )
    return pointing, models, reference.name


def _model(
    reference: Reference,
    rows: Sequence[dict[str, Any]],
    primary: Header,
    chip: int,
    scale: float,
) -> idc.Model:
    header = reference.hdus[0].header
    row = choose_row(rows, primary, chip)
    if row is None:
        names = " ".join(primary.text(k) for k in ("FILTER1", "FILTER2", "FILTER")).split()
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"IDCTAB {reference.name} has no row for chip {chip} and {', '.join(names)}; choose "
            "another file, or set IDCTAB to N/A",
        )
    try:
        model = idc.model_of(row, header.integer("NORDER", 3))
        if primary.text("DETECTOR").upper() == "WFC":
            terms = {k: header.get(k) for k in header if k.startswith("TDD")}
            model = idc.at_time(model, terms, chip, _year(primary), scale)
    except (KeyError, TypeError, ValueError) as error:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD,
            f"IDCTAB {reference.name}: {error!r}; choose another file",
        ) from error
    return model


def choose_row(rows: Sequence[dict[str, Any]], primary: Header, chip: int) -> dict[str, Any] | None:
    """Return the first row for a chip and its filters, detector to sky; all CLEARs are equal."""

    def plain(name: object) -> str:
        text = str(name).strip().upper()
        return "CLEAR" if text.startswith("CLEAR") or not text else text

    wanted = {k: plain(primary.get(k, "")) for k in ("FILTER", "FILTER1", "FILTER2")}
    for row in rows:
        if str(row.get("DIRECTION", "FORWARD")).strip().upper() != "FORWARD":
            continue
        if int(row.get("DETCHIP", -999)) not in (chip, -999):
            continue
        if all(plain(row[k]) == name for k, name in wanted.items() if k in row):
            return row
    return None


def _year(primary: Header) -> float:
    """Return the date of an exposure as a decimal year, as STScI's tools reckon it."""
    text = primary.text("DATE-OBS")
    try:
        day = np.datetime64(text[:10], "D")
        start = np.datetime64(text[:4], "Y")
        number = int((day - start.astype("datetime64[D]")).astype(int)) + 1
        return int(text[:4]) + number / 365.25
    except ValueError:
        raise CalibrationError(
            ExitCode.DRIZZLE_ERROR,
            f"{primary.file}: DATE-OBS = {text!r} is not a date; correct the header",
        ) from None
