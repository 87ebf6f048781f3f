"""``references``: add files to a reference store, list it, verify it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.references import store


def main(argv: list[str]) -> None:
    """Run ``python -m calibration references add|list|verify``."""
    options = _parser().parse_args(argv)
    if options.verb == "add":
        _add(options.references, options.files, options.context)
    elif options.verb == "list":
        _list(options.references, as_json=options.json)
    else:
        _verify(options.references)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration references", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="bring files into the store; a name never changes content")
    add.add_argument("files", type=Path, nargs="+")
    add.add_argument("--context", help="CRDS context with which the files came")
    listing = verbs.add_parser("list", help="what is in the store, since when")
    listing.add_argument("--json", action="store_true")
    verify = verbs.add_parser("verify", help="read every file and compare its sha256")
    for verb in (add, listing, verify):
        verb.add_argument("--references", type=Path, required=True, help="the store's folder")
    return parser


def _add(folder: Path, files: list[Path], context: str | None) -> None:
    new = store.add(folder, files, context)
    version = store.load(folder)["version"]
    known = len(files) - len(new)
    sys.stdout.write(
        f"{len(new)} added{': ' + ', '.join(new) if new else ''}; {known} were there; "
        f"version {version} of {folder}\n"
    )


def _list(folder: Path, *, as_json: bool) -> None:
    index = store.load(folder)
    if as_json:
        sys.stdout.write(json.dumps(index) + "\n")
        return
    for name, entry in index["files"].items():
        context = f"  {entry['context']}" if entry.get("context") else ""
        sys.stdout.write(
            f"{entry['version']:4d}  {entry['added']}  {entry['sha256'][:12]}  "
            f"{entry['bytes']:12d}  {name}{context}\n"
        )


def _verify(folder: Path) -> None:
    faults, unlisted = store.verify(folder)
    if unlisted:
        sys.stdout.write(f"not listed: {', '.join(unlisted)}\n")
    if faults:
        raise CalibrationError(
            ExitCode.REFERENCE_BAD, f"{folder}: {'; '.join(faults)}; restore what is named"
        )
    sys.stdout.write(f"{len(store.load(folder)['files'])} files verified\n")
