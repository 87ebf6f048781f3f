"""Which file an exposure came as: its digest tells later whether a product is of the same raw file.

The raw file in the work area does not: 2FITS unpacks it and RF writes into its header. A small
note beside it travels into the archive's manifest and, when the exposure is calibrated again from
the archive, back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calibration.archive import sha256_of
from calibration.context import Context
from calibration.fits.files import temporary


def note_path(context: Context, dataset: str | None = None) -> Path:
    """Path of the note in the work folder (of another dataset if named)."""
    name = dataset or context.dataset
    return context.work / name / f"{name}_delivered.json"


def note(context: Context, path: Path) -> None:
    """Note which delivered file the raw file in the work folder was made of."""
    write(context, {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)})


def write(context: Context, facts: dict[str, Any]) -> None:
    """Write the note as it was kept elsewhere."""
    target = note_path(context)
    draft = temporary(target)
    draft.write_text(json.dumps(facts) + "\n")
    draft.replace(target)


def read_note(context: Context, dataset: str) -> dict[str, Any] | None:
    """Return a dataset's note; None when its raw file was staged before there were notes."""
    path = note_path(context, dataset)
    return dict(json.loads(path.read_text())) if path.is_file() else None
