"""Means of a 1 Hz pointing stream, as Hubble's jitter tables have them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORT_S = 6
"""Exposures below this get means over one second instead of three."""


def interval(seconds: float) -> int:
    """Return over how many seconds is averaged (HST Data Handbook, observation logs)."""
    return 1 if seconds < SHORT_S else 3


def averaged(samples: NDArray[np.float64], step: int) -> dict[str, Any]:
    """Average offsets over intervals; an interval without a sample has no row.

    Parameters
    ----------
    samples
        Shape (n, 3): second since the start, V2 and V3 offsets; sorted by second.
    step
        Length of an interval, seconds.

    Returns
    -------
    dict
        ``seconds`` (middle of the interval), and for v2 and v3 ``_avg``, ``_rms`` (about the
        interval's mean) and ``_p2p``, each of shape (rows,), in the unit of the offsets.
    """
    bins = (samples[:, 0] // step).astype(np.int64)
    rows, first = np.unique(bins, return_index=True)
    out: dict[str, Any] = {"seconds": (rows + 0.5) * step}
    for index, name in ((1, "v2"), (2, "v3")):
        values = samples[:, index]
        if not rows.size:
            out |= {f"{name}_{key}": np.zeros(0) for key in ("avg", "rms", "p2p")}
            continue
        counts = np.diff(np.append(first, len(values)))
        mean = np.add.reduceat(values, first) / counts
        square = np.add.reduceat((values - np.repeat(mean, counts)) ** 2, first) / counts
        out[f"{name}_avg"] = mean
        out[f"{name}_rms"] = np.sqrt(square)
        out[f"{name}_p2p"] = np.maximum.reduceat(values, first) - np.minimum.reduceat(values, first)
    return out


def pointing(
    v2: Any, v3: Any, *, ra: float, dec: float, pa_v3: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return RA and Dec (degrees) of a nominal pointing with small offsets.

    V3 lies at the position angle PA_V3 (east of north), V2 at PA_V3 + 90.

    Parameters
    ----------
    v2, v3
        Offsets, arcsec.
    ra, dec, pa_v3
        Nominal pointing, degrees.
    """
    angle = np.radians(pa_v3)
    east = np.asarray(v3) * np.sin(angle) + np.asarray(v2) * np.cos(angle)
    north = np.asarray(v3) * np.cos(angle) - np.asarray(v2) * np.sin(angle)
    scale = max(np.cos(np.radians(dec)), 1e-9)
    return (ra + east / 3600 / scale) % 360.0, np.clip(dec + north / 3600, -90.0, 90.0)
