"""Many simulated exposures through the nodes, and what the simulator knows about them."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from calibration.cli import NODES
from calibration.cli import main as calibration
from calibration.context import Context
from calibration.fits import read, read_table
from calibration.fits.planes import image_sets
from calibration.simulate.detectors import ChipModel, Model, model
from calibration.simulate.frames import Scene, expose, light, member_names
from calibration.simulate.references import truth

APERTURE = 2
"""Half the side of an aperture: 5 x 5 pixels hold 96 % of a star."""

FOLDERS = ("incoming", "work", "archive", "references")


@dataclass
class Field:
    """Exposures of one field: the same stars and sky, other noise, calibrated by the nodes."""

    root: Path
    detector: Model
    scene: Scene
    names: list[str]
    association: str

    @classmethod
    def make(cls, root: Path, name: str, count: int, scene: Scene, *, small: bool) -> Field:
        """Simulate `count` exposures by the command, as members of one association."""
        detector = model(name, small)
        association = "truth"
        words = [
            "simulate", "--incoming", str(root / "incoming"), "--references",
            str(root / "references"), "--detector", name, *["--small"] * small, "--dataset",
            association, "--members", f"{count}", "--seconds", f"{scene.seconds:g}", "--stars",
            f"{scene.stars}", "--rays", f"{scene.rays}", "--seed", f"{scene.seed}",
        ]  # fmt: skip
        assert _silent(words) == 0
        return cls(root, detector, scene, member_names(association, count), association)

    def node(self, node: str, dataset: str, members: tuple[str, ...] = ()) -> None:
        """Run a node in this process: hundreds of them are too many processes."""
        folders = [self.root / name for name in FOLDERS]
        with contextlib.redirect_stdout(io.StringIO()):
            import_module(NODES[node]).run(Context(node, dataset, *folders, members))

    def calibrate(self, *more: str) -> None:
        """Take every exposure to its calibrated file."""
        for name in self.names:
            for node in ("2FITS", "RF", "CA", *more):
                self.node(node, name)

    def planes(self, name: str, version: int) -> tuple[Any, Any, Any]:
        """Return SCI, ERR and DQ of a calibrated exposure."""
        path = self.root / "work" / name / f"{name}_flt.fits"
        images = image_sets(read(path), path.name)[version - 1]
        assert images.err is not None
        assert images.dq is not None
        return images.sci.image(), images.err.image(), images.dq.image()

    @cached_property
    def stacks(self) -> list[tuple[Any, Any, Any]]:
        """SCI, ERR and DQ of every chip: exposure, row, column."""
        out = []
        for version in range(1, len(self.detector.chips) + 1):
            planes = [self.planes(name, version) for name in self.names]
            out.append(tuple(np.stack(part) for part in zip(*planes, strict=True)))
        return out

    def light(self, chip: ChipModel) -> Any:
        """Electrons of light that fall on a chip (what a perfect `_flt` holds).

        FLUXCORR brings UVIS's chip 2, which sees less, to the scale of chip 1.
        """
        detected = light(self.detector, chip, self.scene) * self.scene.seconds
        return detected / (self.detector.efficiency if chip.chip == 2 else 1.0)

    def rays(self, chip: ChipModel) -> Any:
        """Where cosmic rays hit: exposure, row, column."""
        return np.stack(
            [expose(self.detector, chip, self.scene, n)[2] for n in range(len(self.names))]
        )

    def stars(self, chip: ChipModel) -> Any:
        """Return column, row and electrons of stars whose apertures do not overlap."""
        kept: list[Any] = []
        for x, y, flux in self.scene.catalogue(self.detector, chip):
            ix, iy = round(x), round(y)
            side = 2 * APERTURE + 1
            if all(abs(ix - k[0]) >= side or abs(iy - k[1]) >= side for k in kept):
                kept.append((ix, iy, flux * self.scene.seconds))
        return np.array(kept)

    def amplifiers(self) -> list[tuple[int, ChipModel, str, slice]]:
        """Return the chip's number, the chip, the amplifier and its columns, for all of them."""
        return [
            (number, chip, name, self.detector.columns(chip, name)[1])
            for number, chip in enumerate(self.detector.chips)
            for name in chip.amps
        ]


