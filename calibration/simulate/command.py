"""``simulate``: exposures, references and telemetry to try the pipeline with."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import Hdu, read, write
from calibration.names import dataset_name
from calibration.simulate import events
from calibration.simulate.detectors import NAMES, Model, model

if TYPE_CHECKING:
    from calibration.simulate.frames import Scene


def main(argv: list[str]) -> None:
    """Run ``python -m calibration simulate``; print the datasets as JSON."""
    options = _parser().parse_args(argv)
    options.incoming.mkdir(parents=True, exist_ok=True)
    if options.telemetry_from is not None:
        datasets = [_from_raw(options)]
    elif options.detector == "COS/FUV":
        datasets = [_cos(options)]
    else:
        datasets = _ccd(options, model(options.detector, options.small))
    sys.stdout.write(json.dumps({"datasets": datasets}) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration simulate", description=__doc__)
    parser.add_argument("--incoming", type=Path, required=True)
    parser.add_argument("--references", type=Path)
    parser.add_argument("--detector", choices=NAMES, default="ACS/HRC")
    parser.add_argument("--dataset", help="name of the exposure or, with --members, association")
    parser.add_argument("--members", type=int, default=0, help="make a CR-split association")
    parser.add_argument("--small", action="store_true", help="a small format, for quick tests")
    parser.add_argument("--telemetry", action="store_true", help="packets instead of raw files")
    parser.add_argument("--telemetry-from", type=Path, help="packets of an existing raw file")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--splits", type=int, default=1, help="STIS: imsets of each exposure")
    parser.add_argument("--stars", type=int, default=60, help="per chip")
    parser.add_argument("--rays", type=int, default=40, help="cosmic rays per chip and exposure")
    parser.add_argument("--saturated", type=int, default=0, help="stars beyond the full well")
    parser.add_argument("--defects", action="store_true", help="BPIXTAB's bad pixels are bad")
    parser.add_argument("--cte", action="store_true", help="ACS/WFC: losses of charge transfer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--engineering",
        type=int,
        default=0,
        metavar="PARTS",
        help="also the exposures' engineering stream, in so many files <root>_<n>.eng",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=NUMBER]",
        help="spoil the telemetry: missing=N and crc=N lines, duplicate=N packets, reorder, "
        "truncate=BYTES; what was done is written to <root>_faults.json",
    )
    parser.add_argument(
        "--truth", type=Path, metavar="DIR", help="write what is in each exposure, and its faults"
    )
    return parser


def _from_raw(options: argparse.Namespace) -> str:
    path: Path = options.telemetry_from
    dataset = dataset_name(path.name.removesuffix(".gz").removesuffix(".fits").rpartition("_")[0])
    hdus = read(path)
    if options.engineering:
        _send_engineering(options, dataset, hdus)
    _send(options, dataset, hdus, path.name)
    return dataset


def _send(options: argparse.Namespace, dataset: str, hdus: list[Hdu], file: str) -> None:
    """Write the packets of an exposure, with the faults that were asked for."""
    from calibration.telemetry.faults import parse, write_stream
    from calibration.telemetry.from_raw import encode

    target = options.incoming / f"{dataset}.tlm"
    faults = parse(options.fault)
    write_stream(target, encode(hdus, file), faults, options.seed, options.truth)


def _send_engineering(options: argparse.Namespace, dataset: str, hdus: list[Hdu]) -> None:
    """Write the engineering stream of an exposure, in parts."""
    from calibration.telemetry.engineering import split
    from calibration.telemetry.from_raw import encode

    for number, part in enumerate(split(encode(hdus, dataset), options.engineering), 1):
        (options.incoming / f"{dataset}_{number}.eng").write_bytes(part)


def _cos(options: argparse.Namespace) -> str:
    dataset = dataset_name(options.dataset or events.DATASET)
    path = options.incoming / f"{dataset}_rawtag_a.fits"
    write(path, events.raw_events(dataset, options.seconds, options.seed), checksum=False)
    return dataset


def _ccd(options: argparse.Namespace, detector: Model) -> list[str]:
    from calibration.simulate.frames import Scene, member_names, write_association
    from calibration.simulate.references import write_references

    if options.references is None:
        raise CalibrationError(ExitCode.USAGE_ERROR, "--references is needed for CCD exposures")
    if options.cte and (detector.instrument, detector.detector) != ("ACS", "WFC"):
        raise CalibrationError(
            ExitCode.USAGE_ERROR, "--cte is simulated for ACS/WFC only; correct --detector"
        )
    write_references(detector, options.references, cte=options.cte)
    name = dataset_name(options.dataset or detector.dataset)
    scene = Scene(
        options.seconds, options.stars, options.rays, options.seed,
        saturated=options.saturated, defects=options.defects, splits=options.splits,
        cte=options.cte,
    )  # fmt: skip
    members = member_names(name, options.members) if options.members else [name]
    association = name if options.members else ""
    for number, member in enumerate(members):
        _expose(options, detector, scene, (number, member, association))
    if association:
        write_association(
            options.incoming / f"{association}_asn.fits", association, members, detector
        )
    return [name, *(members if association else [])]


def _expose(
    options: argparse.Namespace, detector: Model, scene: Scene, which: tuple[int, str, str]
) -> None:
    from calibration.simulate.frames import exposure_of, imsets, raw_file
    from calibration.simulate.truth_tables import write_truth

    number, member, association = which
    frames = [exposure_of(detector, chip, scene, n) for chip, n in imsets(detector, scene, number)]
    if options.truth is not None:
        write_truth(options.truth, detector, member, scene, frames)
    hdus = raw_file(
        detector, member, scene, exposure=number, association=association, exposed=frames
    )
    if options.engineering:
        _send_engineering(options, member, hdus)
    path = options.incoming / f"{member}_raw.fits"
    if options.telemetry or options.fault:
        _send(options, member, hdus, path.name)
    else:
        write(path, hdus, checksum=False)
