"""``simulate``: exposures, references and telemetry to try the pipeline with."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from calibration.exit_codes import CalibrationError, ExitCode
from calibration.fits import write
from calibration.names import dataset_name
from calibration.simulate import events
from calibration.simulate.detectors import NAMES, Model, model


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
    parser.add_argument("--stars", type=int, default=60, help="per chip")
    parser.add_argument("--rays", type=int, default=40, help="cosmic rays per chip and exposure")
    parser.add_argument("--cte", action="store_true", help="ACS/WFC: losses of charge transfer")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _from_raw(options: argparse.Namespace) -> str:
    from calibration.telemetry.from_raw import write_telemetry

    path: Path = options.telemetry_from
    dataset = dataset_name(path.name.removesuffix(".gz").removesuffix(".fits").rpartition("_")[0])
    write_telemetry(path, options.incoming / f"{dataset}.tlm")
    return dataset


def _cos(options: argparse.Namespace) -> str:
    dataset = dataset_name(options.dataset or events.DATASET)
    path = options.incoming / f"{dataset}_rawtag_a.fits"
    write(path, events.raw_events(dataset, options.seconds, options.seed), checksum=False)
    return dataset


def _ccd(options: argparse.Namespace, detector: Model) -> list[str]:
    from calibration.simulate.frames import Scene, member_names, raw_file, write_association
    from calibration.simulate.references import write_references

    if options.references is None:
        raise CalibrationError(ExitCode.USAGE_ERROR, "--references is needed for CCD exposures")
    if options.cte and (detector.instrument, detector.detector) != ("ACS", "WFC"):
        raise CalibrationError(
            ExitCode.USAGE_ERROR, "--cte is simulated for ACS/WFC only; correct --detector"
        )
    write_references(detector, options.references, cte=options.cte)
    name = dataset_name(options.dataset or detector.dataset)
    scene = Scene(options.seconds, options.stars, options.rays, options.seed, cte=options.cte)
    members = member_names(name, options.members) if options.members else [name]
    association = name if options.members else ""
    for exposure, member in enumerate(members):
        hdus = raw_file(detector, member, scene, exposure=exposure, association=association)
        path = options.incoming / f"{member}_raw.fits"
        if options.telemetry:
            from calibration.telemetry.from_raw import encode

            target = path.with_name(f"{member}.tlm")
            target.write_bytes(b"".join(encode(hdus, path.name)))
        else:
            write(path, hdus, checksum=False)
    if association:
        write_association(
            options.incoming / f"{association}_asn.fits", association, members, detector
        )
    return [name, *(members if association else [])]
