"""Our pixel map against ``drizzle.utils.calc_pixmap``, on a chip with SIP distortion.

``python -m calibration.bench.pixmap WIDTH HEIGHT REPEATS`` prints the seconds of each turn of both
(in alternation) and the largest distance between the two maps. The WCS is that of a chip of ACS/WFC
in size, scale and strength of its distortion (fourth order, up to 90 pixels in the corners).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from calibration.arrays.pixmap import pixel_map
from calibration.arrays.wcs import Wcs, north_up

#: pixel**(1 - p - q); of the size of those in the headers of ACS/WFC.
SIP_A = {
    (2, 0): 8.5e-6, (1, 1): -5.2e-6, (0, 2): 2.3e-6, (3, 0): -4.9e-10, (2, 1): 2.0e-10,
    (1, 2): -5.2e-10, (0, 3): -4.8e-11, (4, 0): 1.3e-14, (2, 2): -2.2e-14, (0, 4): 6.0e-15,
}  # fmt: skip
SIP_B = {
    (2, 0): -1.7e-6, (1, 1): 6.1e-6, (0, 2): -7.3e-6, (3, 0): 9.0e-11, (2, 1): -5.2e-10,
    (1, 2): -1.2e-10, (0, 3): -4.4e-10, (4, 0): -9.0e-15, (3, 1): 5.0e-15, (1, 3): 1.1e-14,
}  # fmt: skip


def chip(shape: tuple[int, int]) -> Wcs:
    """Return the WCS of a chip of this shape."""
    ny, nx = shape
    scale = 0.05 / 3600
    cd = scale * np.array([[-0.82, 0.55], [0.60, 0.79]])
    return Wcs((nx / 2, ny / 2), (6.027, -72.083), cd, SIP_A, SIP_B)


def astropy_wcs(wcs: Wcs, shape: tuple[int, int]) -> Any:
    """Return the same WCS as astropy's."""
    from astropy.wcs import WCS

    sip: dict[str, float] = {}
    for name, terms in (("A", wcs.sip_a), ("B", wcs.sip_b)):
        if terms:
            sip[f"{name}_ORDER"] = max(p + q for p, q in terms)
            sip.update({f"{name}_{p}_{q}": value for (p, q), value in terms.items()})
    kind = "-SIP" if sip else ""
    (a, b), (c, d) = wcs.cd
    header = {
        "NAXIS": 2, "NAXIS1": shape[1], "NAXIS2": shape[0], "CTYPE1": f"RA---TAN{kind}",
        "CTYPE2": f"DEC--TAN{kind}", "CRPIX1": wcs.crpix[0], "CRPIX2": wcs.crpix[1],
        "CRVAL1": wcs.crval[0], "CRVAL2": wcs.crval[1], "CD1_1": a, "CD1_2": b, "CD2_1": c,
        "CD2_2": d, **sip,
    }  # fmt: skip
    out = WCS(header)
    out.array_shape = shape
    return out


def main(width: str, height: str, repeats: str) -> None:
    """Print the measurements as JSON."""
    from drizzle.utils import calc_pixmap

    shape = (int(height), int(width))
    source = chip(shape)
    target, target_shape = north_up([(source, shape)], source.scale)
    theirs = astropy_wcs(source, shape), astropy_wcs(target, target_shape)
    turns: dict[str, list[float]] = {"ours": [], "drizzle": []}
    error = 0.0
    for _ in range(int(repeats)):
        began = time.perf_counter()
        our_map = pixel_map(source, target, shape)
        turns["ours"].append(time.perf_counter() - began)
        began = time.perf_counter()
        their_map = calc_pixmap(*theirs, shape=shape, disable_bbox="both")
        turns["drizzle"].append(time.perf_counter() - began)
        error = float(np.abs(our_map - their_map).max())
    sys.stdout.write(json.dumps({**turns, "max_error_px": error}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
