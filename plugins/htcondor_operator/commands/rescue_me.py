"""``owl rescue_me``: automatic rescues by policy."""

from __future__ import annotations

import getpass
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.rescue_candidates import ACTION, Candidate, candidates
from htcondor_operator.blackboard.setting_rows import get_setting, set_setting
from htcondor_operator.executors import operator_rescue
from htcondor_operator.executors.operator_clear import check_airflow
from htcondor_operator.queue.campaigns.rescue_policy import (
    HORIZON_S,
    SETTING,
    Policy,
    decide,
    read_policy,
    to_json,
)
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

app = typer.Typer(no_args_is_help=True, help="Automatic rescues by policy.")

By = Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def policy(as_json: AsJson = False) -> None:
    """Show the rules; the first that fits a failure decides."""
    with closing(_connection()) as connection, connection, connection.cursor() as cur:
        rules = to_json(read_policy(get_setting(cur, SETTING)))
    if as_json:
        typer.echo(json.dumps(rules, indent=2))
        return
    table = Table("kinds", "nodes", "workflows", "times", "after_s")
    for rule in rules:
        table.add_row(*(" ".join(v) if isinstance(v, list) else f"{v:g}" for v in rule.values()))
    Console().print(table, markup=False)


@app.command("set")
def set_policy(
    file: Annotated[str, typer.Argument(help="JSON list of rules; - for standard input.")],
    reason: Annotated[str | None, typer.Option(help="Why; it is kept in the audit.")] = None,
    by: By = None,
) -> None:
    """Replace the rules; they hold from the next look on."""
    try:
        value = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OwlError(ErrorKind.BAD_CONF, f"{file!r} cannot be read as JSON: {error}.") from error
    rules = to_json(read_policy(value))
    with closing(_connection()) as connection, connection, connection.cursor() as cur:
        set_setting(cur, SETTING, rules, by or getpass.getuser(), reason)
    typer.echo(f"{len(rules)} rules")


@app.command("list")
def list_candidates(as_json: AsJson = False) -> None:
    """List the failed runs of the last day, and what the rules say about each."""
    with closing(_connection()) as connection, connection, connection.cursor() as cur:
        rules = read_policy(get_setting(cur, SETTING))
        rows = [_row(each, rules) for each in candidates(cur, HORIZON_S)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("dataset", "workflow", "failure", "rescues", "decision")
    for row in rows:
        table.add_row(*(str(row[name]) for name in table_columns))
    Console().print(table, markup=False)


table_columns = ("dataset", "workflow", "failure", "rescues", "decision")


@app.command()
def now(by: By = None, as_json: AsJson = False) -> None:
    """Rescue what is due (the poller's round, by hand)."""
    who = by or getpass.getuser()
    check_airflow()
    rescued: list[str] = []
    refused: list[tuple[str, str]] = []
    with closing(_connection()) as connection:
        for run_key in _due(connection):
            claimed = _claim(connection, run_key, who)
            if claimed is None:
                continue
            candidate, kind = claimed
            why = operator_rescue.rescue(connection, candidate.failed, by=who)
            words = f"{candidate.failed.fileset}: {kind}"
            if why is None:
                rescued.append(words)
            else:
                refused.append((words, why))
    if as_json:
        typer.echo(json.dumps({"rescued": rescued, "refused": refused}, indent=2))
        return
    for words in rescued:
        typer.echo(f"rescued: {words}")
    for words, why in refused:
        typer.echo(f"refused: {words}: {why}", err=True)


def _due(connection: Any) -> list[int]:
    with connection, connection.cursor() as cur:
        rules = read_policy(get_setting(cur, SETTING))
        found = candidates(cur, HORIZON_S)
    due = [each.failed.run_key for each in found if decide(each, rules).rescue]
    return [run_key for run_key in due if run_key is not None]


def _claim(connection: Any, run_key: int, who: str) -> tuple[Candidate, str] | None:
    """Write down what is about to be rescued: a crash afterwards never means once more.

    One by one, so that a crash costs one run one of its rescues, and not all that failed together.
    """
    with connection, connection.cursor() as cur:
        rules = read_policy(get_setting(cur, SETTING, lock=True))
        for candidate in candidates(cur, HORIZON_S, keys=[run_key], lock=True):
            decision = decide(candidate, rules)
            if decision.rescue:
                audit(
                    cur,
                    who=who,
                    subject=candidate.subject,
                    action=ACTION,
                    before={"attempt": candidate.attempt, "failure": decision.kind},
                    after={"rescue": candidate.rescues + 1},
                )
                return candidate, decision.kind
    return None


def _row(candidate: Candidate, rules: Policy) -> dict[str, Any]:
    decision = decide(candidate, rules)
    words = "rescue" if decision.rescue else f"no: {decision.why}"
    if decision.wait_s is not None:
        words = f"in {decision.wait_s:.0f} s"
    return {
        "dataset": candidate.failed.fileset,
        "workflow": candidate.failed.type,
        "run_id": candidate.failed.run_id,
        "attempt": candidate.attempt,
        "failure": decision.kind,
        "rescues": candidate.rescues,
        "decision": words,
    }


def _connection() -> Any:
    return connect(Settings.from_environment(), application="rescue_me")
