"""ACS: sinks against a pixel-by-pixel walk, drift with two amplifiers, overheads, PHOTMODE."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_calibration_kernel import SCENE, make

from calibration.arrays.acs_sink import SinkPixels
from calibration.arrays.chip import Virtual
from calibration.arrays.kernel import calibrate
from calibration.arrays.levels import raw_values
from calibration.context import Context
from calibration.fits import Header
from calibration.instruments import DETECTORS
from calibration.instruments.geometry import layout, overscan_row
from calibration.nodes.acs_exposure import overhead
from calibration.nodes.exposure import Exposure
from calibration.nodes.photometry import _acs_mode
from calibration.simulate.detectors import model
from calibration.simulate.frames import expose


def walk(reference: Any, sci: Any, down: bool) -> Any:
    """acsccd's loop over rows and columns."""
    ny, nx = reference.shape
    going, signal = np.zeros(nx, bool), np.zeros(nx, np.float32)
    dq = np.zeros((ny, nx), np.int16)
    for y in range(ny) if down else range(ny - 1, -1, -1):
        for x in range(nx):
            depth = reference[y, x]
            if depth < 0:
                going[x] = True
                if depth < -1:
                    signal[x] = sci[y, x]
                dq[y, x] |= 1024
            elif depth > 0:
                if going[x]:
                    if depth > signal[x]:
                        dq[y, x] |= 1024
                    else:
                        going[x] = False
            else:
                going[x] = False
    return dq


@pytest.mark.parametrize("down", [True, False])
def test_sinks_as_the_walk_over_all_pixels_finds_them(down: bool) -> None:
    random = np.random.default_rng(8)
    shape = (80, 40)
    reference = np.zeros(shape, np.float32)
    kinds = random.random(shape)
    reference[kinds > 0.5] = random.uniform(0, 999, shape)[kinds > 0.5]
    reference[kinds > 0.9] = -1
    reference[kinds > 0.94] = -30
    sci = random.uniform(0, 900, shape).astype(np.float32)
    sinks = SinkPixels(reference.astype(">f4"), down=down)
    for start in range(0, 80, 16):
        sinks.measure(sci[start : start + 16], slice(start, start + 16))
    dq, second = np.zeros(shape, np.int16), np.full(shape, 4, np.int16)
    count = sinks.flag(dq, second)
    expected = walk(reference, sci, down)
    np.testing.assert_array_equal(dq, expected)
    np.testing.assert_array_equal(second, expected | 4)
    assert count == np.count_nonzero(expected) > 100


def test_the_drift_is_one_slope_over_the_columns_of_both_amplifiers() -> None:
    detector = model("ACS/WFC", small=True)
    chip = detector.chips[0]
    raw, _, _ = expose(detector, chip, SCENE)
    plain = make(detector, chip, raw)
    plain.flat = None
    drifting = replace(make(detector, chip, raw), flat=None, virtual=Virtual((30, 270), (130, 147)))
    first, second = calibrate(plain), calibrate(drifting)
    left, right = (raw_values(plain, amp, slice(130, 147), slice(0, 304))[0] for amp in plain.amps)
    virtual = np.concatenate([left[:, 30:152], right[:, 152:270]], axis=1)
    columns = np.arange(30, 270)
    slope = np.polynomial.polynomial.polyfit(columns - 150, np.median(virtual, axis=0), 1)[1]
    assert abs(slope) > 1  # the two levels differ by 500 electrons: calacs fits across the step
    for amp, before in zip(drifting.amps, plain.amps, strict=True):
        assert amp.drift == pytest.approx(slope, rel=1e-6)
        sections = amp.overscan[0]
        origin = (sections[0] + sections[1] - 1) / 2
        x = np.arange(amp.raw_x.start, amp.raw_x.stop)
        change = first.sci[:, amp.out_x] - second.sci[:, amp.out_x]
        good = (first.dq | second.dq)[:, amp.out_x] == 0
        expected = np.broadcast_to(slope * (x - origin), change.shape)
        np.testing.assert_allclose(change[good], expected[good], rtol=0, atol=2e-3)
        middle = len(x) / 2 - origin
        assert second.levels[amp.name] == pytest.approx(
            first.levels[before.name] + slope * middle, abs=1e-6
        )


