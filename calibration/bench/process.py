"""Processes of the bench: one job each, with one core's libraries, and what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.exit_codes import CalibrationError, ExitCode

ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Ended:
    """A process that ended well: wall seconds, CPU seconds, peak memory (MB of 10**6), output."""

    seconds: float
    cpu: float
    peak_mb: float
    output: str


def run(arguments: Sequence[str], folder: Path) -> Ended:
    """Run ``python ARGUMENTS`` in a folder; CALIBRATION_ERROR with its last words if it fails."""
    log = folder / "errors.txt"
    environment = {**os.environ, **ONE_THREAD}
    # The package of this process, from wherever it was started.
    root = str(Path(__file__).resolve().parents[2])
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([root, path] if path else [root])
    began = time.perf_counter()
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # we are stopped: so is what we started
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        words = log.read_text().strip().splitlines() or ["no word on standard error"]
        raise CalibrationError(
            ExitCode.CALIBRATION_ERROR,
            f"bench: {' '.join(arguments[:4])} ended with {process.returncode}: {words[-1]}",
        )
    # ru_maxrss is in KiB. A child begins with its parent's pages: the bench itself stays small.
    cpu = usage.ru_utime + usage.ru_stime
    return Ended(seconds, cpu, usage.ru_maxrss * 1024 / 1e6, output)


def work(name: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a module of the bench as a process and return what it printed as JSON."""
    done = run(["-m", f"calibration.bench.{name}", *arguments], folder)
    return dict(json.loads(done.output.splitlines()[-1]))


def memory_mb(key: str) -> float:
    """Return VmRSS or VmHWM of this process, MB of 10**6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(key)


def forget_peak() -> None:
    """Let VmHWM begin anew at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
