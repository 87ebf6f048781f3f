"""INGEST_SCI: the dataset's files into the archive, with sha256 and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibration.archive import put, record
from calibration.context import RAW_SUFFIXES, Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Header, read
from calibration.nodes.association import members_of

#: What is archived; intermediate files are not.
SUFFIXES = (*RAW_SUFFIXES, "spt", "jit", "asn", "flt", "qlx", "crj", "drz")
_FACTS = (
    "INSTRUME", "DETECTOR", "TARGNAME", "PROPOSID", "DATE-OBS", "TIME-OBS", "EXPTIME", "FILTER1",
    "FILTER2", "RA_TARG", "DEC_TARG",
)  # fmt: skip


def run(context: Context) -> None:
    """Archive; running again changes nothing."""
    members = members_of(context)
    sources = products(context, members)
    science = [p for p in sources if p.stem.rpartition("_")[2] in ("flt", "qlx", "crj", "drz")]
    if not science:
        raise CalibrationError(
            ExitCode.STEP_MISSING, f"{context.folder} holds no product; run CA and AC first"
        )
    files = {path.name: put(context.shelf, path) for path in sources}
    changed = record(context.shelf, files, _facts(context, members, science[-1]))
    total = sum(entry["bytes"] for entry in files.values()) / 1e6
    state = "archived" if changed else "were in the archive already"
    step(f"INGEST_SCI {len(files)} files, {total:.1f} MB {state}: {context.shelf}")


def products(context: Context, members: tuple[str, ...]) -> list[Path]:
    """Return the files of the dataset and its members that belong in the archive."""
    out = []
    for name in dict.fromkeys((*members, context.dataset)):
        folder = context.work / name
        candidates = [folder / f"{name}_{suffix}.fits" for suffix in SUFFIXES]
        candidates += [folder / f"{name}.tra", folder / f"{name}_references.json"]
        out += [path for path in candidates if path.is_file()]
    return out


def _facts(context: Context, members: tuple[str, ...], product: Path) -> dict[str, Any]:
    header: Header = read(product, headers_only=True)[0].header
    facts: dict[str, Any] = {"dataset": context.dataset}
    for key in _FACTS:
        value = header.get(key)
        if value is not None:
            facts[key.lower().replace("-", "_")] = (
                value.strip() if isinstance(value, str) else value
            )
    if members != (context.dataset,):
        facts["members"] = list(members)
    return facts
