"""What a CCD does to light: full wells that overflow along columns, blemishes, dead pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration.simulate.detectors import ChipModel, Model

#: A real full well lies a little above the limit of SATUFILE: noise must not unflag its pixels.
FULL_WELL = 1.02
#: Peak of a star's light in one pixel, of all its light (SIGMA = 1.1 pixels).
PEAK = 0.13
BLEMISH_RADIUS = 3.0
SMALL_BLEMISH, BAD_FLAT = 1024, 512

#: Runs of bad pixels of every chip, as BPIXTAB has them: 1-based x, y, length, axis, flag.
BAD_RUNS = ((20, 30, 8, 1, 4), (60, 10, 25, 2, 4))


def overflow(electrons: Any, limit: float) -> None:
    """Let charge above the full well flow along its column, both ways.

    Charge that reaches an end of its column is lost.

    Parameters
    ----------
    electrons
        Shape (ny, nx), e-; changed in place.
    limit
        Full well, e-.
    """
    columns = np.nonzero((electrons > limit).any(axis=0))[0]
    if columns.size:
        part = electrons[:, columns]
        excess = np.maximum(part - limit, 0.0) / 2
        np.minimum(part, limit, out=part)
        ny = part.shape[0]
        for rows in (range(ny), range(ny - 1, -1, -1)):
            carried = np.zeros(columns.size)
            for y in rows:
                carried += excess[y]
                taken = np.minimum(carried, limit - part[y])
                part[y] += taken
                carried -= taken
        electrons[:, columns] = part


def bright_stars(model: Model, count: int, seconds: float, random: np.random.Generator) -> Any:
    """Return stars that saturate: x, y (0-based) and e-/s, shape (count, 3)."""
    margin = 12
    x = random.uniform(margin, model.width - margin, count)
    y = random.uniform(margin, model.height - margin, count)
    peak = random.uniform(2.0, 6.0, count) * model.saturation
    return np.column_stack([x, y, peak / PEAK / seconds])


def blemish(model: Model) -> tuple[Any, int]:
    """Return where a speck dims the light (shape of a chip, bool), and its flag in the flat."""
    yy, xx = np.ogrid[: model.height, : model.width]
    x, y = 3 * model.width // 4, model.height // 4
    where = (xx - x) ** 2 + (yy - y) ** 2 <= BLEMISH_RADIUS**2
    return where, BAD_FLAT if model.instrument == "WFC3" else SMALL_BLEMISH


def bad_pixels(model: Model) -> Any:
    """Return where BPIXTAB says that pixels are bad, as bool of a chip's shape."""
    out = np.zeros((model.height, model.width), bool)
    for x, y, length, axis, _ in BAD_RUNS:
        dx, dy = (length, 1) if axis == 1 else (1, length)
        out[y - 1 : y - 1 + dy, x - 1 : x - 1 + dx] = True
    return out


def spoiled(model: Model, chip: ChipModel, electrons: Any) -> None:
    """Make the bad pixels bad: every second is dead, the others give far too much."""
    where = np.flatnonzero(bad_pixels(model))
    electrons.flat[where[::2]] = 0.0
    electrons.flat[where[1::2]] += 5000.0 + 10.0 * chip.chip
