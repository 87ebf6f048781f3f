"""Which raw file an exposure came as: whether a product is of the same one must be known later.

The raw file in the work area and in the archive does not tell: RF writes into its header. So 2FITS
notes the digest of what it staged, unpacked: the same for a file and its gzipped copy, and for the
packets from which the file is rebuilt to the byte. The note travels into the archive's manifest
and, when the exposure is calibrated again from the archive, back.
"""

from __future__ import annotations

import gzip
import hashlib
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
    """Note of which delivered file the raw file was staged just now, and its digest."""
    write(context, {"file": path.name, "sha256": sha256_of(context.raw())})


def digest_of(path: Path) -> str:
    """Return the digest of a delivered raw file, unpacked."""
    if path.suffix != ".gz":
        return sha256_of(path)
    with gzip.open(path) as stream:
        digest = hashlib.sha256()
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


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
