"""``owl dag``: look at DAG files, anyone's."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from htcondor_operator.dagman.describe import dag_lines, dag_mapping, dag_table, printable
from htcondor_operator.dagman.fold_command import fold
from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.parser import DagSyntaxError, read_dag

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.callback()
def dag() -> None:
    """Look at DAG files, anyone's."""


@app.command()
def show(
    file: Annotated[str, typer.Argument(help="A DAG file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the nodes, edges and settings of a DAG file with all that it includes and splices."""
    try:
        parsed = read_dag(file)
        graph = workflow_graph(parsed)
    except DagSyntaxError as error:
        typer.echo(printable(error.message), err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps(dag_mapping(parsed, graph), indent=2))
        return
    from rich.console import Console

    # Into a pipe a row stays one line as far as it can.
    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False, markup=False)
    console.print(dag_table(parsed))
    for line in dag_lines(parsed):
        console.print(printable(line), soft_wrap=True)


app.command()(fold)
