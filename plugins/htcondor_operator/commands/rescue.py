"""``owl rescue``: run a dataset's failed nodes again, through Airflow's own clear."""

# ruff: noqa: PLR0917 - typer reads a command's options from its signature.

from __future__ import annotations

import getpass
import time
from contextlib import closing
from typing import Annotated, Any

import typer

from htcondor_operator.blackboard import run_views
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.rescue_preview import Preview, preview
from htcondor_operator.dagman.attempt_plan import Action
from htcondor_operator.executors.operator_clear import check_airflow
from htcondor_operator.executors.operator_rescue import Order, rescue_run
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import AttemptState, ErrorKind, OwlError, dataset_name

app = typer.Typer(help="Run what failed again.", add_completion=False)

_POLL_SECONDS = 0.2
_UNDERWAY = frozenset({AttemptState.WANTED, AttemptState.CLEARING, AttemptState.SUBMITTING})


@app.command()
def rescue(
    dataset: Annotated[str, typer.Argument(help="The dataset; its latest run is meant.")],
    start: Annotated[
        str | None,
        typer.Option("--from", help="Run this node and all after it again, also if it succeeded."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only print what would be done.")] = False,
    run: Annotated[
        str | None, typer.Option(help="Airflow's run id (or OWL's key) of an older run.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for DAGMan.")] = 120.0,
) -> None:
    """Run the failed nodes of a dataset again, and all that depend on them."""
    settings = Settings.from_environment()
    with closing(connect(settings, application="rescue", autocommit=False)) as connection:
        with connection, connection.cursor() as cursor:
            key = _run_key(cursor, dataset_name(dataset), run)
            found = preview(cursor, key, start, lock=False)
        _tell(found)
        if dry_run:
            return
        check_airflow()
        order = Order(by or getpass.getuser(), start=start)
        # What it means is decided again, under the lock: it is that which is waited for.
        run_row = found.run
        found = rescue_run(run_row.dag_id, run_row.run_id, run_row.run_key, order) or found
        _wait(connection, found, timeout)


def _run_key(cursor: Any, dataset: str, run: str | None) -> int:
    key = run_views.find_run_named(cursor, dataset, run)
    if key is None:
        which = "no run" if run is None else f"no run {run!r}"
        raise OwlError(
            ErrorKind.BAD_CONF, f"There is {which} of dataset {dataset!r}. See `owl run list`."
        )
    return key


def _tell(found: Preview) -> None:
    run, plan = found.run, found.plan
    typer.echo(f"{run.dataset}: run {run.run_id} of {run.dag_id}, attempt {run.attempt}")
    if plan is None:
        typer.echo("launched again: nothing was submitted yet")
        return
    lines = {
        "runs again": plan.rerun,
        "kept as done": plan.done,
        "goes on running": plan.spared,
    }
    for words, names in lines.items():
        if names:
            typer.echo(f"{words}: {', '.join(found.in_order(names))}")
    if plan.action is Action.ATTACH:
        typer.echo("the attempt in the queue will run them anyway")


def _wait(connection: Any, found: Preview, timeout: float) -> None:
    """Wait until the attempt has a DAGMan in the queue, and tell which."""
    end = time.monotonic() + timeout
    while True:
        with connection, connection.cursor() as cursor:
            row = run_views.latest_attempt(cursor, found.run.run_key)
        state = AttemptState(row["state"])
        if row["attempt"] >= found.attempt and state not in _UNDERWAY:
            break
        if time.monotonic() > end:
            raise OwlError(
                ErrorKind.SCHEDD_SILENT,
                f"Asked for, but attempt {found.attempt} is not live after {timeout:g} s (attempt "
                f"{row['attempt']} is {state}). {row['error_message'] or ''} It stays wanted; see "
                f"whether scheduler and gateway run (owl status).",
            )
        time.sleep(_POLL_SECONDS)
    if state is AttemptState.REFUSED:
        raise OwlError(
            ErrorKind(row["error_kind"] or ErrorKind.INTERNAL),
            f"attempt {row['attempt']} was refused: {row['error_message']}",
        )
    typer.echo(f"attempt {row['attempt']} is {state}: DAGMan {row['cluster']} at {row['schedd']}")
