"""``owl poller``: see what the pollers do, and what became of delivered files."""

# ruff: noqa: PLR0917 - typer reads a command's options from its signature.

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.queue.pollers import views as poller_views
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import load_declarations
from htcondor_operator.queue.pollers.kinds import make_poller
from htcondor_operator.queue.pollers.retry import retry as put_back
from htcondor_operator.queue.pollers.turns import Tally, Turns
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState, ErrorKind, OwlError, PollerState

app = typer.Typer(no_args_is_help=True, help="See pollers and delivered files.")

Name = Annotated[str, typer.Argument(help="The poller, for instance DP_ACS.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_BETWEEN_LOOKS_S = 0.2


@app.command("list")
def list_pollers(as_json: AsJson = False) -> None:
    """List all pollers with their heartbeats."""
    settings = Settings.from_environment()
    declarations = load_declarations(settings.pollers)
    with _cursor(settings) as cur:
        lines = poller_views.overview(cur, declarations)
    errors = [error.message for error in declarations.errors]
    if as_json:
        _print_json({"pollers": lines, "errors": errors})
        return
    for line in lines:
        line["last look"] = _ago(line["age_s"])
        line["every"] = "" if line["interval_s"] is None else f"{line['interval_s']:g} s"
        line["last result"] = _result(line)
        line["note"] = line["error"] or line["note"]
    columns = ("name", "state", "kind", "directory", "every", "last look", "last result", "note")
    _print_table(columns, lines)
    for error in errors:
        typer.echo(error, err=True)


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a poller: its heartbeat, its arrivals by state, the last ones."""
    settings = Settings.from_environment()
    with _cursor(settings) as cur:
        found = poller_views.detail(cur, load_declarations(settings.pollers), name)
    if as_json:
        _print_json(found)
        return
    last = found.pop("last")
    for key, value in found.items():
        if value not in (None, {}, ""):
            typer.echo(f"{key + ':':<13}{_cell(value)}")
    if last:
        _print_table(_ARRIVAL_COLUMNS, last)


@app.command()
def look(
    name: Name,
    act: Annotated[bool, typer.Option("--act", help="Do it: one round, paused or not.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look once, now: say what a round would do, or (--act) do it and say what it did."""
    settings = Settings.from_environment()
    declaration = load_declarations(settings.pollers).get(name)
    if act:
        done = _act(name, settings)
        _print_json(done) if as_json else typer.echo(_words(done))
        return
    with closing(make_poller(declaration, settings)) as poller:
        if not isinstance(poller, FolderPoller):
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"Poller {name} of kind {declaration.kind} watches no folder: use --act.",
            )
        found = poller.preview()
    if as_json:
        _print_json(found)
        return
    _print_table(("name", "bytes", "fileset", "use", "action", "reason"), found)


def _act(name: str, settings: Settings) -> dict[str, Any]:
    turns = Turns(name, settings)
    tally = Tally()
    try:
        # A file is settled when two looks see the same.
        for _ in range(2):
            turn = turns.turn(even_if_paused=True)
            tally.add(turn)
            while turn.result.more:
                turn = turns.turn(even_if_paused=True)
                tally.add(turn)
            if turn.state is None:
                raise OwlError(
                    ErrorKind.BAD_CONF,
                    f"Poller {name} is at work in another process. Try again in a moment.",
                )
            if turn.state is PollerState.FAILING:
                raise OwlError(ErrorKind.BAD_CONF, turn.error or "the round failed")
            time.sleep(_BETWEEN_LOOKS_S)
    finally:
        turns.close()
    return tally.as_json()


@app.command()
def arrivals(
    state: Annotated[ArrivalState | None, typer.Option(help="Only in this state.")] = None,
    poller: Annotated[str | None, typer.Option(help="Only of this poller.")] = None,
    fileset: Annotated[str | None, typer.Option(help="Only of this dataset.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at the most.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only with a lower number (paging).")] = None,
    as_json: AsJson = False,
) -> None:
    """List delivered files, the newest first."""
    settings = Settings.from_environment()
    with _cursor(settings) as cur:
        rows = arrival_rows.list_arrivals(
            cur,
            state=state.value if state else None,
            poller=poller,
            fileset=fileset,
            before=before,
            limit=limit,
        )
    _print_json(rows) if as_json else _print_table(_ARRIVAL_COLUMNS, rows)


@app.command()
def retry(
    numbers: Annotated[list[int], typer.Argument(help="Arrivals in quarantine.")],
    by: Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put files out of quarantine back where they were delivered: their poller looks again."""
    settings = Settings.from_environment()
    done = []
    with closing(connect(settings, application="poller")) as connection:
        for number in numbers:
            with connection, connection.cursor() as cur:
                path = put_back(cur, number, who=by or getpass.getuser())
            done.append({"arrival": number, "path": str(path)})
            if not as_json:
                typer.echo(f"arrival {number} is back: {path}")
    if as_json:
        _print_json(done)


@contextmanager
def _cursor(settings: Settings) -> Iterator[Any]:
    with (
        closing(connect(settings, application="poller", autocommit=True)) as connection,
        connection.cursor() as cur,
    ):
        yield cur


_ARRIVAL_COLUMNS = ("id", "arrived_at", "poller", "name", "fileset", "type", "state", "reason")


def _words(done: dict[str, Any]) -> str:
    counts = ", ".join(f"{number} {what}" for what, number in done["counts"].items())
    return f"{counts or 'nothing new'}{'; ' + done['note'] if done['note'] else ''}"


def _result(line: dict[str, Any]) -> str:
    counts = line["result"].get("counts", {})
    words = ", ".join(f"{number} {what}" for what, number in counts.items())
    return f"{words} ({line['result_at']:%H:%M:%S})" if words else ""


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7200 else f"{seconds / 3600:.0f} h ago"


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items() if item)
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _print_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    Console().print(table, markup=False)
