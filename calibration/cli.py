"""``python -m calibration NODE ...``: one node of the pipeline, or the simulator."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from importlib import import_module
from pathlib import Path

from calibration.algorithm import Algorithm
from calibration.exit_codes import TABLE, CalibrationError, ExitCode

# A job has one core; a BLAS that starts a thread per core only burns CPU and memory.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

#: node -> module with ``run(context)``. Imported only when called: start-up time is paid per job.
NODES = {
    "2FITS": "calibration.nodes.to_fits",
    "FETCH": "calibration.nodes.fetch",
    "REUSE": "calibration.nodes.reuse",
    "RF": "calibration.nodes.best_references",
    "BC": "calibration.nodes.check_before",
    "CA": "calibration.nodes.calibrate",
    "CRCOMB": "calibration.nodes.combine",
    "MD": "calibration.nodes.drizzle",
    "AC": "calibration.nodes.check_after",
    "INGEST_SCI": "calibration.nodes.ingest",
    "PVW": "calibration.nodes.preview",
    "CL": "calibration.nodes.clean",
    "DAN": "calibration.nodes.receipt",
    "JIT": "calibration.nodes.jitter",
    "INGEST_ENG": "calibration.nodes.ingest_jitter",
}
TOOLS = {
    "simulate": "calibration.simulate.command",
    "stage": "calibration.simulate.stage",
    "header": "calibration.header_command",
    "affected": "calibration.references.affected",
    "bench": "calibration.bench.command",
    "references": "calibration.references.command",
    "exit-codes": "calibration.cli",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise CalibrationError(ExitCode.USAGE_ERROR, f"{message}; see python -m calibration -h")


def node_parser(node: str) -> argparse.ArgumentParser:
    """Return the parser of a node's arguments."""
    parser = _Parser(prog=f"python -m calibration {node}")
    parser.add_argument("--dataset", required=True)
    for folder in ("incoming", "work", "archive", "references"):
        parser.add_argument(f"--{folder}", type=Path, required=True)
    parser.add_argument("--members", nargs="*", default=[])
    parser.add_argument("--association")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--algorithm", choices=[str(a) for a in Algorithm], default="calacs")
    return parser


def run_node(node: str, arguments: list[str]) -> None:
    """Run one node; raises CalibrationError for an expected failure."""
    from calibration.context import Context
    from calibration.names import dataset_name

    options = node_parser(node).parse_args(arguments)
    members = [m for text in options.members for m in text.replace(",", " ").split()]
    context = Context(
        node=node,
        dataset=dataset_name(options.dataset),
        incoming=options.incoming.absolute(),
        work=options.work.absolute(),
        archive=options.archive.absolute(),
        references=options.references.absolute(),
        members=tuple(dataset_name(m) for m in members),
        association=dataset_name(options.association) if options.association else None,
        replace=options.replace,
        options=dict(_pair(text) for text in options.option),
        algorithm=Algorithm(options.algorithm),
    )
    import_module(NODES[node]).run(context)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise CalibrationError(ExitCode.USAGE_ERROR, f"--option {text}: it must be KEY=VALUE")
    return key, value


def _usage() -> str:
    nodes = " ".join(NODES)
    return (
        "usage: python -m calibration NODE --dataset ROOT --incoming DIR --work DIR --archive DIR"
        f" --references DIR\n       python -m calibration simulate|stage|header|affected|bench|"
        f"references|exit-codes ...\nnodes: {nodes}\n"
    )


def _print_exit_codes() -> None:
    for code, (name, sentence) in TABLE.items():
        sys.stdout.write(f"{code:3d} {name:24s} {sentence}\n")


def _translate(error: OSError) -> CalibrationError:
    """Turn an error of the operating system into a named one."""
    where = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CalibrationError(
            ExitCode.DISK_FULL, f"{where}: {error.strerror}; make room, then run the node again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return CalibrationError(
            ExitCode.NOT_WRITABLE, f"{where}: {error.strerror}; correct its owner or mode"
        )
    return CalibrationError(ExitCode.CALIBRATION_ERROR, f"{where}: {error.strerror or error}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return ExitCode.OK if arguments else ExitCode.USAGE_ERROR
    word, rest = arguments[0], arguments[1:]
    try:
        if word == "exit-codes":
            _print_exit_codes()
        elif word in TOOLS:
            import_module(TOOLS[word]).main(rest)
        elif word in NODES:
            run_node(word, rest)
        else:
            raise CalibrationError(
                ExitCode.USAGE_ERROR, f"there is no node {word!r}; nodes are {', '.join(NODES)}"
            )
    except CalibrationError as error:
        return _say(word, error)
    except MemoryError:
        return _say(word, CalibrationError(ExitCode.MEMORY_ERROR, "request more memory"))
    except OSError as error:
        return _say(word, _translate(error))
    return ExitCode.OK


def _say(node: str, error: CalibrationError) -> int:
    name = TABLE[error.code][0]
    line = " ".join(error.message.split())
    sys.stderr.write(f"calibration: {node}: {name}: {line}\n")
    return int(error.code)
