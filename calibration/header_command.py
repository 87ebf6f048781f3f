"""``header``: what a file says about itself, as JSON: for programs that are not to read FITS."""

from __future__ import annotations

import argparse
import json
import math
import mmap
import sys
from pathlib import Path
from typing import Any

from calibration.exit_codes import TABLE, CalibrationError, ExitCode
from calibration.fits import Hdu, Header, read, read_table
from calibration.fits.files import checksum_faults
from calibration.observation import describe

_ROWS = ("MEMNAME", "MEMTYPE", "MEMPRSNT")


def main(argv: list[str]) -> None:
    """Print one line of JSON per file; the exit code tells of the first file that is bad."""
    parser = argparse.ArgumentParser(prog="python -m calibration header", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="FITS files or telemetry (.tlm)")
    parser.add_argument("--json", action="store_true", help="the default, and the only format")
    parser.add_argument("--checksum", action="store_true", help="verify CHECKSUM and DATASUM, too")
    options = parser.parse_args(argv)
    first: CalibrationError | None = None
    for path in options.files:
        try:
            line = facts_of(path, checksum=options.checksum)
        except CalibrationError as error:
            first = first or error
            line = {"file": str(path), "error": TABLE[error.code][0], "message": error.message}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    if first is not None:
        raise first


def facts_of(path: Path, *, checksum: bool = False) -> dict[str, Any]:
    """Return names, primary header and description of a file that is complete and readable.

    Raises
    ------
    CalibrationError
        What is wrong with the file: truncated, not FITS, a wrong checksum, damaged telemetry.
    """
    telemetry = path.suffix == ".tlm"
    hdus = _from_telemetry(path) if telemetry else read(path)
    if checksum and not telemetry and (faults := checksum_faults(hdus)):
        raise CalibrationError(
            ExitCode.INPUT_CORRUPT, f"{path.name}: {'; '.join(faults)}; deliver it again"
        )
    primary = hdus[0].header
    table = next((hdu for hdu in hdus[1:] if hdu.name == "ASN"), None)
    return {
        "file": str(path),
        "rootname": primary.text("ROOTNAME").lower() or None,
        "instrument": primary.text("INSTRUME").upper() or None,
        "detector": primary.text("DETECTOR").upper() or None,
        "filetype": primary.text("FILETYPE").upper() or None,
        "association": _association(primary),
        "members": _members(table) if table is not None else None,
        "observation": describe(hdus),
        "hdus": len(hdus),
        "header": _cards(primary),
    }


def _association(primary: Header) -> str | None:
    """Return the association that an exposure belongs to; none if it is its own."""
    name = primary.text("ASN_ID").lower()
    alone = {"", "none", "n/a", primary.text("ROOTNAME").lower()}
    return None if name in alone else name


def _members(table: Hdu) -> list[dict[str, Any]]:
    rows = read_table(table)
    return [{key: _plain(row.get(key)) for key in _ROWS} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1").strip()
    if isinstance(value, str):
        return value.strip()
    return value.item() if hasattr(value, "item") else value


def _cards(header: Header) -> dict[str, Any]:
    keys = (k for k in header if k and k not in ("COMMENT", "HISTORY"))
    values = ((key, header.get(key)) for key in dict.fromkeys(keys))
    return {k: v for k, v in values if not (isinstance(v, float) and not math.isfinite(v))}


def _from_telemetry(path: Path) -> list[Hdu]:
    """Return the headers that a telemetry file carries; no pixel is put together."""
    from calibration.telemetry.to_raw import headers, receive

    try:
        with path.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise CalibrationError(
            ExitCode.INPUT_MISSING, f"{path.name} is not in {path.parent}; deliver it"
        ) from None
    except ValueError:
        raise CalibrationError(
            ExitCode.TELEMETRY_TRUNCATED, f"{path.name} is empty; have it sent again"
        ) from None
    return headers(receive(memoryview(mapped), path.name), path.name)
