"""``--truth``: what a simulated exposure holds, for tests of what calibration makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu, write
from calibration.simulate.defects import bad_pixels
from calibration.simulate.detectors import Model
from calibration.simulate.frames import Exposed, Scene
from calibration.simulate.references import truth


def write_truth(
    folder: Path, model: Model, dataset: str, scene: Scene, chips: list[Exposed]
) -> Path:
    """Write ``<dataset>_truth.fits``; return its path.

    Tables: STARS (CHIP, X, Y, FLUX in e-/s, all of the star's light), and with CHIP, X, Y per pixel
    RAYS, SATURATED (FULL: the well; else the converter), HOT and BAD; of STIS's splits EXTVER
    tells which. X and Y are 0-based in the product, without overscan.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset}_truth.fits"
    header = Header()
    for key, value in (
        ("FILENAME", path.name), ("ROOTNAME", dataset), ("INSTRUME", model.instrument),
        ("DETECTOR", model.detector), ("EXPTIME", scene.seconds), ("SKY", scene.sky),
        ("SEED", scene.seed),
    ):  # fmt: skip
        header.set(key, value)
    header.set("SIMULATE", "OWL", "truth of a simulated exposure")
    numbers = [chip.chip for chip in model.chips]
    splits = len(chips) // len(numbers)
    stars = [scene.catalogue(model, chip) for chip in model.chips]
    column = np.concatenate([np.full(len(s), n) for s, n in zip(stars, numbers, strict=True)])
    x, y, flux = np.concatenate(stars).T
    tables = [
        table_hdu(
            "STARS",
            [Column("CHIP", "J", column), Column("X", "D", x), Column("Y", "D", y),
             Column("FLUX", "D", flux)],
        ),
        _pixels("RAYS", numbers * splits, [chip.rays for chip in chips]),
        _pixels(
            "SATURATED", numbers * splits, [chip.full | chip.converter for chip in chips],
            full=[chip.full for chip in chips],
        ),
        _pixels("HOT", numbers, [truth(model, c).dark_dq != 0 for c in model.chips]),
        _pixels("BAD", numbers, [bad_pixels(model) for _ in model.chips]),
    ]  # fmt: skip
    write(path, [image_hdu(header, None, primary=True), *tables])
    return path


def _pixels(name: str, numbers: list[int], masks: list[Any], full: list[Any] | None = None) -> Hdu:
    places = [np.nonzero(mask) for mask in masks]
    columns = [
        Column(
            "CHIP",
            "J",
            np.concatenate([np.full(p[0].size, n) for p, n in zip(places, numbers, strict=True)]),
        ),
        Column(
            "EXTVER",
            "J",
            np.concatenate([np.full(p[0].size, v) for v, p in enumerate(places, 1)]),
        ),
        Column("X", "J", np.concatenate([p[1] for p in places])),
        Column("Y", "J", np.concatenate([p[0] for p in places])),
    ]
    if full is not None:
        kinds = [f[p] for f, p in zip(full, places, strict=True)]
        columns.append(Column("FULL", "L", np.concatenate(kinds).tolist()))
    return table_hdu(name, columns)