def exposure(**keys: Any) -> Exposure:
    header = Header()
    for key, value in keys.items():
        header.set(key, value)
    folder = Path("/nowhere")
    context = Context("CA", "jsim01abq", folder, folder, folder, folder)
    return Exposure(context, "jsim01abq_raw.fits", header, [], DETECTORS["ACS", "WFC"])


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ({"EXPSTART": 54961.9}, 0.0),
        ({"EXPSTART": 54962.0}, 1.5),
        ({"EXPSTART": 55000.0, "FLASHDUR": 2.0, "FLASHSTA": "SUCCESSFUL"}, 4.5),
        ({"EXPSTART": 55000.0, "FLASHDUR": 2.0, "FLASHSTA": "ABORTED"}, 1.5),
        ({"EXPSTART": 57661.0, "SUBARRAY": True, "APERTURE": "WFC1A-2K"}, 0.0),
        ({"EXPSTART": 57662.0, "SUBARRAY": True, "APERTURE": "WFC1A-2K"}, 1.5),
        ({"EXPSTART": 57662.0, "SUBARRAY": True, "APERTURE": "WFC1-CTE"}, 0.0),
        ({"EXPSTART": 57662.0, "SUBARRAY": True, "APERTURE": "WFC2-MRAMPQ"}, 0.0),
    ],
)
def test_overhead_of_the_read_out(keys: dict[str, Any], seconds: float) -> None:
    assert overhead(exposure(**keys), {"OVRHFLS": 4.5, "OVRHUFLS": 1.5}) == seconds


@pytest.mark.parametrize(
    ("keys", "mode"),
    [
        ({"FILTER1": "F606W", "FILTER2": "CLEAR2S"}, "acs,wfc1,f606w"),
        ({"FILTER1": "F502N", "FILTER2": "POL0UV"}, "acs,wfc1,f502n,pol_uv"),
        ({"FILTER1": "POL60V", "FILTER2": "N/A"}, "acs,wfc1,pol_v"),
        ({"FILTER1": "CLEAR1S", "FILTER2": "FR656N", "LRFWAVE": 6561.4}, "acs,wfc1,fr656n#6561"),
        ({"FILTER1": "F606W", "OBSTYPE": "CORONAGRAPHIC"}, "acs,wfc1,coron,f606w"),
    ],
)
def test_modes(keys: dict[str, Any], mode: str) -> None:
    header = exposure(EXPSTART=55500.5, **keys).primary
    assert _acs_mode(header, "WFC") == (
        mode, f"{mode.upper().replace(',', ' ')} MJD#55500.5000",
    )  # fmt: skip


CCD = {
    "AMPX": 128, **{f"ATODGN{a}": g for a, g in zip("ABCD", (2.0, 1.9, 2.05, 1.95), strict=True)},
    **{f"CCDBIAS{a}": b for a, b in zip("ABCD", (2300, 2400, 2200, 2500), strict=True)},
}  # fmt: skip


def headers(chip: int, amps: str) -> tuple[Header, Header]:
    primary, sci = Header(), Header()
    primary.set("CCDAMP", amps)
    for key, value in (("CCDCHIP", chip), ("LTV1", 0.0), ("NAXIS1", 256), ("NAXIS2", 128)):
        sci.set(key, value)
    return primary, sci


@pytest.mark.parametrize(
    ("chip", "corrected", "levels"),
    [(2, False, (4510.0, 4510.0)), (1, False, (4600.0, 4600.0)), (2, True, (4510.0, 4875.0))],
)
def test_the_default_level_is_the_first_amplifiers_for_calacs(
    chip: int, corrected: bool, levels: tuple[float, float]
) -> None:
    primary, sci = headers(chip, "ABCD")
    assert overscan_row([], primary, sci, (128, 256), "osc.fits") is None
    where = layout(DETECTORS["ACS", "WFC"], primary, sci, ccd=CCD, osc=None, corrected=corrected)
    assert where.shape == (128, 256)
    assert [amp.default_level for amp in where.amps] == pytest.approx(levels, rel=1e-6)
    assert all(not amp.overscan for amp in where.amps)
