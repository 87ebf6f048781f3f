"""Dithered exposures: the same sky, the telescope moved by some pixels between them (EXP-DTH)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.fits import Column, Header, image_hdu, table_hdu, write
from calibration.simulate.detectors import ChipModel, Model
from calibration.simulate.frames import STAMP, Scene, member_names, raw_file

#: A four-point box with half pixels, and a fifth point in its middle.
BOX = ((0.0, 0.0), (5.5, 2.5), (8.0, 7.0), (2.5, 4.5), (4.0, 3.5))


@dataclass
class DitheredScene(Scene):
    """A scene seen with the telescope moved.

    Parameters
    ----------
    offset
        By how many pixels sources appear further left and down.
    offsets
        Those of all exposures: a source is there in all of them or in none.
    """

    offset: tuple[float, float] = (0.0, 0.0)
    offsets: Sequence[tuple[float, float]] = BOX

    def catalogue(self, model: Model, chip: ChipModel) -> Any:
        """Return the stars of a chip: x, y and e-/s."""
        stars = super().catalogue(model, chip)
        always = np.ones(len(stars), bool)
        for moved in self.offsets:
            places = stars[:, :2] - moved
            for axis, size in enumerate((model.width, model.height)):
                always &= (places[:, axis] > STAMP + 1) & (places[:, axis] < size - STAMP - 2)
        return np.column_stack([stars[always, :2] - self.offset, stars[always, 2]])


def write_dithers(
    model: Model,
    incoming: Path,
    association: str,
    *,
    count: int = 3,
    seconds: float = 300.0,
    rays: int = 40,
    stars: int = 60,
    seed: int = 1,
    offsets: Sequence[tuple[float, float]] = BOX,
) -> list[str]:
    """Write raw files and the association table; return the members' names."""
    members = member_names(association, count)
    for exposure, member in enumerate(members):
        scene = DitheredScene(seconds, stars, rays, seed)
        scene.offset, scene.offsets = offsets[exposure], offsets
        hdus = raw_file(model, member, scene, exposure=exposure, association=association)
        hdus[0].header.set("CRCORR", "OMIT")
        for hdu in hdus[1:]:  # the sky moves with the sources
            for axis in (1, 2):
                key = f"CRPIX{axis}"
                hdu.header.set(key, hdu.header.real(key) - offsets[exposure][axis - 1])
        write(incoming / f"{member}_raw.fits", hdus, checksum=False)
    names = [*members, association]
    header = Header()
    for key, value in (
        ("INSTRUME", model.instrument), ("DETECTOR", model.detector),
        ("FILENAME", f"{association}_asn.fits"), ("FILETYPE", "ASN_TABLE"),
        ("ASN_ID", association.upper()), ("ROOTNAME", association),
    ):  # fmt: skip
        header.set(key, value)
    header.set("ASN_PROD", False)
    table = table_hdu(
        "ASN",
        [
            Column("MEMNAME", "14A", [n.upper() for n in names]),
            Column("MEMTYPE", "14A", ["EXP-DTH"] * len(members) + ["PROD-DTH"]),
            Column("MEMPRSNT", "L", [True] * len(members) + [False]),
        ],
    )
    write(incoming / f"{association}_asn.fits", [image_hdu(header, None, primary=True), table])
    return members
