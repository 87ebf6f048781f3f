"""The orders of calwf3 and calstis against plain whole-frame versions, and each rule by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calibration.arrays.chip import Amp, Chip, Counts, Image, Virtual
from calibration.arrays.counts import product_of_flats
from calibration.arrays.counts_levels import clip_high, reject_high
from calibration.arrays.kernel import calibrate
from calibration.arrays.sink import flag_sinks
from calibration.instruments.counts_layout import stis_layout, uvis_layout
from calibration.instruments.data_quality import FLAGS, flag_names

F = np.float32
TRIM, HALF, GAP, HIGH, BELOW = 5, 20, 8, 24, 6
WIDE = 2 * (TRIM + HALF) + GAP
SHAPE = (HIGH + BELOW, WIDE)
LEFT, RIGHT = slice(TRIM, TRIM + HALF), slice(TRIM + HALF + GAP, WIDE - TRIM)
ROWS = slice(BELOW, None)
GAINS, NOISES, LEVELS = (1.56, 1.5), (3.0, 3.2), (2500.0, 2600.0)
MEAN_GAIN = 1.53


def image(random: Any, shape: tuple[int, int], mean: float, spread: float) -> Image:
    sci = random.normal(mean, spread, shape).astype(F)
    dq = (random.random(shape) < 0.01).astype(np.int16) * np.int16(16)
    return Image(sci, np.full(shape, spread / 5, F), dq)


def uvis_chip(seed: int = 1) -> Chip:
    """Chip 1: overscan rows below, its amplifiers above; two amplifiers and the gap between."""
    random = np.random.default_rng(seed)
    raw = random.normal(0, 2, SHAPE) + 0.02 * np.arange(SHAPE[0])[:, None]
    raw[:, : WIDE // 2] += LEVELS[0]
    raw[:, WIDE // 2 :] += LEVELS[1]
    raw += 0.01 * np.arange(WIDE)
    raw[ROWS, LEFT] += random.exponential(300, (HIGH, HALF))
    raw[ROWS, RIGHT] += random.exponential(300, (HIGH, HALF))
    raw[12, WIDE // 2 - 3 : WIDE // 2] += 500  # a ray in the overscan
    out = slice(0, HALF), slice(HALF, 2 * HALF)
    middle = ((WIDE // 2 - 4, WIDE // 2),), ((WIDE // 2, WIDE // 2 + 4),)
    amps = [
        Amp(a, GAINS[i], NOISES[i], LEVELS[i], (LEFT, RIGHT)[i], out[i], middle[i],
            virtual=Virtual((x.start, x.stop), (1, BELOW - 1)))
        for i, (a, x) in enumerate(zip("AB", (LEFT, RIGHT), strict=True))
    ]  # fmt: skip
    trimmed = (HIGH, 2 * HALF)
    sink = np.zeros(SHAPE, F)
    sink[20, 9], sink[21, 9], sink[19, 9], sink[18, 9] = 52000.0, -1.0, 900.0, 1.0
    flat = image(random, trimmed, 1.0, 0.02)
    flat.sci[3, 5] = 0
    counts = Counts(
        gain=MEAN_GAIN,
        lookup=(np.arange(4000) * 1.01).astype(F),
        raw_limit=3900.0,
        flash=image(random, SHAPE, 3.0, 0.1),
        flash_time=2.0,
        sink=sink,
        start=55000.0,
        down=False,
        flats=[image(random, trimmed, 1.0, 0.01)],
    )
    return Chip(
        raw=np.clip(np.rint(raw), 0, 65535).astype(np.uint16), zero=0.0,
        dq=np.zeros(SHAPE, np.int16), amps=amps, trim_y=BELOW, shape=trimmed, serious=31743,
        a_to_d_limit=65534.0, bias=image(random, SHAPE, 0.0, 0.5),
        dark=image(random, trimmed, 0.01, 0.005), dark_time=400.0, flat=flat,
        full_well=np.full(SHAPE, 900.0, F), electrons=False, counts=counts,
    )  # fmt: skip


def plain_level(sci: Any, dq: Any, amp: Amp, chip: Chip) -> Any:
    """Fit as calwf3: medians per line, two passes of clipping, the line at untrimmed rows."""

    def clipped(x: Any, y: Any) -> tuple[float, float]:
        noise = amp.read_noise / amp.gain
        keep = ~(y > y.mean() + 3.5 * min(y.std(), np.sqrt(y.mean())))
        keep &= ~(y > y[keep].mean() + 2.0 * noise)
        slope, intercept = np.polyfit(x[keep], y[keep], 1)
        return float(slope), float(intercept)

    first, end = amp.overscan[0]
    lines = sci[chip.trim_y :, first:end].astype(float)
    lines = np.where(dq[chip.trim_y :, first:end] & chip.serious, np.nan, lines)
    slope, intercept = clipped(
        np.arange(chip.shape[0]) - chip.shape[0] // 2, np.nanmedian(lines, 1)
    )
    assert amp.virtual is not None
    columns, rows = slice(*amp.virtual.columns), slice(*amp.virtual.rows)
    under = np.median(sci[rows, columns].astype(float), axis=0)
    drift, _ = clipped(np.arange(columns.start, columns.stop), under)
    y = np.arange(sci.shape[0]) - chip.shape[0] // 2
    x = np.arange(sci.shape[1]) - (first + end - 1) / 2
    return intercept + slope * y[:, None] + drift * x[None, :]


def plain_calwf3(chip: Chip) -> tuple[Any, Any, Any]:
    """Go through calwf3's steps one after the other over the whole frame."""
    counts, bias = chip.counts, chip.bias
    assert counts is not None
    assert counts.lookup is not None
    assert counts.flash is not None
    assert bias is not None
    assert chip.full_well is not None
    raw, dq = chip.raw.astype(F), chip.dq.copy()
    parts = []
    science = np.zeros(SHAPE, bool)
    for amp in chip.amps:
        science[ROWS, amp.raw_x] = True
    over = (raw > counts.raw_limit) & ~science
    dq |= over * np.int16(256)
    sci = counts.lookup[np.minimum(raw.astype(int), len(counts.lookup) - 1)]
    dq |= (raw >= len(counts.lookup)) * np.int16(256)
    for amp in chip.amps:
        x = amp.raw_x
        gain, noise = F(amp.gain), F(amp.read_noise)
        signal = np.maximum((raw - F(amp.bias_level)) * gain, F(0))
        err = (np.sqrt((signal + noise * noise).astype(float)) / gain).astype(F)
        level = plain_level(sci, dq, amp, chip)
        now = (sci.astype(float) - level).astype(F) - bias.sci
        err = np.sqrt(err * err + bias.err * bias.err)
        flags = dq | bias.dq | ((now > chip.full_well / F(counts.gain)) * np.int16(256))
        for y, at in ((20, 9), (21, 9), (19, 9)):  # the sink's level is below 900 DN
            if x.start <= at < x.stop:
                flags[y, at] |= 1024
        scale = F(counts.flash_time / amp.gain)
        now = now - counts.flash.sci * scale
        more = counts.flash.err * scale
        err, flags = np.sqrt(err * err + more * more), flags | counts.flash.dq
        parts.append([a[ROWS, x] for a in (now, err, flags)])
    sci, err, dq = (np.concatenate([p[i] for p in parts], axis=1) for i in range(3))
    gains = np.repeat(np.array(GAINS), HALF)[None, :]
    assert chip.dark is not None
    assert chip.flat is not None
    scale = (chip.dark_time / gains).astype(F)
    more = chip.dark.err * scale
    sci, err, dq = sci - chip.dark.sci * scale, np.sqrt(err * err + more * more), dq | chip.dark.dq
    for number, flat in enumerate((chip.flat, *counts.flats)):
        k = F(1) / F(counts.gain) if number == 0 else F(1)
        f, e = flat.sci * k, flat.err * k
        dead = f == 0
        f[dead] = 1
        a, b = err / f, e * sci / f / f
        err = np.where(dead, err, np.sqrt(a * a + b * b))
        sci, dq = np.where(dead, sci, sci / f), dq | flat.dq | dead * np.int16(512)
    return sci, err, dq


