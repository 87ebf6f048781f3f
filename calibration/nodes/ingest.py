"""INGEST_SCI: the dataset's files into the archive, with sha256 and a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calibration import delivered, observation
from calibration.algorithm import KEYWORD, algorithm_of
from calibration.archive import Entry, store
from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.nodes.association import exposure_sets, members_of, sub_products
from calibration.references.reference_keys import reference_keys
from calibration.suffixes import ARCHIVED, CHECKED


def run(context: Context) -> None:
    """Archive; running again changes nothing."""
    members = members_of(context)
    sources = products(context, members)
    kinds = {path: kind_of(path) for path in sources}
    if not any(suffix in CHECKED for _, suffix in kinds.values()):
        raise CalibrationError(
            ExitCode.STEP_MISSING, f"{context.folder} holds no product; run CA and AC first"
        )
    files = {
        path.name: Entry(path, observation.product(suffix, obs_id))
        for path, (obs_id, suffix) in kinds.items()
    }
    facts: dict[str, Any] = {"dataset": context.dataset}
    if members != (context.dataset,):
        facts["members"] = list(members)
    changed = store(context.shelf, files, facts, observations(context, members))
    total = sum(path.stat().st_size for path in sources) / 1e6
    state = "archived" if changed else "were in the archive already"
    step(f"INGEST_SCI {len(files)} files, {total:.1f} MB {state}: {context.shelf}")


def products(context: Context, members: tuple[str, ...]) -> list[Path]:
    """Return the files of the dataset and its members that belong in the archive."""
    out = []
    for name in dict.fromkeys((*members, *sub_products(context), context.dataset)):
        folder = context.work / name
        candidates = [folder / f"{name}_{suffix}.fits" for suffix in ARCHIVED]
        candidates += [folder / f"{name}.tra", folder / f"{name}_references.json"]
        out += [path for path in candidates if path.is_file()]
    return out


def kind_of(path: Path) -> tuple[str, str]:
    """Return observation and suffix of a file in the work area (its folder is the observation)."""
    obs_id = path.parent.name
    if path.suffix == ".tra":
        return obs_id, "trailer"
    return obs_id, path.stem.removeprefix(f"{obs_id}_")


def observations(context: Context, members: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return what each exposure is, and the association, if the dataset is one."""
    found = {name: _exposure(context, name) for name in members}
    if members == (context.dataset,):
        return found
    parts = {
        group.product: _combined([found[name] for name in group.members])
        for group in exposure_sets(context)
        if group.product in sub_products(context)
    }
    return {**found, **parts, context.dataset: _combined([found[name] for name in members])}


def _combined(members: list[dict[str, Any]]) -> dict[str, Any]:
    whole = observation.combined(members)
    whole.pop("delivered", None)
    whole["reference_keys"] = {}
    whole["reference_files"] = _together([member["reference_files"] for member in members])
    return whole


def _exposure(context: Context, name: str) -> dict[str, Any]:
    raws = (context.product(suffix, name) for suffix in RAW_SUFFIXES)
    raw = next((path for path in raws if path.is_file()), None)
    hdus = read(raw or context.needs("raw", "2FITS, FETCH or REUSE", name))
    facts = observation.describe(hdus)
    facts["reference_keys"] = reference_keys(hdus)
    note = context.work / name / f"{name}_references.json"
    choice = json.loads(note.read_text()) if note.is_file() else {}
    facts["reference_files"] = choice.get("references", {})
    facts["reference_context"] = choice.get("context")
    facts["software"] = {**choice.get("software", {}), **_algorithm(context, name)}
    origin = delivered.read_note(context, name)
    if origin is not None:
        facts["delivered"] = origin
    return facts


def _algorithm(context: Context, name: str) -> dict[str, str]:
    """Return which algorithm made an exposure's product, if it says so."""
    path = context.product("flt", name)
    if not path.is_file():
        return {}
    primary = read(path, headers_only=True)[0].header
    return {"algorithm": algorithm_of(primary)} if KEYWORD in primary else {}


def _together(choices: list[dict[str, str]]) -> dict[str, str]:
    """Return the references of several exposures; where they differ, all names."""
    keywords = sorted({keyword for choice in choices for keyword in choice})
    return {k: ",".join(sorted({c[k] for c in choices if k in c})) for k in keywords}
