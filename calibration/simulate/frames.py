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
from calibration.simulate.detectors import ChipModel, Model
from calibration.simulate.references import truth

_SWITCHES = ("DQICORR", "BLEVCORR", "BIASCORR", "DARKCORR", "FLATCORR")
_REFERENCES = (
    "BPIXTAB", "CCDTAB", "OSCNTAB", "BIASFILE", "DARKFILE", "PFLTFILE", "SATUFILE", "IMPHTTAB",
    "CRREJTAB", "PCTETAB", "DRKCFILE",
)  # fmt: skip
SKY = 0.05
STAMP = 10
SIGMA = 1.1


@dataclass
class Scene:
    """What is on the sky and what goes wrong, the same for all exposures of an association."""

    seconds: float = 300.0
    stars: int = 60
    rays: int = 40
    seed: int = 1
    sky: float = SKY
    cte: bool = False
    positions: dict[int, Any] = field(default_factory=dict)

    def catalogue(self, model: Model, chip: ChipModel) -> Any:
        """Return the stars of a chip: x, y (0-based, trimmed) and e-/s."""
        random = np.random.default_rng([self.seed, chip.chip])
        x = random.uniform(STAMP + 1, model.width - STAMP - 2, self.stars)
        y = random.uniform(STAMP + 1, model.height - STAMP - 2, self.stars)
        flux = 10 ** random.uniform(0.3, 2.3, self.stars)
        return np.column_stack([x, y, flux])


def light(model: Model, chip: ChipModel, scene: Scene) -> Any:
    """Return the light that falls on a chip, e-/s per pixel."""
    image = np.full((model.height, model.width), scene.sky)
    offsets = np.arange(-STAMP, STAMP + 1)
    for x, y, flux in scene.catalogue(model, chip):
        ix, iy = round(x), round(y)
        gx = np.exp(-0.5 * ((offsets + ix - x) / SIGMA) ** 2)
        gy = np.exp(-0.5 * ((offsets + iy - y) / SIGMA) ** 2)
        stamp = gy[:, None] * gx[None, :]
        rows, columns = slice(iy - STAMP, iy + STAMP + 1), slice(ix - STAMP, ix + STAMP + 1)
        image[rows, columns] += flux * stamp / stamp.sum()
    return image


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
    random = np.random.default_rng([scene.seed, chip.chip, 7, exposure])
    known = truth(model, chip)
    expected = light(model, chip, scene) * scene.seconds * known.flat + known.dark * scene.seconds
    electrons = random.poisson(expected).astype(np.float64) if noise else expected.copy()
    hit = _rays(electrons, scene.rays, random)
    if scene.cte:
        electrons = charge_transfer.trail(model, chip, electrons, start_of(scene, exposure))
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
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16), expected, hit


def raw_file(
    model: Model, dataset: str, scene: Scene, *, exposure: int = 0, association: str = ""
) -> list[Hdu]:
    """Return the HDUs of a raw file."""
    hdus = [image_hdu(_primary(model, dataset, scene, exposure, association), None, primary=True)]
    for version, chip in enumerate(model.chips, 1):
        counts, _, _ = expose(model, chip, scene, exposure)
        hdus.append(image_hdu(_extension(model, chip, "SCI", version, dataset), counts))
        for name in ("ERR", "DQ"):
            header = _extension(model, chip, name, version, dataset)
            header.set("NPIX1", counts.shape[1])
            header.set("NPIX2", counts.shape[0])
            header.set("PIXVALUE", 0)
            hdus.append(image_hdu(header, None))
    return hdus


def start_of(scene: Scene, exposure: int) -> float:
    """Return EXPSTART of an association's exposure, MJD."""
    return 53000.5 + exposure * (scene.seconds + 120) / 86400


def _primary(model: Model, dataset: str, scene: Scene, exposure: int, association: str) -> Header:
    header = Header()
    start = start_of(scene, exposure)
    cards: tuple[tuple[str, Value], ...] = (
        ("FILENAME", f"{dataset}_raw.fits"), ("FILETYPE", "SCI"), ("TELESCOP", "HST"),
        ("INSTRUME", model.instrument), ("EQUINOX", 2000.0), ("ROOTNAME", dataset),
        ("IMAGETYP", "EXT"), ("TARGNAME", "SIM"), ("RA_TARG", 6.027), ("DEC_TARG", -72.083),
        ("PROPOSID", 9999), ("DATE-OBS", "2003-12-27"), ("TIME-OBS", "12:00:00"),
        ("EXPSTART", start), ("EXPEND", start + scene.seconds / 86400),
        ("EXPTIME", scene.seconds), ("DARKTIME", scene.seconds), ("DETECTOR", model.detector),
        *model.filters.items(), ("CCDAMP", model.read_out), ("CCDGAIN", model.gain),
        ("NEXTEND", 3 * len(model.chips)),
    )  # fmt: skip
    for key, value in cards:
        header.set(key, value)
    header.set("SIMULATE", "OWL", "simulated exposure")
    for switch in _SWITCHES:
        header.set(switch, "PERFORM")
    header.set("PHOTCORR", "PERFORM" if model.photometry else "OMIT")
    header.set("CRCORR", "PERFORM" if association else "OMIT")
    header.set("DRIZCORR", "PERFORM")
    header.set("PCTECORR", "PERFORM" if scene.cte else "OMIT")
    for key in _REFERENCES:
        header.set(key, "N/A")
    header.set("ASN_ID", association.upper() or "NONE")
    header.set("ASN_TAB", f"{association}_asn.fits" if association else "NONE")
    return header


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