def test_uvis_is_what_calwf3_does_step_by_step() -> None:
    chip = uvis_chip()
    sci, err, dq = plain_calwf3(uvis_chip())
    result = calibrate(chip)
    np.testing.assert_array_equal(result.dq, dq)
    np.testing.assert_allclose(result.sci, sci, atol=2e-4)
    np.testing.assert_allclose(result.err, err, rtol=1e-6)
    assert {256, 512, 1024} <= {b for b in (256, 512, 1024) if (dq & b).any()}


def no_lookup(_: Chip, counts: Counts) -> None:
    counts.lookup = None


def lookup_after_level(chip: Chip, counts: Counts) -> None:
    assert counts.lookup is not None
    counts.lookup = counts.lookup + F(1) * (np.arange(len(counts.lookup)) > 2700)


def no_flash(chip: Chip, counts: Counts) -> None:
    counts.flash = None


def flash_without_gain(chip: Chip, counts: Counts) -> None:
    counts.flash_time *= GAINS[0]


def no_sink(chip: Chip, counts: Counts) -> None:
    counts.sink = None


def sink_of_the_other_chip(chip: Chip, counts: Counts) -> None:
    counts.down = True


def sink_before_it_was_one(chip: Chip, counts: Counts) -> None:
    counts.start = 51000.0


