"""A boxcar extraction of a spectrum from photon events, for a quick look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spectrum:
    """Counts per column: in the box, expected of the background, and the difference."""

    gross: Any
    background: Any
    net: Any
    error: Any
    trace: float


def find_trace(y: Any, height: int) -> float:
    """Return the row of the spectrum: the centroid around the fullest row."""
    profile = np.bincount(y, minlength=height).astype(np.float64)
    peak = int(profile.argmax())
    rows = np.arange(max(peak - 10, 0), min(peak + 11, height))
    weights = np.clip(profile[rows] - np.median(profile), 0.0, None)
    return float((rows * weights).sum() / weights.sum()) if weights.sum() else float(peak)


def extract(
    x: Any,
    y: Any,
    shape: tuple[int, int],
    *,
    half: int = 12,
    offset: int = 60,
    width: int = 80,
) -> Spectrum:
    """Count events in a box around the trace and in two background boxes beside it."""
    height, columns = shape
    trace = find_trace(y, height)
    distance = np.abs(y - trace)
    gross = np.bincount(x[distance <= half], minlength=columns).astype(np.float64)
    beside = (distance >= offset) & (distance < offset + width)
    rows = np.arange(height)
    box_rows = int((np.abs(rows - trace) <= half).sum())
    far = np.abs(rows - trace)
    beside_rows = int(((far >= offset) & (far < offset + width)).sum())
    level = np.bincount(x[beside], minlength=columns).astype(np.float64)
    smooth = np.convolve(level, np.full(101, 1 / 101), mode="same")
    ratio = box_rows / beside_rows if beside_rows else 0.0
    background = smooth * ratio
    error = np.sqrt(gross + background * ratio / 101)
    return Spectrum(gross, background, gross - background, error, trace)
