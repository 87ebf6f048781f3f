"""Simulated raw CCD frames: stars of known flux, sky, dark, cosmic rays, overscan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu, write
from calibration.fits.header import Value
from calibration.simulate import charge_transfer
from calibration.simulate.defects import FULL_WELL, bright_stars, overflow, spoiled
from calibration.simulate.detectors import ChipModel, Model
from calibration.simulate.references import truth

_SWITCHES = ("DQICORR", "BLEVCORR", "BIASCORR", "DARKCORR", "FLATCORR")
_REFERENCES = (
    "BPIXTAB", "CCDTAB", "OSCNTAB", "BIASFILE", "DARKFILE", "PFLTFILE", "SATUFILE", "IMPHTTAB",
    "CRREJTAB", "ATODTAB", "FLSHFILE", "SNKCFILE", "DFLTFILE", "LFLTFILE", "SHADFILE",
    "PCTETAB", "DRKCFILE",
)  # fmt: skip
SKY = 0.05
#: MJD of the first exposure.
START = 53000.5
#: STIS: the detector housing, degrees Celsius, and how the dark grows with it.
TEMPERATURE, DARK_PER_DEGREE = 20.0, 0.07
STAMP = 10
SIGMA = 1.1


@dataclass
class Scene:
    """What is on the sky and what goes wrong, the same for all exposures of an association.

    `saturated` is a number of stars per chip beyond `stars`; with `defects` the pixels that BPIXTAB
    calls bad are bad; with `cte` charge is lost on its way to the amplifiers.
    """

    seconds: float = 300.0
    stars: int = 60
    rays: int = 40
    seed: int = 1
    sky: float = SKY
    saturated: int = 0
    defects: bool = False
    splits: int = 1
    cte: bool = False
    positions: dict[int, Any] = field(default_factory=dict)

    def catalogue(self, model: Model, chip: ChipModel) -> Any:
        """Return the stars of a chip: x, y (0-based, trimmed) and e-/s."""
        random = np.random.default_rng([self.seed, chip.chip])
        x = random.uniform(STAMP + 1, model.width - STAMP - 2, self.stars)
        y = random.uniform(STAMP + 1, model.height - STAMP - 2, self.stars)
        flux = 10 ** random.uniform(0.3, 2.3, self.stars)
        stars = np.column_stack([x, y, flux])
        random = np.random.default_rng([self.seed, chip.chip, 256])
        return np.concatenate([stars, bright_stars(model, self.saturated, self.seconds, random)])


@dataclass(frozen=True)
class Exposed:
    """One chip's frame and its truth; masks have the shape of the product.

    Parameters
    ----------
    counts
        Raw counts, uint16.
    expected
        Electrons that noise is added to, before rays and full wells.
    rays, full, converter
        Where cosmic rays hit, where the full well is reached, where the converter is at its end.
    """

    counts: Any
    expected: Any
    rays: Any
    full: Any
    converter: Any


def light(model: Model, chip: ChipModel, scene: Scene) -> Any:
    """Return the light that a chip detects, e-/s per pixel."""
    image = np.full((model.height, model.width), scene.sky)
    offsets = np.arange(-STAMP, STAMP + 1)
    for x, y, flux in scene.catalogue(model, chip):
        ix, iy = round(x), round(y)
        gx = np.exp(-0.5 * ((offsets + ix - x) / SIGMA) ** 2)
        gy = np.exp(-0.5 * ((offsets + iy - y) / SIGMA) ** 2)
        stamp = gy[:, None] * gx[None, :]
        rows, columns = slice(iy - STAMP, iy + STAMP + 1), slice(ix - STAMP, ix + STAMP + 1)
        image[rows, columns] += flux * stamp / stamp.sum()
    return image * (model.efficiency if chip.chip == 2 else 1.0)


def _rays(image: Any, count: int, random: np.random.Generator) -> Any:
    """Add cosmic rays to an image of electrons; return where they are."""
    hit = np.zeros(image.shape, bool)
    ny, nx = image.shape
    for _ in range(count):
        x, y = random.integers(3, nx - 8), random.integers(3, ny - 8)
        length = int(random.integers(1, 6))
        steps = np.arange(length)
        xs, ys = x + steps, y + np.rint(steps * random.uniform(-1, 1)).astype(int)
        ys = np.clip(ys, 0, ny - 1)
        image[ys, xs] += random.uniform(300, 4000)
        hit[ys, xs] = True
    return hit


def expose(
    model: Model, chip: ChipModel, scene: Scene, exposure: int = 0, *, noise: bool = True
) -> tuple[Any, Any, Any]:
    """Return a chip's raw counts (uint16), the noiseless electrons, and where cosmic rays hit.

    Without `noise` the science area is only rounded to whole DN, which tests of arithmetic want;
    the overscan keeps its noise, without which calacs's clipping would leave no line.
    """
    exposed = exposure_of(model, chip, scene, exposure, noise=noise)
    return exposed.counts, exposed.expected, exposed.rays


def exposure_of(
    model: Model, chip: ChipModel, scene: Scene, exposure: int = 0, *, noise: bool = True
) -> Exposed:
    """Return a chip's frame with all of its truth; see :func:`expose`."""
    random = np.random.default_rng([scene.seed, chip.chip, 7, exposure])
    known = truth(model, chip)
    expected = light(model, chip, scene) * scene.seconds * known.flat
    warmth = 1 + DARK_PER_DEGREE * (TEMPERATURE - 18.0) if model.instrument == "STIS" else 1.0
    expected += known.dark * scene.seconds * warmth
    expected += model.flash * model.flash_time
    electrons = random.poisson(expected).astype(np.float64) if noise else expected.copy()
    hit = _rays(electrons, scene.rays, random)
    if scene.defects:
        spoiled(model, chip, electrons)
    overflow(electrons, FULL_WELL * model.saturation)
    full = electrons > model.saturation
    if scene.cte:
        electrons = charge_transfer.trail(model, chip, electrons, _start_of(scene, exposure))
    ny, nx = model.raw_height(chip), model.raw_width
    counts = np.zeros((ny, nx))
    rows = np.arange(ny)[:, None]
    science = slice(chip.trim_y[0], chip.trim_y[0] + model.height)
    for name in chip.amps:
        amp = model.amps[name]
        raw_x, out_x = model.columns(chip, name)
        part = counts[:, raw_x]
        part += amp.level + amp.slope * rows + known.bias[:, raw_x]
        read_noise = random.normal(0.0, amp.read_noise / amp.gain, part.shape)
        if not noise:
            at = model.science(chip, name)
            read_noise[:, at.start - raw_x.start : at.stop - raw_x.start] = 0.0
        part += read_noise
        counts[science, model.science(chip, name)] += electrons[:, out_x] / amp.gain
    above = np.maximum(counts - model.knee, 0)
    counts += above / model.step - above
    raw = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
    ends = np.zeros_like(full)
    for name in chip.amps:
        _, out_x = model.columns(chip, name)
        ends[:, out_x] = raw[science, model.science(chip, name)] == 65535
    return Exposed(raw, expected, hit, full, ends)


