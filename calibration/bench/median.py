"""Our median of four images against numpy's.

``python -m calibration.bench.median WIDTH HEIGHT REPEATS`` prints the seconds of each turn of both,
in alternation; different results are an error.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from calibration.arrays.median import median


def main(width: str, height: str, repeats: str) -> None:
    """Print the measurements as JSON."""
    random = np.random.default_rng(1)
    shape = (int(height), int(width))
    images = [random.normal(100, 10, shape).astype(np.float32) for _ in range(4)]
    stack = np.stack(images)
    turns: dict[str, list[float]] = {"ours": [], "numpy": []}
    for _ in range(int(repeats)):
        began = time.perf_counter()
        ours = median(images)
        turns["ours"].append(time.perf_counter() - began)
        began = time.perf_counter()
        theirs = np.median(stack, axis=0)
        turns["numpy"].append(time.perf_counter() - began)
        if not np.allclose(ours, theirs, rtol=1e-6):
            raise ValueError("our median of four is not the median")
    sys.stdout.write(json.dumps(turns) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
