"""``owl run``: list, show and steer runs."""

# ruff: noqa: PLR0917 - typer reads a command's options from its signature.

from __future__ import annotations

import getpass
import time
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.console import Console

from htcondor_operator.blackboard import run_views
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.run_commands import command_result, insert_command
from htcondor_operator.commands._output import print_json, print_table
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import (
    CommandState,
    CommandVerb,
    ErrorKind,
    OwlError,
    dataset_name,
    node_name,
)
from htcondor_operator.vocabulary import priority as checked_priority

app = typer.Typer(no_args_is_help=True, help="List, show and steer runs.")

Dataset = Annotated[str, typer.Argument(help="The dataset; its latest run is meant.")]
Run = Annotated[int | None, typer.Option(help="Key of another run than the latest one.")]
Node = Annotated[str | None, typer.Option(help="One node instead of the whole run.")]
By = Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept and shown to HTCondor.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the gateway's answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_POLL_SECONDS = 0.1


@app.command()
def hold(
    dataset: Dataset,
    node: Node = None,
    run: Run = None,
    by: By = None,
    reason: Reason = None,
    timeout: Timeout = 30.0,
) -> None:
    """Hold a run's jobs, or those of one node."""
    _ask(CommandVerb.HOLD, dataset, run, node, by, reason, timeout)


@app.command()
def release(
    dataset: Dataset,
    node: Node = None,
    run: Run = None,
    by: By = None,
    reason: Reason = None,
    timeout: Timeout = 30.0,
) -> None:
    """Release held jobs."""
    _ask(CommandVerb.RELEASE, dataset, run, node, by, reason, timeout)


@app.command()
def remove(
    dataset: Dataset,
    node: Node = None,
    run: Run = None,
    by: By = None,
    reason: Reason = None,
    timeout: Timeout = 30.0,
) -> None:
    """Remove a run from HTCondor, or a node's job (DAGMan takes that for a failure)."""
    _ask(CommandVerb.REMOVE, dataset, run, node, by, reason, timeout)


@app.command()
def priority(
    dataset: Dataset,
    value: Annotated[int, typer.Argument(help="From -10000 to 10000; higher runs first.")],
    node: Node = None,
    run: Run = None,
    by: By = None,
    reason: Reason = None,
    timeout: Timeout = 30.0,
) -> None:
    """Change the priority of jobs in the queue, and of the run's next attempt."""
    argument = {"priority": checked_priority(value)}
    _ask(CommandVerb.PRIORITY, dataset, run, node, by, reason, timeout, argument)


@app.command("list")
def list_runs(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset's runs.")] = None,
    state: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
    limit: Annotated[int, typer.Option(help="So many at the most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List runs, the newest first."""
    if dataset is not None:
        dataset_name(dataset)
    with closing(_connection()) as connection, connection.cursor() as cursor:
        runs = run_views.list_runs(cursor, dataset=dataset, state=state, limit=limit)
    if as_json:
        print_json(runs)
        return
    columns = ("run_key", "dataset", "workflow", "state", "attempts", "done", "nodes", "updated_at")
    print_table(columns, runs)


@app.command()
def show(dataset: Dataset, run: Run = None, as_json: AsJson = False) -> None:
    """Show a run with its attempts and the nodes of the latest one."""
    with closing(_connection()) as connection, connection.cursor() as cursor:
        found = run_views.show_run(cursor, _run_key(cursor, dataset, run))
    if as_json:
        print_json(found)
        return
    console = Console()
    console.print(
        f"run {found['run_key']}: {found['dataset']} through {found['workflow']}: "
        f"{found['state']}\n{found['run_dir'] or ''}",
        highlight=False,
        markup=False,
    )
    attempts = ("attempt", "kind", "state", "cluster", "requested_by", "reason", "error_message")
    print_table(attempts, found["attempts"])
    nodes = ("node", "try", "state", "carried_from", "cluster", "host", "exit_code", "reason")
    latest = [row for row in found["nodes"] if row["attempt"] == found["latest_attempt"]]
    print_table(nodes, latest)


def _ask(
    verb: CommandVerb,
    dataset: str,
    run: int | None,
    node: str | None,
    by: str | None,
    reason: str | None,
    timeout: float,
    argument: dict[str, Any] | None = None,
) -> None:
    if node is not None:
        node_name(node)
    with closing(_connection()) as connection, connection.cursor() as cursor:
        number = insert_command(
            cursor,
            verb=verb,
            run_key=_run_key(cursor, dataset, run),
            node=node,
            argument=argument,
            requested_by=by or getpass.getuser(),
            reason=reason,
        )
        end = time.monotonic() + timeout
        state, words = command_result(cursor, number)
        while state is CommandState.WANTED and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            state, words = command_result(cursor, number)
    if state is CommandState.WANTED:
        raise OwlError(
            ErrorKind.SCHEDD_SILENT,
            f"No answer to command {number} within {timeout:g} s. {words} "
            "It stays wanted; see whether the gateway runs (owl status).",
        )
    typer.echo(words, err=state is CommandState.FAILED)
    if state is CommandState.FAILED:
        raise typer.Exit(1)


def _connection() -> Any:
    return connect(Settings.from_environment(), application="run", autocommit=True)


def _run_key(cursor: Any, dataset: str, run: int | None) -> int:
    key = run_views.find_run(cursor, dataset_name(dataset), run)
    if key is None:
        which = "no run" if run is None else f"no run {run}"
        raise OwlError(
            ErrorKind.BAD_CONF, f"There is {which} of dataset {dataset!r}. See `owl run list`."
        )
    return key
