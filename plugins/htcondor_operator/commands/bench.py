"""``owl bench``: OWL against the bare HTCondor below it, its payload against other packages."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure OWL on the running stack.")


@app.callback()
def bench() -> None:
    """Measure OWL on the running stack."""


@app.command()
def campaign(
    datasets: Annotated[int, typer.Option(min=1, max=2000, help="Chains per half.")] = 60,
    pairs: Annotated[int, typer.Option(min=1, max=50, help="Pairs of halves.")] = 3,
    timeout: Annotated[float, typer.Option(help="Seconds that a half may take.")] = 900.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run chains of /bin/true raw and through Airflow, in turn, and compare them."""
    from htcondor_operator.bench.campaign import Plan
    from htcondor_operator.bench.campaign import campaign as measure

    figures = measure(Plan(datasets, pairs, timeout), _say)
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        from rich.console import Console

        from htcondor_operator.bench.table import show

        show(figures, Console())


@app.command()
def queue(
    *,
    entries: Annotated[
        int, typer.Option("--queue", min=1000, help="Entries in the queue.")
    ] = 1_000_000,
    history: Annotated[int, typer.Option(min=1000, help="Entries that have left.")] = 5_000_000,
    bulk: Annotated[int, typer.Option(min=100, help="Entries of the bulk add.")] = 100_000,
    batches: Annotated[int, typer.Option(min=1, help="Batches of 500 that are shoveled.")] = 20,
    lists: Annotated[int, typer.Option(min=1, help="Combinations of filters.")] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a large queue in a throwaway database on the server of OWL_DATABASE_URL."""
    from htcondor_operator.bench.queue_bench import Sizes, queue_bench

    # So that the database is dropped when a supervisor stops us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures = queue_bench(Sizes(entries, history, bulk, batches, lists), _say)
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        from rich.console import Console

        from htcondor_operator.bench.table import show_queue

        show_queue(figures, Console())


@app.command()
def console(
    *,
    runs: Annotated[int, typer.Option(min=1000, help="Runs, each of nine nodes.")] = 1_000_000,
    entries: Annotated[int, typer.Option("--queue", min=1000, help="In the queue.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is asked.")] = 5,
    every: Annotated[int, typer.Option(min=1, help="Ask only every Nth corner.")] = 1,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="The server only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the console's pages in a throwaway database on the server of OWL_DATABASE_URL."""
    from htcondor_operator.bench.console_bench import Sizes, console_bench

    # So that the database is dropped when a supervisor stops us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures = console_bench(Sizes(runs, entries, rounds, every, not no_browser), _say)
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        from rich.console import Console

        from htcondor_operator.bench.table import show_expected

        show_expected(figures, f"console, {figures['runs']:,} runs", Console())


@app.command()
def calibration(
    *,
    pairs: Annotated[int, typer.Option(min=1, max=50, help="Turns of each side.")] = 3,
    small: Annotated[bool, typer.Option(help="A small format, to try the bench.")] = False,
    no_peers: Annotated[bool, typer.Option("--no-peers", help="Leave ccdproc out.")] = False,
    scratch: Annotated[Path | None, typer.Option(help="Where 6 GB are free.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the calibration against ccdproc, drizzle, numpy and the machine's memory."""
    from htcondor_operator.bench.payload import calibration_bench

    words = ["--pairs", str(pairs), *["--small"] * small, *["--no-peers"] * no_peers]
    figures = calibration_bench(words if scratch is None else [*words, "--scratch", str(scratch)])
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        from rich.console import Console

        from htcondor_operator.bench.table import show_expected

        show_expected(figures, f"calibration, {figures['size']}", Console())


@app.command()
def memory(
    *,
    detector: Annotated[
        list[str] | None, typer.Option("--detector", help="As ACS/WFC; all when not given.")
    ] = None,
    members: Annotated[int, typer.Option(min=2, max=8, help="Of each association.")] = 4,
    small: Annotated[bool, typer.Option(help="Small formats, to try the command.")] = False,
    scratch: Annotated[
        Path | None, typer.Option(help="Folder with room for 3 GB; the system's own by default.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write table and requests into the templates.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the peak memory of the payload's nodes on simulated exposures, per detector."""
    from htcondor_operator.bench.memory import DETECTORS, Plan, measure
    from htcondor_operator.bench.memory import apply as write

    figures = measure(Plan(tuple(detector or DETECTORS), members, small, scratch), _say)
    if apply:
        from htcondor_operator.settings import Settings

        changed = write(figures, Settings.from_environment().templates)
        _say(f"changed: {', '.join(changed) or 'nothing'}")
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    else:
        from rich.console import Console

        from htcondor_operator.bench.table import show_memory

        show_memory(figures, Console())


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stderr.flush()