def imsets(model: Model, scene: Scene, exposure: int) -> list[tuple[ChipModel, int]]:
    """Return chip and number of exposure of each EXTVER of a raw file."""
    numbers = range(exposure * scene.splits, (exposure + 1) * scene.splits)
    return [(chip, number) for number in numbers for chip in model.chips]


def raw_file(
    model: Model,
    dataset: str,
    scene: Scene,
    *,
    exposure: int = 0,
    association: str = "",
    exposed: Sequence[Exposed] | None = None,
) -> list[Hdu]:
    """Return the HDUs of a raw file (of frames that were exposed already, if given)."""
    frames = exposed or [
        exposure_of(model, chip, scene, number) for chip, number in imsets(model, scene, exposure)
    ]
    hdus = [image_hdu(_primary(model, dataset, scene, exposure, association), None, primary=True)]
    for version, (chip, number) in enumerate(imsets(model, scene, exposure), 1):
        counts = frames[version - 1].counts
        header = _extension(model, chip, "SCI", version, dataset)
        if model.instrument == "STIS":
            for key, value in _times(scene, number):
                header.set(key, value)
        hdus.append(image_hdu(header, counts))
        for name in ("ERR", "DQ"):
            header = _extension(model, chip, name, version, dataset)
            header.set("NPIX1", counts.shape[1])
            header.set("NPIX2", counts.shape[0])
            header.set("PIXVALUE", 0)
            hdus.append(image_hdu(header, None))
    return hdus


def _start_of(scene: Scene, number: int) -> float:
    """Return EXPSTART, MJD."""
    return START + number * (scene.seconds + 120) / 86400


def _times(scene: Scene, number: int) -> tuple[tuple[str, float], ...]:
    start = _start_of(scene, number)
    end = start + scene.seconds / 86400
    return (
        ("EXPTIME", scene.seconds),
        ("EXPSTART", start),
        ("EXPEND", end),
        ("OCCDHTAV", TEMPERATURE),
    )