def own_gain_for_the_mean(chip: Chip, counts: Counts) -> None:
    counts.gain = GAINS[0]


def one_flat(chip: Chip, counts: Counts) -> None:
    counts.flats = ()


def no_bias(chip: Chip, counts: Counts) -> None:
    chip.bias = None


def bias_of_the_wrong_rows(chip: Chip, counts: Counts) -> None:
    assert chip.bias is not None
    chip.bias = Image(*(np.roll(a, 1, 0) for a in (chip.bias.sci, chip.bias.err, chip.bias.dq)))


def no_dark(chip: Chip, counts: Counts) -> None:
    chip.dark = None


def no_drift(chip: Chip, counts: Counts) -> None:
    for amp in chip.amps:
        amp.virtual = None


def swapped_overscan(chip: Chip, counts: Counts) -> None:
    a, b = chip.amps
    a.overscan, b.overscan = b.overscan, a.overscan


def swapped_gains(chip: Chip, counts: Counts) -> None:
    a, b = chip.amps
    a.gain, b.gain = b.gain, a.gain


def no_full_well(chip: Chip, counts: Counts) -> None:
    chip.full_well = np.full(SHAPE, 1e9, F)


@pytest.mark.parametrize(
    "mutate",
    [
        no_lookup, lookup_after_level, no_flash, flash_without_gain, no_sink,
        sink_of_the_other_chip, sink_before_it_was_one, own_gain_for_the_mean, one_flat, no_bias,
        bias_of_the_wrong_rows, no_dark, no_drift, swapped_overscan, swapped_gains, no_full_well,
    ],
)  # fmt: skip
def test_every_broken_rule_shows(mutate: Callable[[Chip, Counts], None]) -> None:
    sci, err, dq = plain_calwf3(uvis_chip())
    chip = uvis_chip()
    assert chip.counts is not None
    mutate(chip, chip.counts)
    result = calibrate(chip)
    same = (
        np.array_equal(result.dq, dq)
        and np.allclose(result.sci, sci, atol=2e-4)
        and np.allclose(result.err, err, rtol=1e-6)
    )
    assert not same


def test_without_overscan_the_level_is_the_tables() -> None:
    chip = uvis_chip()
    for amp in chip.amps:
        amp.overscan, amp.virtual = (), None
    assert calibrate(chip).levels == {"A": LEVELS[0], "B": LEVELS[1]}


def test_clipping_rejects_only_what_is_high() -> None:
    values = np.array([10.0, 10.2, 9.8, 10.1, 9.9, 10.0, 60.0, 2.0, np.nan, 12.5])
    kept = clip_high(values, 0.5)
    assert kept.tolist() == [True] * 6 + [False, True, False, False]
    assert not clip_high(np.array([np.nan]), 1.0).any()


def test_calstis_replaces_very_high_virtual_overscan() -> None:
    values = np.random.default_rng(3).normal(1500, 2, (20, 60)).astype(F)
    values[4, 7] = values[9, 58] = 9000
    out = reject_high(values)
    assert abs(float(out[4, 7]) - 1500) < 5
    assert abs(float(out[9, 58]) - 1500) < 5
    assert (out != values).sum() == 2


def test_a_sink_flags_itself_its_neighbour_and_the_charge_behind_it() -> None:
    sink = np.zeros((8, 3), F)
    sink[2, 1], sink[1, 1] = 52000.0, -1.0
    sink[3:6, 1] = 900.0, 50.0, 900.0  # the sink has 100 DN: not below 50, and on behind it
    sink[7, 1] = 900.0  # behind a gap
    dq = np.zeros((8, 3), np.int16)
    number = flag_sinks(dq, sink, 55000.0, lambda y, x: np.full(len(y), 100.0), down=True)
    assert number == 1
    assert np.argwhere(dq == 1024).tolist() == [[1, 1], [2, 1], [3, 1], [5, 1]]


