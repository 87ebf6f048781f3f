"""CA for COS: calcos when it is installed; a labelled quick look of simulated events when not.

The quick look is a boxcar extraction with the simulator's own dispersion. It has no geometric or
thermal correction, no dead time, no flat, no flux calibration: real exposures never get it.
"""

from __future__ import annotations

import numpy as np

from calibration.arrays.extract import extract
from calibration.context import Context, step
from calibration.fits import Column, image_hdu, read, table_hdu, write
from calibration.fits.tables import read_columns

_SHAPE = (1024, 16384)


def run(context: Context) -> None:
    """Calibrate a COS exposure."""
    path = context.raw()
    hdus = read(path)
    simulated = hdus[0].header.text("SIMULATE") == "OWL"
    if not simulated:
        from calibration.nodes.calcos import run as run_calcos

        run_calcos(context)
        return
    events = next(h for h in hdus if h.name == "EVENTS")
    table = read_columns(events)
    x, y = table["RAWX"].astype(np.int64), table["RAWY"].astype(np.int64)
    spectrum = extract(x, y, _SHAPE)
    primary = hdus[0].header.copy()
    out = context.product("qlx")
    primary.set("FILENAME", out.name)
    primary.set("FILETYPE", "QUICKLOOK")
    primary.set("NEXTEND", 1)
    primary.set("QUICKLK", True, "quick look of SIMULATED data; not calcos")
    primary.set("TRACE", spectrum.trace, "row of the spectrum")
    primary.history(
        "QUICK LOOK by OWL, NOT calibrated by calcos: boxcar extraction of simulated events;",
        "no geometric, thermal, dead-time, flat-field or flux calibration. Not for science.",
    )
    zero = primary.real("SIMWAVE0", 0.0)
    wavelength = zero + primary.real("SIMDISP", 1.0) * np.arange(_SHAPE[1])
    columns = [
        Column("WAVELENGTH", "D", wavelength),
        Column("GROSS", "E", spectrum.gross),
        Column("BACKGROUND", "E", spectrum.background),
        Column("NET", "E", spectrum.net),
        Column("ERROR", "E", spectrum.error),
    ]
    write(out, [image_hdu(primary, None, primary=True), table_hdu("SPECTRUM", columns)])
    step(f"CA {out.name} written: QUICK LOOK of {x.size} simulated events, not calcos")
