"""Make the plots of docs/calibration.md from simulated exposures.

    ./owl bench calibration --small --pairs 1   # installs matplotlib with the peers
    ./owl -- python docs/make_calibration_plots.py

They show what tests/integration/test_science_truth.py demands, measured by the same functions.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "tests" / "integration")]

from truth_support import FOLDERS, Field, pulls  # noqa: E402

from calibration.fits import read  # noqa: E402
from calibration.fits.planes import image_sets  # noqa: E402
from calibration.simulate.frames import Scene  # noqa: E402

IMAGES = DOCS / "images"
DETECTORS = ("ACS/HRC", "ACS/WFC", "WFC3/UVIS")


def field(folder: Path, name: str, count: int, scene: Scene) -> Field:
    """Simulate and calibrate exposures of one field."""
    root = folder / f"{name.replace('/', '-')}-{count}"
    for each in FOLDERS:
        (root / each).mkdir(parents=True)
    out = Field.make(root, name, count, scene, small=True)
    out.calibrate()
    return out


def save(figure: Any, name: str) -> None:
    """Write a figure as a small PNG."""
    path = IMAGES / f"calibration-{name}.png"
    figure.savefig(path, dpi=80, bbox_inches="tight")
    plt.close(figure)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def show(axis: Any, image: Any, title: str, **limits: float) -> None:
    """Draw an image without ticks."""
    axis.imshow(image, origin="lower", cmap="gray", interpolation="nearest", **limits)
    axis.set(title=title, xticks=[], yticks=[])


def before_and_after(split: Field) -> None:
    """Draw a raw chip and what CA and CRCOMB make of it."""
    name = split.names[0]
    raw = image_sets(read(split.root / "incoming" / f"{name}_raw.fits"), name)[0].sci.image()
    path = split.root / "work" / split.association / f"{split.association}_crj.fits"
    combined = image_sets(read(path), path.name)[0].sci.image() / len(split.names)
    figure, axes = plt.subplots(3, 1, figsize=(5.0, 7.2))
    show(axes[0], raw, "_raw (DN): overscan, two amplifiers", vmin=2150, vmax=2650)
    show(axes[1], split.stacks[0][0][0], "_flt (electrons)", vmin=-10, vmax=100)
    title = f"_crj of {len(split.names)} (electrons per exposure)"
    show(axes[2], combined, title, vmin=-10, vmax=100)
    save(figure, "before-after")


def cosmic_rays(split: Field) -> None:
    """Draw where rays were injected and where they were found, in one exposure."""
    rays = split.rays(split.detector.chips[0])[0]
    found = (split.stacks[0][2][0] & 8192) != 0
    picture = np.ones((*rays.shape, 3))
    picture[rays & found] = (0.1, 0.5, 0.2)
    picture[found & ~rays] = (0.4, 0.6, 1.0)
    picture[rays & ~found] = (0.9, 0.1, 0.1)
    figure, axis = plt.subplots(figsize=(8, 4.4))
    axis.imshow(picture, origin="lower", interpolation="nearest")
    axis.set(
        title="green: injected and found; blue: beside a ray; red: not found", xticks=[], yticks=[]
    )
    save(figure, "cosmic-rays")


def pull_distributions(fields: dict[str, Field]) -> None:
    """Draw the pulls of stars' aperture sums per magnitude bin."""
    figure, axes = plt.subplots(len(fields), 4, figsize=(12, 8), sharex=True, sharey=True)
    grid = np.linspace(-4, 4, 33)
    for row, (name, one) in zip(axes, fields.items(), strict=True):
        found = list(pulls(one).values())
        electrons = np.concatenate([pair[0] for pair in found])
        values = np.concatenate([pair[1] for pair in found])
        edges = np.geomspace(electrons.min(), electrons.max() * 1.001, 5)
        for number, axis in enumerate(row):
            low, high = edges[number], edges[number + 1]
            chosen = values[(electrons >= low) & (electrons < high)]
            axis.hist(chosen, grid, density=True, color="0.75")
            axis.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), "k", lw=1)
            text = f"{chosen.mean():+.3f} ± {chosen.std():.3f}\n{chosen.size} pulls"
            axis.set_title(f"{name} {low:.0f} to {high:.0f} e-", fontsize=9)
            axis.text(0.03, 0.95, text, transform=axis.transAxes, va="top", fontsize=8)
    save(figure, "pulls")


def errors(fields: dict[str, Field]) -> None:
    """Draw the scatter of pixels over many exposures against what ERR says."""
    figure, axis = plt.subplots(figsize=(7, 5))
    for name, one in fields.items():
        for number, chip, amp, columns in one.amplifiers():
            sci, err, dq = (part[:, :, columns] for part in one.stacks[number])
            good = (dq == 0).all(axis=0)
            true = one.light(chip)[:, columns]
            x, y = [], []
            for low in np.geomspace(10, 3000, 12):
                chosen = good & (true >= low) & (true < 1.6 * low)
                if chosen.sum() > 30:
                    sample = sci[:, chosen].var(axis=0, ddof=1, dtype=np.float64).mean()
                    x.append(true[chosen].mean())
                    y.append(np.sqrt(sample / np.square(err[:, chosen]).mean()))
            axis.semilogx(x, y, "o-", ms=3, lw=0.5, label=f"{name} {amp}")
    axis.axhspan(0.98, 1.02, color="0.9")
    axis.set(xlabel="electrons in the pixel", ylabel="sample sigma / ERR", ylim=(0.9, 1.1))
    axis.legend(fontsize=7, ncol=3)
    save(figure, "errors")


def drizzled(folder: Path) -> None:
    """Draw what MD makes of two exposures, both chips on one grid."""
    scene = Scene(seconds=300.0, stars=60, rays=30, seed=21)
    one = field(folder, "ACS/WFC", 2, scene)
    one.node("MD", one.association, tuple(one.names))
    path = one.root / "work" / one.association / f"{one.association}_drz.fits"
    images = {hdu.name: hdu for hdu in read(path)[1:]}
    figure, axes = plt.subplots(1, 2, figsize=(11, 5))
    show(axes[0], images["SCI"].image(), "_drz (electrons/s)", vmin=-0.02, vmax=0.4)
    show(axes[1], images["WHT"].image(), "weight")
    save(figure, "drizzled")


def main() -> None:
    """Make all plots."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = Scene(seconds=300.0, stars=60, rays=60, seed=21)
        split = field(folder, "ACS/WFC", 4, scene)
        split.node("CRCOMB", split.association, tuple(split.names))
        before_and_after(split)
        cosmic_rays(split)
        stars = Scene(seconds=300.0, stars=120, rays=0, seed=11)
        fields = {each: field(folder, each, 100, stars) for each in DETECTORS}
        pull_distributions(fields)
        errors(fields)
        drizzled(folder)


if __name__ == "__main__":
    main()
