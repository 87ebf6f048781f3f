"""The checks of one product: each has a name, and says what is wrong in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from calibration.fits import Hdu, Header, read, read_table
from calibration.fits.files import checksum_faults
from calibration.fits.planes import ImageSet, image_sets
from calibration.instruments import DETECTORS, Detector
from calibration.nodes.pixel_checks import pixel_faults
from calibration.suffixes import BY_SUFFIX, COMBINED, DRIZZLED, SPECTRA

#: Steps that must be done or skipped once CA has ended. CRCORR, RPTCORR, DRIZCORR belong to later
#: nodes, and PCTECORR to the CTE-corrected branch alone.
_STEPS = (
    "DQICORR", "ATODCORR", "BIASCORR", "BLEVCORR", "SINKCORR", "FLSHCORR", "DARKCORR", "FLATCORR",
    "SHADCORR", "PHOTCORR", "FLUXCORR",
)  # fmt: skip
#: The step that makes a product, and must say so.
_MADE_BY = {
    "crj": "CRCORR", "crc": "CRCORR", "drz": "DRIZCORR", "drc": "DRIZCORR", "flc": "PCTECORR",
}  # fmt: skip
_REQUIRED = ("TELESCOP", "INSTRUME", "DETECTOR", "ROOTNAME", "FILENAME", "CAL_VER")
_PHOTOMETRY = ("PHOTFLAM", "PHOTPLAM", "PHOTBW")
#: Raw and trimmed size of a full frame.
_FULL_FRAMES: dict[tuple[str, str], tuple[tuple[int, int], tuple[int, int]]] = {
    ("ACS", "WFC"): ((2068, 4144), (2048, 4096)),
    ("ACS", "HRC"): ((1044, 1062), (1024, 1024)),
    ("WFC3", "UVIS"): ((2070, 4206), (2051, 4096)),
    ("STIS", "CCD"): ((1044, 1062), (1024, 1024)),
}
#: Degrees. The reference pixel may be off the target by a field of view, a parallel exposure's by
#: the distance of two instruments; half a degree is neither.
_NEAR = 0.5


@dataclass
class Product:
    """A product and what it was made of.

    Parameters
    ----------
    path, suffix, dataset
        The file, its kind, and the dataset whose name it must bear.
    hdus
        Its content.
    raws
        Raw files of the exposures in it, as far as they are at hand, by exposure.
    sums
        Exposure -> the combined product that may stand for it among the inputs.
    """

    path: Path
    suffix: str
    dataset: str
    hdus: Sequence[Hdu]
    raws: dict[str, Sequence[Hdu]]
    sums: dict[str, str] = field(default_factory=dict)

    @property
    def primary(self) -> Header:
        """The primary header."""
        return self.hdus[0].header

    @property
    def detector(self) -> Detector | None:
        """The detector, None when the header names none that is known."""
        key = (self.primary.text("INSTRUME").upper(), self.primary.text("DETECTOR").upper())
        return DETECTORS.get(key)

    @property
    def sets(self) -> list[ImageSet]:
        """Its image sets; none of a table."""
        names = {hdu.name for hdu in self.hdus[1:]}
        is_image = self.suffix not in SPECTRA and "SCI" in names
        return image_sets(self.hdus, self.path.name) if is_image else []

    def planes(self) -> Iterator[tuple[str, Hdu]]:
        """Yield the image extensions with what to call them."""
        for images in self.sets:
            for hdu in (images.sci, images.err, images.dq):
                if hdu is not None:
                    yield f"{hdu.name},{images.version}", hdu


def faults_of(product: Product) -> list[str]:
    """Return what is wrong with a product, each with the name of the check that found it.

    A product that is not built as it should be is not looked at further.
    """
    found: list[str] = []
    for group in (_STRUCTURE, _CONTENT):
        for name, check in group.items():
            found += [f"{sentence} [{name}]" for sentence in check(product)]
        if found:
            break
    return found


def _checksum(product: Product) -> Iterator[str]:
    yield from checksum_faults(product.hdus)
    for number, hdu in enumerate(product.hdus):
        for key in ("CHECKSUM", "DATASUM"):
            if key not in hdu.header:
                yield f"HDU {number} has no {key}"


def _names(product: Product) -> Iterator[str]:
    if product.primary.text("FILENAME") != product.path.name:
        yield f"FILENAME = {product.primary.text('FILENAME')!r}"
    if product.primary.text("ROOTNAME").lower() != product.dataset:
        yield f"ROOTNAME = {product.primary.text('ROOTNAME')!r} is not {product.dataset!r}"


def _extensions(product: Product) -> Iterator[str]:
    count = len(product.hdus) - 1
    if product.primary.integer("NEXTEND", count) != count:
        yield f"NEXTEND = {product.primary.get('NEXTEND')} but there are {count}"
    wanted = BY_SUFFIX[product.suffix].extensions
    present = [(hdu.name, hdu.version) for hdu in product.hdus[1:]]
    versions = sorted({v for name, v in present if name == wanted[0]}) or [1]
    chips = _expected_chips(product)
    if chips is not None and len(versions) != chips:
        yield f"{len(versions)} chips, the raw file has {chips}"
    if versions != list(range(1, len(versions) + 1)):
        yield f"EXTVER of {wanted[0]} are {versions}"
    for version in versions:
        for name in wanted:
            if present.count((name, version)) != 1:
                absent = (name, version) not in present
                yield f"extension {name},{version} is {'absent' if absent else 'there twice'}"


def _expected_chips(product: Product) -> int | None:
    if product.suffix in DRIZZLED:
        return 1
    if product.suffix in SPECTRA or not product.raws:
        return None
    if product.suffix in COMBINED and product.primary.text("INSTRUME") == "STIS":
        return 1  # of imsets, which are exposures of the same chip
    first = next(iter(product.raws.values()))
    return sum(hdu.name == "SCI" for hdu in first[1:]) or None


def _shapes(product: Product) -> Iterator[str]:
    for images in product.sets:
        where, shape = f"SCI,{images.version}", images.sci.shape
        if len(shape) != 2 or 0 in shape:
            yield f"{where} is no image (shape {shape})"
            continue
        if product.suffix in DRIZZLED:
            others = [h for h in product.hdus if h.name in ("WHT", "CTX")]
            others = [h for h in others if h.shape[-2:] != shape]
        else:
            others = [h for h in (images.err, images.dq) if h is not None and h.shape != shape]
        for hdu in others:
            yield f"{hdu.name},{images.version} has another shape than {where}"
        yield from _frame_faults(product, images)


def _frame_faults(product: Product, images: ImageSet) -> Iterator[str]:
    """A trimmed frame has the size that its detector and its raw frame leave."""
    if product.suffix in DRIZZLED or not product.raws:
        return
    raw = image_sets(next(iter(product.raws.values())), "raw")
    sizes = [r.sci.shape for r in raw if r.version == images.version]
    where, shape = f"SCI,{images.version}", images.sci.shape
    key = (product.primary.text("INSTRUME").upper(), product.primary.text("DETECTOR").upper())
    full, trimmed = _FULL_FRAMES.get(key, ((0, 0), (0, 0)))
    for size in sizes:
        if size == full and shape != trimmed:
            yield f"{where} has {shape[1]} x {shape[0]} pixels, not {trimmed[1]} x {trimmed[0]}"
        elif any(n > m for n, m in zip(shape, size, strict=True)):
            yield f"{where} is larger than the raw frame"


def _keywords(product: Product) -> Iterator[str]:
    for key in _REQUIRED:
        # calcos writes its own version; the quick look has none.
        if not product.primary.text(key) and not (key == "CAL_VER" and _is_events(product)):
            yield f"{key} is absent"
    if not (product.primary.text("DATE-OBS") or product.primary.text("TDATEOBS")):
        yield "DATE-OBS is absent"


def _is_events(product: Product) -> bool:
    return product.detector is not None and product.detector.order == "events"


def _switches(product: Product) -> Iterator[str]:
    if _is_events(product):
        return
    for key in _STEPS:
        if product.primary.text(key).upper() == "PERFORM":
            yield f"{key} is still PERFORM"
    made_by = _MADE_BY.get(product.suffix)
    if (
        made_by
        and made_by in product.primary
        and product.primary.text(made_by).upper() != "COMPLETE"
    ):
        yield f"{made_by} = {product.primary.text(made_by)} although it made this file"


def _units(product: Product) -> Iterator[str]:
    for images in product.sets if not _is_events(product) else ():
        unit = images.sci.header.text("BUNIT").upper()
        if not unit:
            yield f"SCI,{images.version} has no BUNIT"
            continue
        if images.err is not None and images.err.header.text("BUNIT").upper() != unit:
            yield f"BUNIT of ERR,{images.version} is not that of SCI ({unit})"
        wanted = _unit_of(product)
        if wanted and unit != wanted:
            yield f"BUNIT of SCI,{images.version} is {unit}, not {wanted}"


def _unit_of(product: Product) -> str | None:
    order = product.detector.order if product.detector else ""
    flat = product.primary.text("FLATCORR").upper() == "COMPLETE"
    electrons = order == "electrons" or (order == "dn" and flat)
    if product.suffix in DRIZZLED:
        return "ELECTRONS/S" if electrons else None
    return "ELECTRONS" if electrons else "COUNTS" if order in ("dn", "counts") else None


def _photometry(product: Product) -> Iterator[str]:
    if product.primary.text("PHOTCORR").upper() != "COMPLETE":
        return
    for images in product.sets:
        for key in _PHOTOMETRY:
            value = images.sci.header.get(key, product.primary.get(key))
            if not isinstance(value, int | float) or not math.isfinite(value) or not value > 0:
                yield f"PHOTCORR is COMPLETE but {key} of SCI,{images.version} is {value!r}"


def _wcs(product: Product) -> Iterator[str]:
    places = []
    for where, hdu in product.planes() if not _is_events(product) else ():
        if not hdu.header.text("CTYPE1").upper().startswith("RA"):
            if hdu.name == "SCI" and product.detector is not None and product.detector.drizzled:
                yield f"{where} has no celestial WCS"
            continue  # of a spectroscopic exposure
        keys = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
        values = [hdu.header.get(key) for key in keys]
        bad = [k for k, v in zip(keys, values, strict=True) if not _is_number(v)]
        if bad:
            yield f"{where}: {', '.join(bad)} absent or no number"
            continue
        numbers = [float(v) for v in values if v is not None]
        determinant = numbers[4] * numbers[7] - numbers[5] * numbers[6]
        if not abs(determinant) > 0:
            yield f"{where}: the CD matrix is singular"
        places.append((where, numbers, math.sqrt(abs(determinant))))
    yield from _inconsistent(places)
    target = product.primary.get("RA_TARG"), product.primary.get("DEC_TARG")
    if places and _is_number(target[0]) and _is_number(target[1]):
        where, numbers, _ = places[0]
        away = separation(numbers[2:4], [float(t) for t in target])
        if away > _NEAR:
            yield f"{where}: CRVAL is {away:.2f} degrees from the target"


def _inconsistent(places: list[tuple[str, list[float], float]]) -> Iterator[str]:
    """The planes of one chip have one WCS; chips lie side by side, in one scale."""
    for where, numbers, scale in places[1:]:
        name, first, first_scale = places[0]
        same_chip = where.rpartition(",")[2] == name.rpartition(",")[2]
        if same_chip and numbers != first:
            yield f"{where} has another WCS than {name}"
        elif separation(numbers[2:4], first[2:4]) > _NEAR or not (
            0.9 * first_scale <= scale <= 1.1 * first_scale
        ):
            yield f"{where} and {name} are not parts of one field"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def separation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the angle between two places on the sky; all in degrees."""
    (a1, d1), (a2, d2) = ([math.radians(v) for v in place] for place in (one, other))
    half = math.sin((d2 - d1) / 2) ** 2
    half += math.cos(d1) * math.cos(d2) * math.sin((a2 - a1) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(1.0, half))))