def _primary(model: Model, dataset: str, scene: Scene, exposure: int, association: str) -> Header:
    header = Header()
    start = _start_of(scene, exposure)
    cards: tuple[tuple[str, Value], ...] = (
        ("FILENAME", f"{dataset}_raw.fits"), ("FILETYPE", "SCI"), ("TELESCOP", "HST"),
        ("INSTRUME", model.instrument), ("EQUINOX", 2000.0), ("ROOTNAME", dataset),
        ("IMAGETYP", "EXT"), ("TARGNAME", "SIM"), ("RA_TARG", 6.027), ("DEC_TARG", -72.083),
        ("PROPOSID", 9999), ("DATE-OBS", "2003-12-27"), ("TIME-OBS", "12:00:00"),
        ("EXPSTART", start), ("EXPEND", start + scene.seconds / 86400),
        ("EXPTIME", scene.seconds), ("DARKTIME", scene.seconds), ("DETECTOR", model.detector),
        *model.filters.items(), ("CCDAMP", model.read_out), ("CCDGAIN", model.gain),
        ("NEXTEND", 3 * len(model.chips) * scene.splits), *_modes(model, scene),
    )  # fmt: skip
    for key, value in cards:
        header.set(key, value)
    header.set("SIMULATE", "OWL", "simulated exposure")
    for switch in _SWITCHES:
        header.set(switch, "PERFORM")
    header.set("PHOTCORR", "PERFORM" if model.photometry else "OMIT")
    split = association or scene.splits > 1
    header.set("CRCORR", "PERFORM" if split else "OMIT")
    header.set("DRIZCORR", "PERFORM")
    header.set("PCTECORR", "PERFORM" if scene.cte else "OMIT")
    for key in _REFERENCES:
        header.set(key, "N/A")
    header.set("ASN_ID", association.upper() or "NONE")
    header.set("ASN_TAB", f"{association}_asn.fits" if association else "NONE")
    return header


def _modes(model: Model, scene: Scene) -> list[tuple[str, Value]]:
    """Return what only some instruments have in the primary header."""
    out: list[tuple[str, Value]] = []
    if model.step != 1.0:
        out.append(("ATODCORR", "PERFORM"))
    if model.flash:
        out += [("FLSHCORR", "PERFORM"), ("FLASHDUR", model.flash_time), ("FLUXCORR", "PERFORM")]
    if model.instrument == "STIS":
        out += [
            ("OBSMODE", "ACCUM"), ("OBSTYPE", "IMAGING"), ("APERTURE", "50CCD"),
            ("OPT_ELEM", "MIRVIS"), ("CRSPLIT", scene.splits), ("EXPSCORR", "PERFORM"),
            ("TEXPTIME", scene.seconds * scene.splits), ("TEXPSTRT", START),
        ]  # fmt: skip
    return out


def _extension(model: Model, chip: ChipModel, name: str, version: int, dataset: str) -> Header:
    header = Header()
    above = model.height + 30 if chip.chip == 1 and len(model.chips) > 1 else 0
    cd = model.scale
    for key, value in (
        ("EXTNAME", name), ("EXTVER", version), ("ROOTNAME", dataset), ("EXPNAME", dataset),
        ("BUNIT", "COUNTS"), ("WCSAXES", 2), ("CRPIX1", model.width / 2 + model.trim_x),
        ("CRPIX2", model.height / 2 + chip.trim_y[0] - above), ("CRVAL1", 6.027),
        ("CRVAL2", -72.083), ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"),
        ("CD1_1", -cd * 0.8), ("CD1_2", cd * 0.6), ("CD2_1", cd * 0.6), ("CD2_2", cd * 0.8),
        ("LTV1", float(model.trim_x)), ("LTV2", float(chip.trim_y[0])), ("CCDCHIP", chip.chip),
        ("SDQFLAGS", 31743),
    ):  # fmt: skip
        header.set(key, value)
    return header


def member_names(association: str, count: int) -> list[str]:
    """Return names of an association's members."""
    letters = "bcdefghijkmnpqrs"
    if len(association) == 9:
        return [f"{association[:6]}a{letters[i]}q" for i in range(count)]
    return [f"{association}m{i + 1}" for i in range(count)]


def write_association(path: Path, association: str, members: Sequence[str], model: Model) -> None:
    """Write an association table."""
    names = [*members, association]
    header = Header()
    for key, value in (
        ("INSTRUME", model.instrument), ("DETECTOR", model.detector), ("FILENAME", path.name),
        ("FILETYPE", "ASN_TABLE"), ("ASN_ID", association.upper()), ("ROOTNAME", association),
    ):  # fmt: skip
        header.set(key, value)
    header.set("ASN_PROD", False)
    table = table_hdu(
        "ASN",
        [
            Column("MEMNAME", "14A", [n.upper() for n in names]),
            Column("MEMTYPE", "14A", ["EXP-CR1"] * len(members) + ["PROD-CR1"]),
            Column("MEMPRSNT", "L", [True] * len(members) + [False]),
        ],
    )
    write(path, [image_hdu(header, None, primary=True), table])
