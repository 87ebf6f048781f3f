"""CA for COS: calcos when it is installed; a labelled quick look of simulated events when not.

The quick look is a boxcar extraction with the simulator's own dispersion. It has no geometric or
thermal correction, no dead time, no flat, no flux calibration: real exposures never get it.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np

from calibration.arrays.extract import extract
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Column, image_hdu, read, table_hdu, write
from calibration.fits.tables import read_columns

_SHAPE = (1024, 16384)


def run(context: Context) -> None:
    """Calibrate a COS exposure."""
    path = context.raw()
    hdus = read(path)
    simulated = hdus[0].header.text("SIMULATE") == "OWL"
    if not simulated:
        if find_spec("calcos") is None:
            raise CalibrationError(
                ExitCode.CALCOS_MISSING,
                f"{path.name} is a real COS exposure: install calcos in the nodes' Python "
                "(pip install calcos); OWL has no COS calibration of its own",
            )
        _run_calcos(context)
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


def _run_calcos(context: Context) -> None:
    """Call calcos as a program of its own; its reference folder is OWL's."""
    import os

    environment = dict(os.environ, lref=f"{context.references}/")
    done = subprocess.run(
        [sys.executable, "-m", "calcos", str(context.raw()), "-o", str(context.folder)],
        env=environment,
        check=False,
    )
    if done.returncode in (-9, 137):
        raise CalibrationError(
            ExitCode.SUBPROCESS_MEMORY_ERROR, "calcos was killed: request more memory"
        )
    if done.returncode != 0:
        raise CalibrationError(
            ExitCode.CALIBRATION_ERROR,
            f"calcos ended with exit code {done.returncode}; its messages are above",
        )
