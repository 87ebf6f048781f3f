"""``owl dag fold``: the final state of every node, from any site's files."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from htcondor_operator.dagman.offline import Files, Outcome, fold_files
from htcondor_operator.dagman.outcome_json import outcome_mapping
from htcondor_operator.dagman.parser import read_dag
from htcondor_operator.vocabulary import ErrorKind, OwlError


def fold(  # noqa: PLR0917 - typer's options
    dag: Annotated[str | None, typer.Option(help="The DAG file.")] = None,
    nodes_log: Annotated[str | None, typer.Option(help="Its .nodes.log.")] = None,
    node_status: Annotated[str | None, typer.Option(help="Its NODE_STATUS_FILE.")] = None,
    dagman_out: Annotated[str | None, typer.Option(help="Its .dagman.out.")] = None,
    rescue: Annotated[str | None, typer.Option(help="A rescue DAG of it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the final state of every node, as far as the given files tell. Any of them will do."""
    if not any((dag, nodes_log, node_status, dagman_out, rescue)):
        raise OwlError(
            ErrorKind.BAD_CONF,
            "no file is given: name at least one of --dag, --nodes-log, --node-status,"
            " --dagman-out and --rescue.",
        )
    files = Files(
        dag=None if dag is None else read_dag(dag),
        nodes_log=_read("--nodes-log", nodes_log),
        node_status=_read("--node-status", node_status),
        dagman_out=_read("--dagman-out", dagman_out),
        rescue=_read("--rescue", rescue),
        year=_year(nodes_log),
    )
    outcome = fold_files(files)
    if as_json:
        typer.echo(json.dumps(outcome_mapping(outcome), indent=2))
    else:
        _print(outcome)


def _read(option: str, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return Path(name).read_text(errors="replace")
    except OSError as error:
        raise OwlError(
            ErrorKind.BAD_CONF, f"{option} {name!r} cannot be read: {error.strerror}."
        ) from error


def _year(name: str | None) -> int:
    """Return the year of dates that have none: that of the file's last change."""
    if name is None:
        return 1970
    return datetime.fromtimestamp(Path(name).stat().st_mtime, UTC).year


def _print(outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("node", "type", "state", "try", "exit", "host", "source", "reason")
    for name, verdict in outcome.nodes.items():
        node = verdict.node
        code = node.exit_code if node.exit_signal is None else f"signal {node.exit_signal}"
        cells = (name, verdict.type, node.state.value, node.retry, code, node.host)
        table.add_row(*_cells(*cells, verdict.source, node.reason))
    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False, markup=False)
    console.print(table)
    for warning in outcome.warnings:
        console.print(f"warning: {warning}")


def _cells(*values: object) -> list[str]:
    from htcondor_operator.dagman.describe import printable

    return ["" if value is None else printable(str(value)) for value in values]
