"""The folders that the bench works in: simulated exposures with references, calibrated by nodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from calibration.bench.process import Ended, run
from calibration.context import Context
from calibration.fits import read, write

FOLDERS = ("incoming", "work", "archive", "references")


@dataclass(frozen=True)
class Site:
    """Four folders and the detector that is simulated in them."""

    root: Path
    detector: str
    small: bool

    @classmethod
    def make(cls, root: Path, detector: str, *, small: bool) -> Site:
        """Make the folders."""
        for name in FOLDERS:
            (root / name).mkdir(parents=True)
        return cls(root, detector, small)

    def simulate(self, *options: str) -> list[str]:
        """Simulate exposures and their references; return the datasets."""
        small = ["--small"] if self.small else []
        done = run(
            [
                "-m", "calibration", "simulate", "--detector", self.detector, *small,
                "--incoming", "incoming", "--references", "references", *options,
            ],
            self.root,
        )  # fmt: skip
        return list(json.loads(done.output.splitlines()[-1])["datasets"])

    def node(self, name: str, dataset: str, *options: str) -> Ended:
        """Run one node as HTCondor would."""
        folders = [f"--{folder}={self.root / folder}" for folder in FOLDERS]
        return run(["-m", "calibration", name, "--dataset", dataset, *folders, *options], self.root)

    def context(self, dataset: str) -> Context:
        """Return what CA is given for a dataset."""
        return context_of(self.root, dataset)

    def shift(self, dataset: str, pixels: tuple[float, float]) -> None:
        """Move an exposure's reference pixel: the same sky, dithered."""
        path = self.context(dataset).product("flt")
        hdus = read(path)
        for hdu in hdus[1:]:
            for axis, step in zip((1, 2), pixels, strict=True):
                if f"CRPIX{axis}" in hdu.header:
                    hdu.header.set(f"CRPIX{axis}", hdu.header.real(f"CRPIX{axis}") + step)
        write(path, hdus)


def context_of(root: Path, dataset: str) -> Context:
    """Return what CA is given for a dataset of the site in `root`."""
    incoming, work, archive, references = (root / name for name in FOLDERS)
    return Context("CA", dataset, incoming, work, archive, references)
