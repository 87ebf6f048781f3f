"""JIT: the engineering stream of an exposure to ``_jit``, laid out as Hubble's jitter tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibration.arrays import jitter
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Column, Hdu, Header, image_hdu, table_hdu, write
from calibration.telemetry.engineering import Engineering, collect, parts_of

#: All columns of a `_jit` table in their order, on which programs that read by number count. What
#: the stream does not know (guide stars, orbit, magnetic field) is NaN, or -1 for flags.
_FLOATS = (
    "Seconds", "V2_dom", "V3_dom", "V2_roll", "V3_roll", "SI_V2_AVG", "SI_V2_RMS", "SI_V2_P2P",
    "SI_V3_AVG", "SI_V3_RMS", "SI_V3_P2P", "RA", "DEC", "Roll", "LimbAng", "TermAng", "LOS_Zenith",
    "Latitude", "Longitude", "Mag_V1", "Mag_V2", "Mag_V3",
)  # fmt: skip
_UNKNOWN_FLAG = -1
_FLAGS = {
    "BrightLimb": _UNKNOWN_FLAG, "FGS_flags": _UNKNOWN_FLAG, "DayNight": _UNKNOWN_FLAG,
    "Recenter": 0, "TakeData": 1, "SlewFlag": 0,
}  # fmt: skip
_MAS = 1e-3


def run(context: Context) -> None:
    """Write the jitter file; gaps of the stream are counted, not filled."""
    paths = parts_of(context.incoming, context.dataset)
    if not paths:
        raise CalibrationError(
            ExitCode.INPUT_MISSING,
            f"no {context.dataset}.eng or {context.dataset}_<n>.eng is in {context.incoming}; "
            "deliver the engineering stream",
        )
    found = collect(((path.name, path.read_bytes()) for path in paths), context.dataset)
    if not len(found.samples):
        raise CalibrationError(
            ExitCode.TELEMETRY_TRUNCATED,
            f"{', '.join(p.name for p in paths)}: no packet of the exposure's {found.needed} s "
            "arrived intact; have the engineering stream sent again",
        )
    context.folder.mkdir(parents=True, exist_ok=True)
    path = context.product("jit")
    rows = _rows(found)
    write(path, [_primary(found, path.name), _table(found, rows)])
    step(
        f"JIT {path.name}: {len(found.samples)} of {found.needed} s from {len(paths)} parts, "
        f"{len(rows['Seconds'])} rows"
    )


def _rows(found: Engineering) -> dict[str, Any]:
    """Return the columns that are known, by name: offsets in arcsec, angles in degrees."""
    means = jitter.averaged(
        found.samples[:, :3], jitter.interval(found.facts["exposure_ms"] / 1000)
    )
    out = {"Seconds": means["seconds"]}
    for axis in ("v2", "v3"):
        for key in ("avg", "rms", "p2p"):
            out[f"SI_{axis.upper()}_{key.upper()}"] = means[f"{axis}_{key}"] * _MAS
    facts = found.facts
    out["RA"], out["DEC"] = jitter.pointing(
        out["SI_V2_AVG"], out["SI_V3_AVG"], ra=facts["ra"], dec=facts["dec"], pa_v3=facts["pa"]
    )
    out["Roll"] = np.full(len(out["RA"]), facts["pa"])
    return out


def _primary(found: Engineering, name: str) -> Hdu:
    facts = found.facts
    header = Header()
    for key, value in (
        ("FILENAME", name), ("FILETYPE", "JIT"), ("TELESCOP", "HST"),
        ("INSTRUME", facts["instrument"]), ("DETECTOR", facts["detector"]),
        ("ROOTNAME", facts["rootname"].lower()), ("PROPOSID", facts["proposal"]),
        ("EXPSTART", found.start), ("EXPTIME", facts["exposure_ms"] / 1000),
        ("EXPEND", found.start + facts["exposure_ms"] / 86_400_000),
        ("RA_TARG", facts["ra"]), ("DEC_TARG", facts["dec"]), ("PA_V3", facts["pa"]),
        ("NEXTEND", 1),
    ):  # fmt: skip
        header.set(key, value)
    header.set("ENGSIM", found.simulated, "engineering stream is simulated")
    return image_hdu(header, None, primary=True)


def _table(found: Engineering, rows: dict[str, Any]) -> Hdu:
    number = len(rows["Seconds"])
    columns = [
        Column(
            name, "D" if name in ("RA", "DEC", "Roll") else "E",
            rows.get(name, np.full(number, np.nan)),
        )
        for name in _FLOATS
    ]  # fmt: skip
    columns += [Column(name, "I", np.full(number, value)) for name, value in _FLAGS.items()]
    table = table_hdu("jit", columns)
    header = table.header
    v2, v3 = found.samples[:, 1], found.samples[:, 2]
    header.set("EXPNAME", found.facts["rootname"].lower())
    for key, value, comment in (
        ("V2_RMS", v2.std(), "V2 axis RMS (milli-arcsec)"),
        ("V2_P2P", np.ptp(v2), "V2 axis peak to peak (milli-arcsec)"),
        ("V3_RMS", v3.std(), "V3 axis RMS (milli-arcsec)"),
        ("V3_P2P", np.ptp(v3), "V3 axis peak to peak (milli-arcsec)"),
        ("RA_AVG", rows["RA"].mean(), "average right ascension (deg)"),
        ("DEC_AVG", rows["DEC"].mean(), "average declination (deg)"),
        ("ROLL_AVG", rows["Roll"].mean(), "average roll (deg)"),
    ):
        header.set(key, float(value), comment)
    header.set("ENGSECS", len(found.samples), "seconds of engineering data")
    header.set("ENGMISS", found.needed - len(found.samples), "seconds without data")
    return table