def stis_chip() -> Chip:
    random = np.random.default_rng(8)
    raw = np.rint(random.normal(1500, 3, (30, 40)))
    raw[4:, 6:34] += 100
    raw[10, 12] = 40000
    trimmed = (26, 28)
    amp = Amp("D", 2.0, 5.0, 1400.0, slice(6, 34), slice(0, 28), ((1, 5),))
    amp.virtual = Virtual((6, 34), (0, 4))
    flats = [image(random, trimmed, 1.0, 0.02) for _ in range(2)]
    return Chip(
        raw=raw.astype(np.uint16), zero=0.0, dq=np.zeros((30, 40), np.int16), amps=[amp], trim_y=4,
        shape=trimmed, serious=31743, bias=image(random, trimmed, 1.0, 0.1),
        dark=image(random, trimmed, 0.01, 0.001), dark_time=100.0, flat=flats[0], electrons=False,
        counts=Counts(stis=True, raw_limit=33000.0, dark_factor=1.14, flats=flats[1:],
                      shading=image(random, trimmed, 0.01, 0.001), shutter_time=100.0),
    )  # fmt: skip


def plain_calstis(chip: Chip) -> tuple[Any, Any, Any]:
    counts, bias, dark, flat = chip.counts, chip.bias, chip.dark, chip.flat
    assert counts is not None
    assert bias is not None
    assert dark is not None
    assert flat is not None
    assert counts.shading is not None
    raw = chip.raw.astype(F)
    rows, columns = slice(4, 30), slice(6, 34)
    dq = (raw > 33000)[rows, columns] * np.int16(256)
    level = np.polyfit(np.arange(26) - 13, np.median(raw[rows, 1:5].astype(float), axis=1), 1)
    drift = np.polyfit(np.arange(6, 34), np.median(raw[0:4, columns].astype(float), axis=0), 1)[0]
    y, x = np.arange(26)[:, None] - 13, np.arange(6, 34)[None, :] - 2.5
    sci = (raw[rows, columns].astype(float) - level[1] - level[0] * y - drift * x).astype(F)
    err = np.sqrt(np.maximum(sci * F(2), F(0)) + F(25)) / F(2)
    sci, err, dq = sci - bias.sci, np.hypot(err, bias.err), dq | bias.dq
    k = F(1.14 * 100 / 2.0)
    sci, err, dq = sci - dark.sci * k, np.hypot(err, dark.err * k), dq | dark.dq
    more = counts.flats[0]
    f, e = flat.sci * more.sci, np.hypot(flat.err * more.sci, more.err * flat.sci)
    err, sci = np.hypot(err / f, e * sci / f / f), sci / f
    s, e = counts.shading.sci / F(100) + F(1), counts.shading.err / F(100)
    err, sci = np.hypot(err / s, e * sci / s / s), sci / s
    return sci, err, dq | flat.dq | more.dq | counts.shading.dq


def test_stis_is_what_calstis_does_step_by_step() -> None:
    sci, err, dq = plain_calstis(stis_chip())
    result = calibrate(stis_chip())
    np.testing.assert_array_equal(result.dq, dq)
    np.testing.assert_allclose(result.sci, sci, atol=2e-4)
    np.testing.assert_allclose(result.err, err, rtol=1e-5)


def stis_no_factor(chip: Chip, counts: Counts) -> None:
    counts.dark_factor = 1.0


def stis_no_shading(chip: Chip, counts: Counts) -> None:
    counts.shading = None


def stis_no_second_flat(chip: Chip, counts: Counts) -> None:
    counts.flats = ()


def stis_limit(chip: Chip, counts: Counts) -> None:
    counts.raw_limit = 50000.0


@pytest.mark.parametrize(
    "mutate", [stis_no_factor, stis_no_shading, stis_no_second_flat, stis_limit, no_dark, no_drift]
)
def test_every_broken_rule_of_stis_shows(mutate: Callable[[Chip, Counts], None]) -> None:
    sci, _, dq = plain_calstis(stis_chip())
    chip = stis_chip()
    assert chip.counts is not None
    mutate(chip, chip.counts)
    result = calibrate(chip)
    assert not (np.allclose(result.sci, sci, atol=2e-4) and np.array_equal(result.dq, dq))


