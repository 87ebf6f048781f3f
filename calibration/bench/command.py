"""``bench``: measure the calibration against ccdproc, drizzle, numpy and the machine's memory."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from calibration.bench.figures import AT_LEAST, AT_MOST, OF_PEERS, TOLD, expected, missed
from calibration.bench.measure import Bench, Plan, versions
from calibration.exit_codes import CalibrationError, ExitCode

PEERS = ("ccdproc", "drizzle", "astropy")
SPACE_GB = {True: 0.2, False: 6.0}


def main(argv: list[str]) -> None:
    """Run ``python -m calibration bench``; figures go to standard output, progress to the other."""
    options = _parser().parse_args(argv)
    # So that the scratch folder goes when a supervisor stops us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = Plan(options.pairs, options.small, not options.no_peers)
    _check_peers(plan)
    scratch = Path(tempfile.mkdtemp(prefix="calibration-bench-", dir=options.scratch))
    try:
        _check_space(scratch, SPACE_GB[plan.small])
        figures = measure(plan, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        _show(figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--pairs", type=int, default=3, help="turns of each side, in alternation")
    parser.add_argument("--small", action="store_true", help="a small format, to try the bench")
    parser.add_argument("--no-peers", action="store_true", help="leave ccdproc out")
    parser.add_argument("--scratch", type=Path, help="where 6 GB are free (default: TMPDIR)")
    return parser


def _check_peers(plan: Plan) -> None:
    absent = [name for name in PEERS if find_spec(name) is None]
    if not plan.peers:
        absent = [name for name in absent if name != "ccdproc"]
    if absent:
        raise CalibrationError(
            ExitCode.USAGE_ERROR,
            f"{', '.join(absent)} not installed: ./owl bench calibration installs what it compares "
            "with (elsewhere: the extra `bench`, pinned in requirements-bench.txt); --no-peers "
            "leaves ccdproc out",
        )


def _check_space(folder: Path, gigabytes: float) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise CalibrationError(
            ExitCode.DISK_FULL,
            f"{folder} has {free:.1f} GB free, the bench needs {gigabytes:g}; name another place "
            "by --scratch",
        )


def say(text: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stderr.flush()


def measure(plan: Plan, scratch: Path) -> dict[str, Any]:
    """Measure everything in a scratch folder and return the figures."""
    began = time.time()
    load = os.getloadavg()
    bench = Bench(scratch, plan, say)
    bench.run()
    return {
        "size": f"2 chips of {plan.shape[0]} x {plan.shape[1]}",
        "pairs": plan.pairs,
        **bench.figures,
        "expected": expected(),
        "missed": missed(bench.figures),
        "not_measured": [n for n in (*AT_LEAST, *AT_MOST) if bench.figures.get(n) is None],
        "detail": bench.detail,
        "versions": versions(),
        "measure_s": round(time.time() - began, 1),
        "machine": {**_machine(), "load_average_before": [round(x, 2) for x in load]},
    }


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 2**30, 1),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }


def _show(figures: dict[str, Any]) -> None:
    sys.stdout.write(f"calibration, {figures['size']}, best of {figures['pairs']} pairs\n")
    for name in (*AT_LEAST, *AT_MOST, *TOLD):
        value = figures[name]
        mark = "MISSED" if name in figures["missed"] else ""
        if value is None:
            mark = "not measured (no peers)" if name in OF_PEERS else "not measured"
        told = "-" if value is None else f"{value:g}"
        line = f"{name:28s} {told:>12s} {figures['expected'].get(name, ''):>10s} {mark}"
        sys.stdout.write(line.rstrip() + "\n")
