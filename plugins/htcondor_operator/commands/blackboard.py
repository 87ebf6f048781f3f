"""``owl blackboard``: care for OWL's tables."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Annotated

import typer

from htcondor_operator.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Care for OWL's tables.", add_completion=False)


@app.command()
def dictionary() -> None:
    """Print the data dictionary (docs/blackboard.md)."""
    from htcondor_operator.blackboard.dictionary import dictionary as page

    sys.stdout.write(page())


@app.command()
def grant(
    role: Annotated[str, typer.Argument(help="Name of the role; made if it does not exist.")],
    intake: Annotated[
        bool, typer.Option("--intake", help="For pollers and the shoveler, not for tasks.")
    ] = False,
) -> None:
    """Let a database role do what tasks (or pollers and the shoveler) need, and nothing else.

    Its password is taken from OWL_TASK_PASSWORD when that is set: a command line is not a place
    for secrets.
    """
    from htcondor_operator.blackboard.connection import connect
    from htcondor_operator.blackboard.roles import grant_intake, grant_tasks

    connection = connect(Settings.from_environment(), application="grant")
    try:
        with connection, connection.cursor() as cursor:
            make = grant_intake if intake else grant_tasks
            make(cursor, role, os.environ.get("OWL_TASK_PASSWORD"))
    finally:
        connection.close()


@app.command()
def forget(
    days: Annotated[int, typer.Option(min=1, help="Keep this many days of the journal.")] = 90,
) -> None:
    """Delete old entries of the journal, done commands and heartbeats of daemons that are gone."""
    from htcondor_operator.blackboard.connection import connect
    from htcondor_operator.blackboard.retention import Retention
    from htcondor_operator.blackboard.retention import forget as act

    connection = connect(Settings.from_environment(), application="forget")
    try:
        with connection.cursor() as cursor:
            deleted = act(cursor, Retention(events=timedelta(days=days)), connection.commit)
    finally:
        connection.close()
    for table, rows in deleted.items():
        sys.stdout.write(f"{table}: {rows} rows deleted\n")
