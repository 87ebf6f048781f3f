"""Where an exposure lies in a reference image: LTV, binning, and the gap of UVIS."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.fits import Header
from calibration.instruments.geometry import Gap, window

FULL = (2070, 4206)
GAP = Gap(2073, 60)


def header(ltv1: float = 0.0, ltv2: float = 0.0, ltm: float = 1.0) -> Header:
    out = Header()
    for key, value in (("LTV1", ltv1), ("LTV2", ltv2), ("LTM1_1", ltm), ("LTM2_2", ltm)):
        out.set(key, value)
    return out


def test_a_frame_of_the_same_size_is_taken_whole() -> None:
    place = window(header(24.0), (8, 9), header(), (8, 9))
    assert place is not None
    assert place.of(np.zeros((8, 9))).shape == (8, 9)


def test_a_stis_subarray_in_a_full_frame_reference() -> None:
    """LTV1 = -465: the first pixel is the reference's 466th."""
    place = window(header(-465.0, -463.0), (104, 104), header(), (1024, 1024))
    assert place is not None
    assert (place.rows, place.columns) == (slice(463, 567), (slice(465, 569),))


def test_trimming_moves_the_corner() -> None:
    """A raw frame with 19 columns of overscan, against a reference without."""
    place = window(header(19.0, 0.0), (100, 1024), header(), (1024, 1024), trim=(19, 0))
    assert place is not None
    assert place.columns == (slice(0, 1024),)


@pytest.mark.parametrize(
    ("ltv1", "width", "columns"),
    [
        (-100.0, 50, [range(125, 175)]),
        (-2040.0, 100, [range(2065, 2073), range(2133, 2225)]),
        (-2048.0, 100, [range(2133, 2233)]),
    ],
    ids=["left of the gap", "across it", "right of it"],
)
def test_subarrays_of_uvis_do_not_see_the_virtual_overscan(
    ltv1: float, width: int, columns: list[range]
) -> None:
    place = window(header(ltv1), (10, width), header(25.0), FULL, gap=GAP)
    assert place is not None
    row = place.of(np.broadcast_to(np.arange(FULL[1]), FULL))[0]
    assert row.tolist() == [x for part in columns for x in part]


@pytest.mark.parametrize(
    "exposure",
    [header(-1000.0), header(1.0), header(0.0, 1.0), header(0.0, 0.0, 0.5)],
    ids=["right edge", "left edge", "below", "binned"],
)
def test_what_does_not_lie_inside_is_refused(exposure: Header) -> None:
    assert window(exposure, (100, 100), header(), (1024, 1024)) is None