def _silent(words: list[str]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return calibration(words)


def pulls(field: Field) -> dict[str, tuple[Any, Any]]:
    """Return, per amplifier, each star's electrons and (measured - true) / error in all exposures.

    The measurement is a sum over an aperture; what other stars and the sky bring into it is known.
    An aperture with a flagged pixel does not count.
    """
    out = {}
    for number, chip, name, columns in field.amplifiers():
        sci, err, dq = field.stacks[number]
        true = field.light(chip)
        electrons, values = [], []
        for x, y, flux in field.stars(chip):
            ix, iy = int(x), int(y)
            if not columns.start + APERTURE <= ix < columns.stop - APERTURE:
                continue
            box = np.s_[:, iy - APERTURE : iy + APERTURE + 1, ix - APERTURE : ix + APERTURE + 1]
            good = (dq[box] == 0).all(axis=(1, 2))
            off = (sci[box] - true[box[1:]]).astype(np.float64).sum(axis=(1, 2))
            sigma = np.sqrt(np.square(err[box], dtype=np.float64).sum(axis=(1, 2)))
            values.append((off / sigma)[good])
            electrons.append(np.full(int(good.sum()), flux))
        out[name] = np.concatenate(electrons), np.concatenate(values)
    return out


@dataclass
class Rays:
    """How well cosmic rays were found."""

    strong: int
    completeness: float
    purity: float
    exact: float
    star_cores: int


def flagged_rays(field: Field, flagged: list[Any] | None = None) -> Rays:
    """Compare flagged pixels (of all members' ``_flt``, or of the chips given) with the truth.

    Complete: of the pixels that a ray lifts by more than ten sigma, those that are flagged. Pure:
    of the flagged pixels, those that a ray hit or that lie within CRRADIUS of one: beside a ray 2.5
    sigma are enough, so that one of twenty flagged pixels is noise there (`exact` counts without
    these). Pixels that are bad anyhow do not count: where all exposures are bad there is no
    average, and acsrej's spill creeps up a bad column. A star's core are its brightest nine pixels.
    """
    if flagged is None:
        flagged = [(stack[2] & 8192) != 0 for stack in field.stacks]
    strong = found = pure = exact = marked = cores = 0
    for chip, stack, marks in zip(field.detector.chips, field.stacks, flagged, strict=False):
        good = (stack[2] & ~8192) == 0
        mask = marks & good
        true, rays = field.light(chip), field.rays(chip)
        noise = np.sqrt(true + max(a.read_noise for a in field.detector.amps.values()) ** 2)
        lifted = rays & (stack[0] - true > 10 * noise) & good
        strong += int(lifted.sum())
        found += int((lifted & mask).sum())
        marked += int(mask.sum())
        exact += int((mask & rays).sum())
        beside = near(rays)
        pure += int((mask & beside).sum())
        for x, y, _ in field.stars(chip):
            box = np.s_[:, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
            cores += int((mask[box] & ~beside[box]).sum())
    return Rays(strong, found / strong, pure / max(marked, 1), exact / max(marked, 1), cores)


def near(rays: Any) -> Any:
    """Return the pixels that a ray hits or that it may spill into (CRRADIUS 2.1)."""
    out = rays.copy()
    for dy, dx in np.ndindex(5, 5):
        if (dy - 2) ** 2 + (dx - 2) ** 2 <= 2.1**2:
            out |= np.roll(rays, (dy - 2, dx - 2), axis=(1, 2))
    return out


def predicted_flags(root: Path, name: str, dataset: str) -> list[Any]:
    """Return the DQ of every chip of a small exposure, worked out without the kernel."""
    detector = model(name, True)
    raw = image_sets(read(root / "incoming" / f"{dataset}_raw.fits"), dataset)
    out = []
    for images, chip in zip(raw, detector.chips, strict=True):
        known = truth(detector, chip)
        counts = images.sci.image().astype(np.float64)
        frame = known.bias_dq.astype(int)
        for row in read_table(read(next((root / "references").glob("*_bpx.fits")))[1]):
            if row["CCDCHIP"] in (chip.chip, -999):
                along = (1, 0) if row["AXIS"] == 1 else (0, 1)
                for step in range(row["LENGTH"]):
                    x = row["PIX1"] - 1 + detector.trim_x + step * along[0]
                    y = row["PIX2"] - 1 + chip.trim_y[0] + step * along[1]
                    if y < frame.shape[0] and x < frame.shape[1]:
                        frame[y, x] |= row["VALUE"]
        frame[counts >= 65534] |= 2048
        if detector.instrument == "WFC3":  # one sink; what is beside it trails on chip 2 only
            sink, trail = frame.shape[0] // 2, 1 if chip.chip == 2 else 0
            frame[sink - trail : sink + trail + 1, 60] |= 1024
        dq = (known.dark_dq | known.flat_dq).astype(int) | np.where(known.flat == 0, 512, 0)
        rows = slice(chip.trim_y[0], chip.trim_y[0] + detector.height)
        for amp in chip.amps:
            one, here = detector.amps[amp], detector.columns(chip, amp)[1]
            part = rows, detector.science(chip, amp)
            dq[:, here] |= frame[part]
            full = (counts[part] - one.level) * one.gain > detector.saturation
            dq[:, here][full] |= 256
        out.append(dq)
    return out
