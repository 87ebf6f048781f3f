"""Simulated reference files: bias, dark, flat, full well and the tables.

They carry SIMULATE = 'OWL', and best references never gives them to a real exposure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu, write
from calibration.simulate import charge_transfer
from calibration.simulate.defects import BAD_RUNS, blemish
from calibration.simulate.detectors import ChipModel, Model

Array = Any


@dataclass(frozen=True)
class ChipTruth:
    """What the references of one chip hold."""

    bias: Array
    bias_dq: Array
    dark: Array
    dark_dq: Array
    flat: Array
    flat_dq: Array


def truth(model: Model, chip: ChipModel) -> ChipTruth:
    """Return a chip's bias structure (DN), dark (e-/s) and flat: the same at every call."""
    random = np.random.default_rng([ord(c) for c in model.detector] + [chip.chip])
    ny, nx = model.height, model.width
    raw = (model.raw_height(chip), model.raw_width)
    bias = (0.4 * np.sin(np.arange(raw[1]) / 17.0)[None, :] + random.normal(0, 0.1, raw)).astype(
        np.float32
    )
    if model.instrument != "ACS":  # their biases come after BLEVCORR: nothing in the overscan
        outside = np.ones(raw, bool)
        rows = slice(chip.trim_y[0], chip.trim_y[0] + ny)
        for amp in chip.amps:
            outside[rows, model.science(chip, amp)] = False
        bias[outside] = 0
    bias_dq = np.zeros(raw, np.int16)
    bias_dq[raw[0] // 2, 40:44] = 128
    dark = random.gamma(4.0, 5e-4, (ny, nx)).astype(np.float32)
    hot = random.random((ny, nx)) < 2e-3
    dark[hot] += random.exponential(0.5, int(hot.sum())).astype(np.float32)
    yy, xx = np.mgrid[0:ny, 0:nx].astype(np.float32)
    flat = 1 + 0.03 * np.sin(xx / nx * 5) * np.cos(yy / ny * 3) + random.normal(0, 0.01, (ny, nx))
    flat = flat.astype(np.float32)
    speck, flag = blemish(model)
    flat[speck] *= np.float32(0.8)
    flat[3, 5] = 0.0
    flat_dq = (speck * flag).astype(np.int16)
    return ChipTruth(bias, bias_dq, dark, (hot * 16).astype(np.int16), flat, flat_dq)


def flat_field(model: Model, chip: ChipModel, response: Array) -> Array:
    """Return the flat for a chip's response to light.

    Where pixels stay in DN until the end and are then multiplied by the mean gain (WFC3/UVIS), the
    flat holds the differences of the amplifiers' gains as well.
    """
    if model.instrument == "ACS" or len(chip.amps) == 1:
        return response
    mean = sum(amp.gain for amp in model.amps.values()) / len(model.amps)
    out = response.copy()
    for name in chip.amps:
        out[:, model.columns(chip, name)[1]] *= np.float32(mean / model.amps[name].gain)
    return out


def stem(model: Model) -> str:
    """Return how this model's reference files begin."""
    return f"sim{model.detector.lower()}{model.width}"


def write_references(model: Model, folder: Path, *, cte: bool = False) -> dict[str, str]:
    """Write a detector's references, with `cte` also those of PCTECORR; return keyword -> name."""
    folder.mkdir(parents=True, exist_ok=True)
    out: dict[str, str] = {}

    def put(keyword: str, ending: str, filetype: str, hdus: list[Hdu]) -> None:
        name = f"{stem(model)}_{ending}.fits"
        primary = _primary(model, name, filetype, len(hdus))
        if keyword == "PCTETAB":
            for key, value in charge_transfer.keywords().items():
                primary.header.set(key, value)
        write(folder / name, [primary, *hdus])
        out[keyword] = name

    chips = [(chip, truth(model, chip)) for chip in model.chips]
    images = partial(_images, model.trim_x, chips)
    put("BIASFILE", "bia", "BIAS", _biases(model, chips))
    put("DARKFILE", "drk", "DARK", images(lambda t: (t.dark, 1e-4, t.dark_dq)))
    flats = _images(
        model.trim_x,
        [(chip, replace(t, flat=flat_field(model, chip, t.flat))) for chip, t in chips],
        lambda t: (t.flat, 1e-3, t.flat_dq),
    )
    put("PFLTFILE", "pfl", "PIXEL-TO-PIXEL FLAT", flats)
    put("CCDTAB", "ccd", "CCD PARAMETERS", [_ccdtab(model)])
    put("BPIXTAB", "bpx", "BAD PIXELS", [_bpixtab(model)])
    put("CRREJTAB", "crr", "COSMIC RAY REJECTION", [_crrejtab()])
    put("IMPHTTAB", "imp", "IMAGE PHOTOMETRY TABLE", _imphttab(model))
    if model.instrument != "STIS":
        full = model.saturation
        put("SATUFILE", "sat", "SATURATION",
            images(lambda t: (np.full_like(t.bias, full), 0.0, None)))  # fmt: skip
        put("OSCNTAB", "osc", "OVERSCAN", [_oscntab(model)])
    if cte:
        # The simulated dark is that of the pixels, without losses: the branch with CTE
        # correction needs no other one.
        put("DRKCFILE", "dkc", "CTEDARK", images(lambda t: (t.dark, 1e-4, t.dark_dq)))
        put("PCTETAB", "cte", "PIXCTE", charge_transfer.table(model))
    if model.step != 1.0:
        put("ATODTAB", "a2d", "ANALOG-TO-DIGITAL", [_atodtab(model)])
    if model.flash:
        put("FLSHFILE", "fls", "POST FLASH",
            images(lambda t: (np.full_like(t.bias, model.flash), 1e-3, None)))  # fmt: skip
        put(
            "SNKCFILE",
            "snk",
            "SINK PIXELS",
            images(lambda t: (_sinks(t), 0.0, None)),
        )
    return out


def _primary(model: Model, name: str, filetype: str, extensions: int) -> Hdu:
    header = Header()
    for key, value in (
        ("FILENAME", name), ("FILETYPE", filetype), ("TELESCOP", "HST"),
        ("INSTRUME", model.instrument), ("DETECTOR", model.detector),
        ("USEAFTER", "Jan 01 1990 00:00:00"), ("PEDIGREE", "MODEL"),
        ("DESCRIP", f"simulated {filetype.lower()}"), ("NEXTEND", extensions),
        ("NUMCOLS", model.raw_width), ("NUMROWS", model.raw_height(model.chips[0])),
    ):  # fmt: skip
        header.set(key, value)
    header.set("SIMULATE", "OWL", "simulated: not for real exposures")
    return image_hdu(header, None, primary=True)


def _images(
    trim_x: int,
    chips: list[tuple[ChipModel, ChipTruth]],
    parts: Callable[[ChipTruth], tuple[Array, float, Array | None]],
) -> list[Hdu]:
    out = []
    for version, (chip, values) in enumerate(chips, 1):
        sci, error, dq = parts(values)
        flags = np.zeros(sci.shape, np.int16) if dq is None else dq
        arrays = {"SCI": sci, "ERR": np.full(sci.shape, error, np.float32), "DQ": flags}
        for name, array in arrays.items():
            header = Header()
            header.set("EXTNAME", name)
            header.set("EXTVER", version)
            header.set("CCDCHIP", chip.chip)
            whole = sci.shape == values.bias.shape  # with overscan: where the light begins
            header.set("LTV1", float(trim_x if whole else 0))
            header.set("LTV2", float(chip.trim_y[0] if whole else 0))
            out.append(image_hdu(header, array))
    return out


def _biases(model: Model, chips: list[tuple[ChipModel, ChipTruth]]) -> list[Hdu]:
    """Return the biases: raw frames, but trimmed ones for STIS, as calstis wants them."""
    if model.instrument != "STIS":
        return _images(model.trim_x, chips, lambda t: (t.bias, 0.05, t.bias_dq))
    x, y = model.trim_x, model.chips[0].trim_y[0]
    here = slice(y, y + model.height), slice(x, x + model.width)
    return _images(model.trim_x, chips, lambda t: (t.bias[here], 0.05, t.bias_dq[here]))


def _sinks(values: ChipTruth) -> Array:
    """Return a sink map with one sink: since MJD 52000, charge lost up to 900 DN behind it."""
    out = np.zeros_like(values.bias)
    row = out.shape[0] // 2
    out[row, 60] = 52000.0
    out[row - 1, 60] = out[row + 1, 60] = -1.0
    out[row + 1, 60] = out[row - 2, 60] = 900.0
    return out


def a_to_d_values(model: Model) -> Array:
    """Return the true value (DN) of each digital value."""
    table = np.arange(65536, dtype=np.float64)
    return table + (model.step - 1) * np.maximum(table - model.knee, 0)


def _atodtab(model: Model) -> Hdu:
    table = a_to_d_values(model)
    return table_hdu(
        "ATODTAB",
        [
            Column("CCDAMP", "20A", [model.read_out]),
            Column("CCDGAIN", "E", [model.gain]),
            Column("REF_KEY", "20A", ["EXPSTART"]),
            Column("REF_KEY_VALUE", "D", [50000.0]),
            Column("NELEM", "J", [len(table)]),
            Column("ATOD", f"{len(table)}E", [table]),
        ],
    )


def _ccdtab(model: Model) -> Hdu:
    count = len(model.chips)
    level = {"WFC3": 65000.0, "STIS": model.saturation}.get(model.instrument, model.saturation)

    def per_amp(key: str, form: str, value: Callable[[Any], float]) -> list[Column]:
        return [
            Column(f"{key}{a}", form, [value(model.amps[a]) if a in model.amps else 0.0] * count)
            for a in "ABCD"
        ]

    one = next(iter(model.amps.values()))
    columns = [
        Column("CCDAMP", "20A", [model.read_out] * count),
        Column("CCDCHIP", "J", [c.chip for c in model.chips]),
        Column("CCDGAIN", "E", [model.gain] * count),
        *per_amp("ATODGN", "E", lambda a: a.gain),
        *per_amp("READNSE", "E", lambda a: a.read_noise),
        *per_amp("CCDBIAS", "E", lambda a: a.level),
        Column("AMPX", "J", [model.width // 2 if count > 1 else 0] * count),
        Column("ATODSAT", "J", [65534] * count),
        Column("SATURATE", "E", [level] * count),
    ]
    if model.instrument == "STIS":
        columns += [
            Column("ATODGAIN", "E", [one.gain]),
            Column("READNSE", "E", [one.read_noise]),
            Column("CCDBIAS", "E", [one.level]),
        ]
    return table_hdu("CCDTAB", columns)


def _oscntab(model: Model) -> Hdu:
    count, nx, trim = len(model.chips), model.raw_width, model.trim_x
    middle = nx // 2
    sections = {"A": (6, trim), "B": (nx - trim + 1, nx - 5)}
    if model.gap:
        sections["C"] = (middle - model.gap // 2 + 4, middle)
        sections["D"] = (middle + 1, middle + model.gap // 2 - 3)
    columns = [
        Column("CCDAMP", "20A", [model.read_out] * count),
        Column("CCDCHIP", "J", [c.chip for c in model.chips]),
        Column("NX", "J", [nx] * count),
        Column("NY", "J", [model.raw_height(c) for c in model.chips]),
        Column("TRIMX1", "J", [trim] * count),
        Column("TRIMX2", "J", [trim] * count),
        Column("TRIMX3", "J", [model.gap // 2] * count),
        Column("TRIMX4", "J", [model.gap // 2] * count),
        Column("TRIMY1", "J", [c.trim_y[0] for c in model.chips]),
        Column("TRIMY2", "J", [c.trim_y[1] for c in model.chips]),
    ]
    if model.gap:
        columns += _virtual_columns(model, count)
    else:
        columns += [Column(k, "J", [0] * count) for k in ("VX1", "VX2", "VY1", "VY2")]
    for name, (first, last) in sections.items():
        columns.append(Column(f"BIASSECT{name}1", "J", [first] * count))
        columns.append(Column(f"BIASSECT{name}2", "J", [last] * count))
    return table_hdu("OSCNTAB", columns)


def _virtual_columns(model: Model, count: int) -> list[Column]:
    """Return where UVIS has its parallel virtual overscan: above chip 2, below chip 1."""
    nx, trim, half = model.raw_width, model.trim_x, model.width // 2
    columns = {
        "VX1": trim + 1, "VX2": trim + half, "VX3": nx - trim - half + 1, "VX4": nx - trim,
    }  # fmt: skip
    out = [Column(key, "J", [value] * count) for key, value in columns.items()]
    first, last = [], []
    for chip in model.chips:
        below = chip.trim_y[0]
        first.append(2 if below else model.height + 3)
        last.append(below - 1 if below else model.height + chip.trim_y[1])
    for key, rows in (("VY1", first), ("VY2", last), ("VY3", first), ("VY4", last)):
        out.append(Column(key, "J", rows))
    return out


def _bpixtab(model: Model) -> Hdu:
    chips = [c.chip for c in model.chips for _ in BAD_RUNS]
    x, y, length, axis, value = map(list, zip(*(BAD_RUNS * len(model.chips)), strict=True))
    return table_hdu(
        "BPIXTAB",
        [
            Column("CCDAMP", "20A", [model.read_out] * len(chips)),
            Column("CCDCHIP", "J", chips),
            Column("CCDGAIN", "E", [-999.0] * len(chips)),
            Column("PIX1", "J", x),
            Column("PIX2", "J", y),
            Column("LENGTH", "J", length),
            Column("AXIS", "J", axis),
            Column("VALUE", "J", value),
        ],
    )


def _crrejtab() -> Hdu:
    splits = [2, 3, 4, 8]
    count = len(splits)
    return table_hdu(
        "CRREJTAB",
        [
            Column("CRSPLIT", "J", splits),
            Column("MEANEXP", "E", [1e6] * count),
            Column("SCALENSE", "E", [30.0] * count),
            Column("INITGUES", "8A", ["min"] * count),
            Column("SKYSUB", "8A", ["mode"] * count),
            Column("CRSIGMAS", "24A", ["6.5,5.5,4.5"] * count),
            Column("CRRADIUS", "E", [2.1] * count),
            Column("CRTHRESH", "E", [0.5555] * count),
            Column("BADINPDQ", "I", [39] * count),
            Column("CRMASK", "J", [1] * count),
        ],
    )


def _imphttab(model: Model) -> list[Hdu]:
    modes = list(model.photometry)
    out = [
        table_hdu(
            name,
            [
                Column("OBSMODE", "40A", modes),
                Column("DATACOL", "12A", [name] * len(modes)),
                Column(name, "D", [model.photometry[m][i] for m in modes]),
            ],
        )
        for i, name in enumerate(("PHOTFLAM", "PHOTPLAM", "PHOTBW"), 1)
    ]
    for number, factor in ((1, 1.0), (2, 1 / model.efficiency)) if model.efficiency != 1 else ():
        name = f"PHTFLAM{number}"
        columns = [
            Column("OBSMODE", "40A", modes),
            Column("DATACOL", "12A", [name] * len(modes)),
            Column(name, "D", [model.photometry[m][1] * factor for m in modes]),
        ]
        out.append(table_hdu(name, columns))
    return out
