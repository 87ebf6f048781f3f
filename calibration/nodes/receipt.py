"""DAN: is a delivery what its notice says? The receipt is archived, good or bad."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from calibration.archive import Entry, sha256_of, store
from calibration.context import Context, step
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.observation import product

NOTICE = ".dan.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+\-]{0,120}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def run(context: Context) -> None:
    """Compare every file of the notice with what is in the incoming folder."""
    notice = _notice(context)
    wanted = _files(notice, context.dataset)
    findings = [_check(context.incoming, entry) for entry in wanted]
    _archive(context, notice, findings)
    missing = [f["name"] for f in findings if f["state"] == "missing"]
    damaged = [f"{f['name']} ({f['state']})" for f in findings if f["state"] in ("bytes", "sha256")]
    if missing:
        raise CalibrationError(
            ExitCode.DELIVERY_INCOMPLETE,
            f"{len(missing)} of {len(wanted)} files are not in {context.incoming}: "
            f"{_some(missing)}; have them sent, then clear this node",
        )
    if damaged:
        raise CalibrationError(
            ExitCode.DELIVERY_DAMAGED,
            f"{len(damaged)} of {len(wanted)} files differ from the notice in what is named: "
            f"{_some(damaged)}; have them sent again, then clear this node",
        )
    step(f"DAN all {len(wanted)} files of {context.dataset} are there and verify")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _notice(context: Context) -> Path:
    name = f"{context.dataset}{NOTICE}"
    path = context.incoming / name
    if path.is_file():
        return path
    # Datasets are in lower case everywhere; who wrote the notice need not know.
    for other in context.incoming.glob(f"*{NOTICE}"):
        if other.name.lower() == name:
            return other
    raise CalibrationError(
        ExitCode.INPUT_MISSING, f"{name} is not in {context.incoming}; have the notice sent"
    )


def _files(notice: Path, delivery: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(notice.read_bytes())
        files = content["files"]
        if str(content["delivery"]).lower() != delivery:
            raise ValueError(f"delivery is {content['delivery']!r}, not {delivery!r}")
        if not isinstance(files, list) or not files:
            raise ValueError("files is not a list of files")
        return [_entry(number, entry) for number, entry in enumerate(files)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise CalibrationError(
            ExitCode.NOTICE_BAD,
            f"{notice.name}: {type(error).__name__}: {text}; it must be JSON such as "
            '{"delivery": "n7", "files": [{"name": "a_raw.fits", "bytes": 1, "sha256": "..."}]}',
        ) from error


def _entry(number: int, entry: dict[str, Any]) -> dict[str, Any]:
    name, size, digest = entry["name"], entry["bytes"], str(entry["sha256"]).lower()
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"files[{number}].name {name!r} is not a plain file name")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"files[{number}].bytes {size!r} is not a size")
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"files[{number}].sha256 {digest!r} is not 64 hexadecimal digits")
    return {"name": name, "bytes": size, "sha256": digest}


def _check(incoming: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry with ``state``: ok, missing, or what differs (bytes, sha256)."""
    path = incoming / entry["name"]
    if not path.is_file():
        return {**entry, "state": "missing"}
    size = path.stat().st_size
    if size != entry["bytes"]:
        return {**entry, "state": "bytes", "found": size}
    digest = sha256_of(path)
    if digest != entry["sha256"]:
        return {**entry, "state": "sha256", "found": digest}
    return {**entry, "state": "ok"}


def _archive(context: Context, notice: Path, findings: list[dict[str, Any]]) -> None:
    """Put notice and receipt on the delivery's shelf; a later check replaces the receipt."""
    states = [f["state"] for f in findings]
    counts = {state: states.count(state) for state in sorted(set(states))}
    content = {"delivery": context.dataset, "counts": counts, "files": findings}
    receipt = (json.dumps(content, indent=1) + "\n").encode()
    files = {
        notice.name: Entry(notice, product("dan", context.dataset)),
        f"{context.dataset}_receipt.json": Entry(receipt, product("receipt", context.dataset)),
    }
    store(context.shelf, files, {"dataset": context.dataset})
    for folder in (context.folder, context.work):
        with contextlib.suppress(OSError):  # somebody else's files keep it
            folder.rmdir()
