"""``owl bench``: measure OWL against the bare HTCondor below it."""

from __future__ import annotations

import json
import sys
import time
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


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stderr.flush()
