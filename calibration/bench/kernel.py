"""One side of the comparison of kernels, in a process of its own.

``python -m calibration.bench.kernel ours|ccdproc ROOT DATASET REPEATS OUT`` loads a raw exposure
and its references into memory, then calibrates all chips REPEATS times and prints the seconds of
each turn, the growth of the resident set over the loaded inputs and what was computed (OUT gets
the first chip's SCI and ERR, so that both sides' results can be compared).
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays.chip import Chip, Image
from calibration.bench.process import forget_peak, memory_mb
from calibration.bench.site import context_of
from calibration.fits import read
from calibration.instruments import detector_of
from calibration.nodes.acs_exposure import make_chip
from calibration.nodes.exposure import open_exposure

Array = Any
Calibrated = tuple[Array, Array, Array]


def native(array: Array) -> Array:
    """Return an array in memory and in the machine's byte order."""
    out = np.array(array)
    return out.astype(out.dtype.newbyteorder("="))


def _image(image: Image | None) -> Image | None:
    if image is None:
        return None
    return Image(native(image.sci), native(image.err), native(image.dq))


def load(root: Path, dataset: str) -> list[Chip]:
    """Return all chips with their references in memory: overscan, bias, dark, flat, no more."""
    context = context_of(root, dataset)
    path = context.raw()
    hdus = read(path)
    detector = detector_of(hdus[0].header, path.name)
    exposure = open_exposure(context, path.name, hdus, detector)
    chips = []
    for images in exposure.sets:
        chip, _ = make_chip(exposure, images)
        chip = replace(
            chip, raw=native(chip.raw), dq=native(chip.dq), bias=_image(chip.bias),
            dark=_image(chip.dark), flat=_image(chip.flat), full_well=None, full_well_level=None,
        )  # fmt: skip
        chips.append(chip)
    return chips


def bytes_moved(chips: Sequence[Chip]) -> int:
    """Return what any program must read and write at least: inputs once, products once."""
    total = 0
    for chip in chips:
        total += chip.raw.nbytes + chip.dq.nbytes
        for image in (chip.bias, chip.dark, chip.flat):
            if image is not None:
                total += image.sci.nbytes + image.err.nbytes + image.dq.nbytes
        total += chip.shape[0] * chip.shape[1] * (4 + 4 + 2)
    return total


def ours(chips: Sequence[Chip]) -> Callable[[], list[Calibrated]]:
    """Return the work of OWL's kernel."""
    from calibration.arrays.kernel import calibrate

    def turn() -> list[Calibrated]:
        results = [calibrate(chip) for chip in chips]
        return [(r.sci, r.err, r.dq) for r in results]

    return turn


def measure(turn: Callable[[], list[Calibrated]], repeats: int, out: Path) -> dict[str, Any]:
    """Run the turns and return their seconds and the growth of memory."""
    gc.collect()
    loaded = memory_mb("VmRSS")
    forget_peak()
    seconds = []
    for _ in range(repeats):
        results: list[Calibrated] = []
        began = time.perf_counter()
        results = turn()
        seconds.append(time.perf_counter() - began)
    growth = memory_mb("VmHWM") - loaded
    sci, err, _ = results[0]
    np.save(out, np.stack([np.asarray(sci, np.float32), np.asarray(err, np.float32)]))
    return {"seconds": seconds, "growth_mb": growth, "loaded_mb": loaded}


def main(side: str, root: str, dataset: str, repeats: str, out: str) -> None:
    """Print the measurements as JSON."""
    chips = load(Path(root), dataset)
    if side == "ours":
        turn = ours(chips)
    else:
        from calibration.bench.peer import by_ccdproc

        turn = by_ccdproc(chips)
    found = measure(turn, int(repeats), Path(out))
    found["bytes_moved"] = bytes_moved(chips)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
