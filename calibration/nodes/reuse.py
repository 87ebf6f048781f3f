"""REUSE: an archived member's products into the work area, in place of calibrating it again.

What is taken must be what CA would make today. A product whose references or software are out of
date is made afresh, in this job, from the archive's raw file: nobody has to notice and intervene.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calibration import delivered
from calibration.algorithm import algorithm_of
from calibration.archive import load, sha256_of
from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.instruments import is_performed
from calibration.nodes import best_references, calibrate, check_before
from calibration.nodes.dithers import forget
from calibration.nodes.fetch import copy_verified, not_archived, shelves, stage
from calibration.nodes.to_fits import TELEMETRY, find_delivered
from calibration.references import store
from calibration.software import VERSION
from calibration.suffixes import OF_AN_EXPOSURE

_PRODUCTS = ("flt", "x1d", "qlx")
#: By the product that each is needed beside.
_INTERMEDIATE = {"flt": "blv_tmp", "flc": "blc_tmp"}
#: CA makes these of one STIS file.
_OF_IMSETS = ("sfl", "crj")
#: Made by CA and RF beside the products; wanted in the association's shelf as well.
_NOTES = (".tra", "_references.json")


def run(context: Context) -> None:
    """Stage the member's raw file and products; calibrate when the products are out of date."""
    shelf = _shelf(context)
    manifest = load(shelf)
    stage(context, shelf, manifest, (*RAW_SUFFIXES, "spt", "jit"))
    why = _missing(context, manifest) or _outdated(context, shelf, manifest)
    if why is None:
        names = stage(context, shelf, manifest, (*OF_AN_EXPOSURE, *_OF_IMSETS))
        _stage_notes(context, shelf, manifest)
        why = _needs_intermediate(context)
        if why is None:
            for path in (context.product(suffix) for suffix in _INTERMEDIATE):
                if path.is_file():
                    forget(path)
            step(f"REUSE {', '.join(names)} from {shelf}")
            return
    step(f"REUSE {context.dataset} is calibrated again: {why}")
    best_references.run(context)
    check_before.run(context)
    calibrate.run(context)


def _shelf(context: Context) -> Path:
    """Return the shelf that holds the products of the raw file that was delivered last."""
    newest = _delivered_digest(context)
    for shelf in shelves(context, _PRODUCTS):
        observation = load(shelf).get("observations", {}).get(context.dataset, {})
        digest = observation.get("delivered", {}).get("sha256")
        if newest is None or digest is None or digest == newest:
            return shelf
    what = "product" if newest is None else f"product of the raw file with sha256 {newest[:12]}"
    raise not_archived(context, what)


def _delivered_digest(context: Context) -> str | None:
    """Return the digest of the raw file in the incoming folder; None if none is there.

    Of packets it is not known without putting them together, which is what REUSE saves.
    """
    if (context.incoming / f"{context.dataset}{TELEMETRY}").is_file():
        return None
    found = (find_delivered(context, suffix) for suffix in RAW_SUFFIXES)
    path = next((path for path in found if path is not None), None)
    return None if path is None else delivered.digest_of(path)


def _missing(context: Context, manifest: dict[str, Any]) -> str | None:
    """Return which note of the archived product is absent, without which nothing can be said."""
    note = f"{context.dataset}_references.json"
    return None if note in manifest["files"] else f"{note} is not in the archive"


def _outdated(context: Context, shelf: Path, manifest: dict[str, Any]) -> str | None:
    """Return in what the archived product differs from what CA would make now."""
    path = next(p for s in _PRODUCTS if (p := shelf / f"{context.dataset}_{s}.fits").is_file())
    primary = read(path, headers_only=True)[0].header
    version = primary.text("CAL_VER")
    if path.stem.endswith("_flt") and version != VERSION:
        return f"made by {version or 'unknown software'}, now it is {VERSION}"
    algorithm = algorithm_of(primary)
    if path.stem.endswith("_flt") and algorithm != context.algorithm:
        return f"made with the algorithm {algorithm}, now it is {context.algorithm!s}"
    note = shelf / f"{context.dataset}_references.json"
    if sha256_of(note) != manifest["files"][note.name]["sha256"]:
        raise CalibrationError(
            ExitCode.ARCHIVE_NOT_VERIFIED, f"{note} has another sha256 than the manifest"
        )
    noted = json.loads(note.read_text())
    old = noted["references"]
    new = best_references.chosen(context, read(context.raw()))
    differing = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
    if differing:
        key = differing[0]
        return f"{key} was {old.get(key)}, the best one is now {new.get(key)}"
    for name, entry in noted.get("files", {}).items():
        found = store.used(context.references, name)
        if found is not None and found.sha256 != entry["sha256"]:
            return f"{name} has another content now"
    return None


def _needs_intermediate(context: Context) -> str | None:
    """Return why CRCOMB could not use what was staged."""
    for product, intermediate in _INTERMEDIATE.items():
        path = context.product(product)
        if not path.is_file() or context.product(intermediate).is_file():
            continue
        primary = read(path, headers_only=True)[0].header
        # STIS has its CR-split imsets in one file: CRCOMB has nothing to do with it
        if is_performed(primary, "CRCORR") and primary.text("INSTRUME") != "STIS":
            return f"{intermediate} is not in the archive"
    return None


def _stage_notes(context: Context, shelf: Path, manifest: dict[str, Any]) -> None:
    for ending in _NOTES:
        name = f"{context.dataset}{ending}"
        if name in manifest["files"]:
            copy_verified(shelf / name, context.folder / name, manifest["files"][name]["sha256"])
