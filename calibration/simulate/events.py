"""Simulated COS time-tag events: a spectrum with emission lines over a flat background."""

from __future__ import annotations

import numpy as np

from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu

DATASET = "lsimc1a1q"
TRACE, WIDTH = 500.0, 3.0
DISPERSION, FIRST_WAVELENGTH = 0.00997, 1150.0


def raw_events(dataset: str, seconds: float = 300.0, seed: int = 1) -> list[Hdu]:
    """Return the HDUs of a ``_rawtag_a`` file: EVENTS and GTI."""
    random = np.random.default_rng([seed, 99])
    source = int(60_000 * seconds / 300)
    background = source // 4
    lines = random.choice([3000.0, 7200.0, 11500.0], source // 3) + random.normal(0, 6, source // 3)
    x = np.concatenate([random.uniform(500, 16000, source - lines.size), lines])
    y = random.normal(TRACE, WIDTH, x.size)
    x = np.concatenate([x, random.uniform(0, 16384, background)])
    y = np.concatenate([y, random.uniform(0, 1024, background)])
    time = np.sort(random.uniform(0, seconds, x.size)).astype(np.float32)
    order = random.permutation(x.size)
    header = Header()
    for key, value in (
        ("FILENAME", f"{dataset}_rawtag_a.fits"), ("FILETYPE", "EVENTS"), ("TELESCOP", "HST"),
        ("INSTRUME", "COS"), ("DETECTOR", "FUV"), ("SEGMENT", "FUVA"), ("ROOTNAME", dataset),
        ("TARGNAME", "SIM"), ("PROPOSID", 9999), ("OBSMODE", "TIME-TAG"), ("OPT_ELEM", "G130M"),
        ("DATE-OBS", "2010-01-01"), ("TIME-OBS", "00:00:00"), ("EXPSTART", 55197.0),
        ("EXPTIME", seconds), ("NEXTEND", 2), ("SIMTRACE", TRACE), ("SIMWAVE0", FIRST_WAVELENGTH),
        ("SIMDISP", DISPERSION),
    ):  # fmt: skip
        header.set(key, value)
    header.set("SIMULATE", "OWL", "simulated exposure")
    events = table_hdu(
        "EVENTS",
        [
            Column("TIME", "E", time),
            Column("RAWX", "I", np.clip(x[order], 0, 16383).astype(np.int16)),
            Column("RAWY", "I", np.clip(y[order], 0, 1023).astype(np.int16)),
            Column("PHA", "B", random.integers(4, 25, x.size).astype(np.uint8)),
        ],
    )
    good = table_hdu("GTI", [Column("START", "D", [0.0]), Column("STOP", "D", [seconds])])
    return [image_hdu(header, None, primary=True), events, good]
