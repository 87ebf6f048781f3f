"""The memory bandwidth of one core.

``python -m calibration.bench.roofline MEGABYTES REPEATS`` copies and adds arrays that no cache
holds and prints the bytes per second of each turn: read and written bytes are both counted, as
STREAM does (what a processor reads before it writes a line is not).
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np


def main(megabytes: str, repeats: str) -> None:
    """Print the measurements as JSON."""
    size = int(megabytes) * 1_000_000
    a, b, c = (np.full(size // 4, value, np.float32) for value in (1, 2, 3))
    out: dict[str, list[float]] = {"copy": [], "add": []}
    for _ in range(int(repeats)):
        began = time.perf_counter()
        np.copyto(c, a)
        out["copy"].append(2 * size / (time.perf_counter() - began))
        began = time.perf_counter()
        np.add(a, b, out=c)
        out["add"].append(3 * size / (time.perf_counter() - began))
    sys.stdout.write(json.dumps(out) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
