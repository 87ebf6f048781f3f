"""Statistics of good pixels for the headers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.arrays.chip import F32


def statistics(sci: F32, err: F32 | None, good: NDArray[np.bool_]) -> dict[str, float]:
    """Return the header's statistics of good pixels: GOODMIN and so on, SNR included."""
    values = sci[good]
    if not values.size:
        return {"NGOODPIX": 0}
    out = {
        "NGOODPIX": int(values.size),
        "GOODMIN": float(values.min()),
        "GOODMAX": float(values.max()),
        "GOODMEAN": float(values.mean(dtype=np.float64)),
    }
    if err is None:
        return out
    errors = err[good]
    ratio = values[errors > 0] / errors[errors > 0]
    if ratio.size:
        out["SNRMIN"] = float(ratio.min())
        out["SNRMAX"] = float(ratio.max())
        out["SNRMEAN"] = float(ratio.mean(dtype=np.float64))
    return out