def _times(product: Product) -> Iterator[str]:
    key = "EXPTIME" if "EXPTIME" in product.primary else "TEXPTIME"
    value = product.primary.get(key)
    if value is None and _is_events(product):
        return
    if not _is_number(value) or float(value) < 0:
        yield f"{key} = {value!r} is not a time"
        return
    inputs = [hdus[0].header.get(key) for hdus in product.raws.values()]
    known = [float(v) for v in inputs if _is_number(v)]
    if not known or len(known) != len(inputs) or _is_events(product):
        return
    if not math.isclose(float(value), sum(known), rel_tol=1e-5, abs_tol=1e-3):
        yield f"{key} = {value:g}, the raw files give {sum(known):g}"


def _members(product: Product) -> Iterator[str]:
    """A combination names all that went into it."""
    if len(product.raws) > 1 or product.dataset not in product.raws:
        text = " ".join(card for hdu in product.hdus[:2] for card in hdu.header.cards).lower()
        # a long line of HISTORY goes on in the next card, perhaps in the middle of a name
        text += "".join("".join(h.header.histories()) for h in product.hdus[:2]).lower()
        absent = [n for n in product.raws if n not in text and product.sums.get(n, n) not in text]
        if absent:
            yield f"{', '.join(absent)} is not named among its inputs"


