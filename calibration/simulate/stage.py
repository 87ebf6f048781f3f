"""``stage``: real raw frames and matching references into the folders that the nodes read.

References are unpacked once here, so that CA can map them into memory instead of unpacking them
for every exposure.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import read
from calibration.nodes.to_fits import copy_unpacked

#: Variants in the test data, made to exercise one rule each; equal in rank to the standard file.
VARIANTS = frozenset({"hrcv_osc.fits", "hrcm_crr.fits", "j4d1435jj_bpx.fits"})


def main(argv: list[str]) -> None:
    """Stage raw frames and references; print the datasets as JSON."""
    parser = argparse.ArgumentParser(prog="python -m calibration stage", description=__doc__)
    parser.add_argument("--raw", type=Path, nargs="+", required=True, help="files or folders")
    parser.add_argument("--reference-source", type=Path, nargs="*", default=[], help="folders")
    parser.add_argument("--incoming", type=Path, required=True)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument(
        "--telemetry", action="store_true", help="deliver packets instead of raw files"
    )
    options = parser.parse_args(argv)
    raws = [path for item in options.raw for path in _raw_files(item)]
    if not raws:
        raise CalibrationError(
            ExitCode.INPUT_MISSING,
            f"no *_raw.fits in {', '.join(map(str, options.raw))}; correct --raw, or use simulate",
        )
    options.incoming.mkdir(parents=True, exist_ok=True)
    options.references.mkdir(parents=True, exist_ok=True)
    for folder in options.reference_source:
        stage_references(folder, options.references)
    datasets = [_stage_raw(path, options.incoming, options.telemetry) for path in raws]
    sys.stdout.write(json.dumps({"datasets": datasets}) + "\n")


def _raw_files(item: Path) -> list[Path]:
    if item.is_dir():
        return sorted(p for p in item.glob("*_raw.fits*"))
    return [item]


def stage_references(source: Path, target: Path) -> int:
    """Copy the reference files of a folder that are not there yet; return how many."""
    copied = 0
    for path in sorted(source.glob("*.fits*")):
        name = path.name.removesuffix(".gz")
        if name in VARIANTS or (target / name).is_file():
            continue
        copy_unpacked(path, target / name)
        copied += 1
    return copied


def _stage_raw(path: Path, incoming: Path, telemetry: bool) -> str:
    name = path.name.removesuffix(".gz")
    dataset = name.removesuffix("_raw.fits")
    if telemetry:
        from calibration.telemetry.from_raw import write_telemetry

        write_telemetry(path, incoming / f"{dataset}.tlm")
        return dataset
    target = incoming / name
    if not target.is_file():
        read(path)
        copy_unpacked(path, target)
    table = path.with_name(f"{dataset}_asn.fits")
    if table.is_file():
        shutil.copyfile(table, incoming / table.name)
    return dataset
