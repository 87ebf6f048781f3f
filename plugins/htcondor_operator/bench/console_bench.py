"""``owl bench console``: the console's pages over as many runs as after years."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htcondor_operator.bench import console_data, processes, queue_data
from htcondor_operator.bench.console_browser import browse
from htcondor_operator.bench.console_figures import AT_MOST, missed, not_measured, pages
from htcondor_operator.bench.scratch_database import (
    airflow_environment,
    scratch_database,
    some_server,
)
from htcondor_operator.bench.watch import Say
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

CLIENT = "htcondor_operator.bench.console_client"
CLIENT_SECONDS = 3600
BUNDLE = Path(__file__).parents[1] / "console" / "static" / "main.js"


@dataclass(frozen=True)
class Sizes:
    """How much there is, and how much is measured.

    Parameters
    ----------
    runs
        Each has nine nodes; there are up to as many products and delivered files.
    queue
        Entries that wait.
    rounds
        How often everything is asked; once more is not counted.
    every
        Every so manieth corner (``console_sweep``) is asked.
    browser
        Whether a browser is used, if there is one.
    """

    runs: int = 1_000_000
    queue: int = 200_000
    rounds: int = 5
    every: int = 1
    browser: bool = True


def console_bench(sizes: Sizes, say: Say) -> dict[str, Any]:
    """Fill a throwaway database, measure, drop it, and return the figures."""
    began = time.time()
    load = os.getloadavg()
    with (
        some_server(Settings.from_environment().database_url, say) as server,
        scratch_database(server, say) as url,
    ):
        with closing(connect_url(url, application="bench")) as connection:
            queue_data.fill(connection, sizes.queue, 0, say)
            console_data.fill(connection, sizes.runs, say)
        filled = time.time()
        figures = measure(url, sizes, say)
    return {
        "runs": sizes.runs,
        "nodes": sizes.runs * len(console_data.NODES),
        **figures,
        "fill_s": round(filled - began, 1),
        "measure_s": round(time.time() - filled, 1),
        "machine": {
            **processes.machine(),
            "load_average_before": list(load),
            "load_average_after": list(os.getloadavg()),
        },
    }


def measure(url: str, sizes: Sizes, say: Say) -> dict[str, Any]:
    """Measure a filled database; return figures, what was expected, missed and not measured."""
    answers = ask(url, sizes.rounds, sizes.every, say)
    figures: dict[str, Any] = {
        **pages(answers),
        "bundle_kb": round(len(gzip.compress(BUNDLE.read_bytes(), 9, mtime=0)) / 1000, 1),
        "first_row_s": None,
        "refresh_500_ms": None,
    }
    if sizes.browser:
        seen = browse(url, say)
        figures["detail"]["browser"] = seen.pop("detail")
        figures |= seen
    return {
        **figures,
        "expected": {name: f"<= {most:g}" for name, most in AT_MOST.items()},
        "missed": missed(figures),
        "not_measured": not_measured(figures),
    }


def ask(url: str, rounds: int, every: int, say: Say) -> list[dict[str, Any]]:
    """Ask everything that the pages ask, in a process of its own; return the answers' times."""
    say(f"asking: {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="owl-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", CLIENT, str(rounds + 1), str(every)],
            env=airflow_environment(url, folder),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=False,
        )
    if done.returncode:
        raise OwlError(ErrorKind.INTERNAL, f"the console does not answer: {done.stderr[-800:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