def _pixels(product: Product) -> Iterator[str]:
    weight = next((h for h in product.hdus if h.name == "WHT"), None)
    for images in product.sets:
        yield from pixel_faults(
            # Where calcos counted nothing, its ERR is 0.
            replace(images, err=None) if _is_events(product) else images,
            weight if product.suffix in DRIZZLED else None,
        )


def _spectrum(product: Product) -> Iterator[str]:
    if product.suffix not in SPECTRA:
        return
    rows = read_table(next(h for h in product.hdus if h.name in ("SCI", "SPECTRUM")))
    if not rows:
        yield "the table has no row"
        return
    column = "GROSS" if product.suffix == "qlx" else "FLUX"
    if column not in rows[0]:
        yield f"column {column} is absent"
        return
    values = np.concatenate([np.atleast_1d(row[column]) for row in rows]).astype(np.float64)
    if not np.isfinite(values).all():
        yield f"{column} is not finite everywhere"
    if not values.any():
        yield f"{column} is zero everywhere"


Check = Callable[[Product], Iterator[str]]

_STRUCTURE: dict[str, Check] = {
    "checksum": _checksum, "extensions": _extensions, "shape": _shapes,
}  # fmt: skip
_CONTENT: dict[str, Check] = {
    "name": _names, "keywords": _keywords, "switches": _switches, "units": _units,
    "photometry": _photometry, "wcs": _wcs, "exposure time": _times, "members": _members,
    "pixels": _pixels, "spectrum": _spectrum,
}  # fmt: skip


def open_product(path: Path, suffix: str, dataset: str, raws: dict[str, Path]) -> Product:
    """Read a product and the raw files of its exposures."""
    return Product(path, suffix, dataset, read(path), {n: read(raw) for n, raw in raws.items()})
