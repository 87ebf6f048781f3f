"""``owl alert``: what is wrong now, who was told, and whether the channels work."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from htcondor_operator.alerts.configuration import check_channels, load_alerting
from htcondor_operator.alerts.couriers import tell
from htcondor_operator.alerts.words import Told
from htcondor_operator.blackboard import alert_rows
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.commands._output import print_json, print_table
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

app = typer.Typer(no_args_is_help=True, help="See and acknowledge alerts; try channels.")

Number = Annotated[int, typer.Argument(help="The alert.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_COLUMNS = ("id", "severity", "rule", "title", "since", "state", "told", "acked_by", "error")


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="So many at the most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List open alerts, the latest first."""
    with _cursor() as cur:
        rows = alert_rows.list_alerts(cur, state=None if everything else "open", limit=limit)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row["since"] = row["opened_at"]
        row["told"] = f"{row['sent']} sent" + (f", {row['due']} due" if row["due"] else "")
    print_table(_COLUMNS, rows)


@app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show an alert with its messages."""
    with _cursor() as cur:
        found = alert_rows.get(cur, number)
    if found is None:
        raise OwlError(ErrorKind.BAD_NAME, f"There is no alert {number}. See `owl alert list`.")
    if as_json:
        print_json(found)
        return
    messages = found.pop("messages")
    detail = found.pop("detail")
    for key, value in {**found, **detail}.items():
        if value not in (None, ""):
            typer.echo(f"{key + ':':<13}{value}")
    if messages:
        print_table(tuple(messages[0]), messages)


@app.command()
def ack(
    number: Number,
    reason: Annotated[str, typer.Option(help="What is being done, or why it is known.")],
    by: Annotated[str | None, typer.Option(help="Who; the user's name by default.")] = None,
) -> None:
    """Take an alert over: nothing more is sent before it is over."""
    with _cursor() as cur:
        alert_rows.ack(cur, number, who=by or getpass.getuser(), reason=reason)
    typer.echo(f"alert {number} is acknowledged")


@app.command()
def check() -> None:
    """Check the file: rules, channels, and whether their notifiers can be made."""
    path = Settings.from_environment().alerts
    alerting = load_alerting(path)
    wrong = check_channels(alerting)
    if wrong:
        raise OwlError(ErrorKind.BAD_CONF, "\n".join(wrong))
    for channel in alerting.channels:
        rules = ", ".join(sorted(channel.rules)) or "all rules"
        typer.echo(f"{channel.name}: {channel.notifier}; {rules}, at least {channel.at_least}")
    enabled = len(alerting.enabled())
    typer.echo(f"{path}: {enabled} rules in force, {len(alerting.channels)} channels")


@app.command()
def test(channel: Annotated[str, typer.Argument(help="The channel.")]) -> None:
    """Send a message to a channel now, to see whether it comes."""
    alerting = load_alerting(Settings.from_environment().alerts)
    known = {each.name: each for each in alerting.channels}
    if channel not in known:
        words = f"There is no channel {channel!r}; there are {', '.join(sorted(known)) or 'none'}."
        raise OwlError(ErrorKind.BAD_NAME, words)
    # Airflow gives connections of its database to a process that says it is one of the servers'.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    told = Told(
        id=0,
        rule="test",
        about=channel,
        state="open",
        severity="info",
        title=f"A test of channel {channel}, by {getpass.getuser()}",
        count=1,
        why="test",
        opened_at=datetime.now(UTC),
    )
    error = tell([(known[channel], told)], {}).get(channel)
    if isinstance(error, OwlError):
        raise error
    if error is not None:
        words = f"Channel {channel} did not take it: {type(error).__name__}: {error}"
        raise OwlError(ErrorKind.BAD_CONF, words) from error
    typer.echo(f"channel {channel} took it")


@contextmanager
def _cursor() -> Iterator[Any]:
    settings = Settings.from_environment()
    with (
        closing(connect(settings, application="alert")) as connection,
        connection,
        connection.cursor() as cur,
    ):
        yield cur
