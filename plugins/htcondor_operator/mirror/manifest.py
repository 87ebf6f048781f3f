"""From a shelf's ``manifest.json`` to rows of the catalogue.

The payload writes the manifest; this is all that OWL knows of it. What is absent in a manifest
that an older payload wrote is empty in the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from htcondor_operator.vocabulary import ErrorKind, InvalidName, OwlError, dataset_name

MANIFEST = "manifest.json"
COLLECTION = "HST"
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_FORMATS = {
    ".fits": "application/fits",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".tra": "text/plain",
}


def shelf_of(archive: Path, dataset: str) -> Path:
    """Return a dataset's folder in the archive (names are in lower case there)."""
    return archive / dataset_name(dataset).lower()


def shelves(archive: Path) -> Iterator[Path]:
    """Yield all folders of the archive that have a manifest."""
    for path in sorted(archive.glob(f"*/{MANIFEST}")):
        yield path.parent


def read_rows(shelf: Path) -> list[dict[str, Any]]:
    """Return the rows of a shelf's products; none when it has no manifest.

    Raises
    ------
    OwlError
        The manifest is damaged: its path, what is wrong, and what to do.
    OSError
        It cannot be read just now.
    """
    path = shelf / MANIFEST
    try:
        return rows_of(json.loads(path.read_bytes()), shelf)
    except FileNotFoundError:
        return []
    except (
        *(ValueError, KeyError, TypeError, AttributeError, InvalidName),
        *(ArithmeticError, RecursionError),
    ) as error:
        text = " ".join(str(error).split())
        raise OwlError(
            ErrorKind.INTERNAL,
            f"{path} is damaged ({type(error).__name__}: {text}). Move it away, then run"
            " INGEST_SCI of the dataset again.",
        ) from error


def rows_of(manifest: Mapping[str, Any], shelf: Path) -> list[dict[str, Any]]:
    """Return one row per file of a manifest."""
    dataset = dataset_name(shelf.name)
    observations = manifest.get("observations", {})
    members = [str(name) for name in manifest.get("members", [])]
    rows = []
    for name, entry in manifest["files"].items():
        obs_id = entry.get("obs_id", dataset)
        facts = observations.get(obs_id, {})
        rows.append(
            {
                "dataset": dataset,
                "name": name,
                "members": members,
                **_file(shelf, name, entry, obs_id),
                **_observation(facts),
            }
        )
    return rows


def _file(shelf: Path, name: str, entry: Mapping[str, Any], obs_id: str) -> dict[str, Any]:
    size = int(entry["bytes"])
    return {
        "obs_id": obs_id,
        "obs_collection": COLLECTION,
        "obs_publisher_did": f"ivo://owl/{COLLECTION}?{shelf.name}/{name}",
        "dataproduct_type": entry.get("dataproduct_type", "other"),
        "dataproduct_subtype": entry.get("dataproduct_subtype"),
        "calib_level": int(entry.get("calib_level", 1)),
        "access_url": (shelf / name).absolute().as_uri(),
        "access_format": _FORMATS.get(Path(name).suffix, "application/octet-stream"),
        "access_estsize": -(-size // 1024),
        "bytes": size,
        "sha256": str(entry["sha256"]),
        "archived_at": entry.get("archived"),
    }


def _observation(facts: Mapping[str, Any]) -> dict[str, Any]:
    start = facts.get("t_min")
    return {
        "facility_name": facts.get("telescope"),
        "instrument_name": facts.get("instrument"),
        "detector": facts.get("detector"),
        "filters": facts.get("filters"),
        "target_name": facts.get("target"),
        "proposal_id": facts.get("proposal"),
        "s_ra": facts.get("s_ra"),
        "s_dec": facts.get("s_dec"),
        "t_min": start,
        "t_max": facts.get("t_max"),
        "t_exptime": facts.get("t_exptime"),
        "observed_at": None if start is None else _moment(float(start)).isoformat(),
        "reference_context": facts.get("reference_context"),
        "reference_files": facts.get("reference_files", {}),
        "reference_keys": facts.get("reference_keys", {}),
        "software": facts.get("software", {}),
        "raw_sha256": facts.get("delivered", {}).get("sha256"),
    }


def _moment(mjd: float) -> datetime:
    """Return the time of a Modified Julian Date, to the millisecond."""
    moment = _MJD_EPOCH + timedelta(days=mjd, microseconds=500)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