def test_the_product_of_flats_has_both_errors() -> None:
    one = np.full((1, 1), 2.0, F), np.full((1, 1), 0.1, F), np.ones((1, 1), np.int16)
    other = np.full((1, 1), 3.0, F), np.full((1, 1), 0.2, F), np.full((1, 1), 2, np.int16)
    sci, err, dq = product_of_flats([one, other])
    assert (float(sci[0, 0]), int(dq[0, 0])) == (6.0, 3)
    assert float(err[0, 0]) == pytest.approx(np.hypot(0.3, 0.4))


STIS_ROW = {"ATODGAIN": 1.0, "READNSE": 5.4, "CCDBIAS": 1510.0, "SATURATE": 33000.0}


@pytest.mark.parametrize(
    ("amp", "shape", "bins", "trim", "size", "section"),
    [
        ("A", (1044, 1062), (1, 1), (19, 0), (1024, 1024), (1046, 1061)),
        ("D", (1044, 1062), (1, 1), (19, 20), (1024, 1024), (1, 16)),
        ("D", (500, 1060), (1, 1), (18, 0), (500, 1024), (0, 14)),
        ("D", (100, 100), (1, 1), (0, 0), (100, 100), None),
        ("A", (522, 532), (2, 2), (10, 0), (512, 511), (524, 531)),
        ("C", (266, 1060), (1, 4), (19, 10), (256, 1024), (1046, 1053)),
    ],
    ids=["A", "D", "whole width", "narrow", "binned 2 x 2", "binned 1 x 4"],
)
def test_layout_of_stis(
    amp: str, shape: Any, bins: Any, trim: Any, size: Any, section: Any
) -> None:
    where = stis_layout(amp, shape, bins, STIS_ROW)
    assert ((where.trim_x, where.trim_y), where.shape) == (trim, size)
    assert where.amps[0].overscan == ((section,) if section else ())


UVIS_CCD = {"AMPX": 2048, **{f"ATODGN{a}": g for a, g in zip("ABCD", (1, 2, 3, 4), strict=True)}}
UVIS_OSC = {
    "NX": 4206, "NY": 2070, "TRIMX1": 25, "TRIMX2": 25, "TRIMX3": 30, "TRIMX4": 30, "TRIMY1": 0,
    "TRIMY2": 19, "VX1": 27, "VX2": 2073, "VX3": 2134, "VX4": 4180, "VY1": 2054, "VY2": 2070,
    "VY3": 2054, "VY4": 2070, "BIASSECTA1": 6, "BIASSECTA2": 25, "BIASSECTB1": 4182,
    "BIASSECTB2": 4201, "BIASSECTC1": 2074, "BIASSECTC2": 2103, "BIASSECTD1": 2104,
    "BIASSECTD2": 2133,
}  # fmt: skip


def test_layout_of_a_full_uvis_frame() -> None:
    where = uvis_layout("ABCD", 2, (2070, 4206), ltv1=25.0, ccd=UVIS_CCD, osc=UVIS_OSC, part=False)
    assert where.shape == (2051, 4096)
    assert where.gain == 2.5
    left, right = where.amps
    assert (left.name, left.raw_x, left.overscan) == ("C", slice(25, 2073), ((2073, 2103),))
    assert (right.name, right.raw_x, right.overscan) == ("D", slice(2133, 4181), ((2103, 2133),))
    assert left.virtual == Virtual((26, 2073), (2053, 2069))
    assert right.virtual == Virtual((2133, 4180), (2053, 2069))


@pytest.mark.parametrize(
    ("ltv1", "nx", "trim", "width", "section"),
    [
        (25.0, 513, 25, 488, (5, 25)),  # begins with the physical overscan
        (-100.0, 512, 0, 512, None),
    ],
)
def test_layout_of_uvis_subarrays(
    ltv1: float, nx: int, trim: int, width: int, section: tuple[int, int] | None
) -> None:
    osc = {**UVIS_OSC, "NX": 4206}
    where = uvis_layout("C", 2, (512, nx), ltv1=ltv1, ccd=UVIS_CCD, osc=osc, part=True)
    assert (where.trim_x, where.shape) == (trim, (512, width))
    assert where.amps[0].overscan == ((section,) if section else ())
    assert where.amps[0].name == "C"


def test_flags_have_names() -> None:
    assert flag_names("WFC3", 1024 | 8192) == ["sink", "cosmic ray"]
    assert flag_names("STIS", 32) == ["large blemish"]
    assert flag_names("STIS", 64) == ["64"]
    for flags in FLAGS.values():
        assert all(int(f).bit_count() == 1 for f in flags)
