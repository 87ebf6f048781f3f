"""``owl campaign``: reprocess many datasets under one name."""

# ruff: noqa: PLR0917 - typer reads a command's options from its signature.

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.live import Live
from rich.text import Text

from htcondor_operator.blackboard import campaign_lists, campaign_rows, campaign_truth
from htcondor_operator.blackboard.campaign_rows import Campaign, Put
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.commands._output import print_json, print_table
from htcondor_operator.executors import operator_rescue, operator_stop
from htcondor_operator.executors.operator_clear import check_airflow
from htcondor_operator.queue.campaigns import acts as campaigns
from htcondor_operator.queue.campaigns import text as campaign_text
from htcondor_operator.queue.campaigns.choosing import choose
from htcondor_operator.queue.campaigns.failure_kinds import count_kinds, failure_kind
from htcondor_operator.queue.campaigns.proposals import withdraw_question
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import (
    CampaignState,
    ErrorKind,
    MemberState,
    OwlError,
    campaign_name,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

app = typer.Typer(no_args_is_help=True, help="Reprocess many datasets under one name.")

Name = Annotated[str, typer.Argument(help="Name of the campaign.")]
By = Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept in the audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option(help="Only print what would be done.")]

_WATCH_SECONDS = 2.0


@app.command()
def create(
    name: Name,
    workflow: Annotated[str, typer.Option("--type", help="Workflow of its runs.")],
    datasets: Annotated[
        str | None, typer.Option(help="File with one dataset per line; - for standard input.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(help="Choose from the catalogue: 'instrument=WFC3 from=2026-01-01'."),
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher goes first.")] = 0,
    param: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE of the workflow, for all runs.")
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="The campaign may be there: add what it lacks.")
    ] = False,
    reason: Reason = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put a list of datasets, or those of a query, into the queue: all of them or none."""
    settings = Settings.from_environment()
    params = _params(param or [])
    with _cursor() as cur:
        wanted = choose(
            cur,
            settings.templates,
            workflow,
            lines=None if datasets is None else _lines(datasets),
            where=where,
            params=params,
            source=datasets or "",
        )
        campaign = Campaign(
            name=campaign_name(name),
            type=workflow,
            state=CampaignState.RUNNING,
            priority=priority,
            source="list" if where is None else "query",
            detail={"where": where} if where else {},
            reason=reason,
            created_by=by or getpass.getuser(),
        )
        put = campaigns.create(cur, campaign, wanted, add=add)
        if dry_run:
            cur.connection.rollback()
    _tell_put(campaign.name, put, as_json=as_json, dry_run=dry_run)


@app.command("list")
def list_campaigns(
    state: Annotated[str | None, typer.Option(help="Only campaigns in this state.")] = None,
    limit: Annotated[int, typer.Option(help="So many at the most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List campaigns, the newest first."""
    if state is not None and state not in set(CampaignState):
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"--state {state!r} is not one of {', '.join(CampaignState)}.",
        )
    with _cursor() as cur:
        rows = campaign_truth.overview(cur, state=state, limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = ("name", "type", "state", "priority", "total", "open", "done", "failed", "created_by")
    print_table(columns, rows)


@app.command()
def status(
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", help="Show it until nothing is open.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far a campaign is: counts, rate, time to go, failures by kind."""
    if as_json:
        print_json(_report(name))
        return
    told = _report(name)
    if not watch:
        typer.echo("\n".join(campaign_text.lines(told)))
        return
    with Live(_text(told), console=Console(), auto_refresh=False) as live:
        while told["open"]:
            time.sleep(_WATCH_SECONDS)
            told = _report(name)
            live.update(_text(told), refresh=True)


@app.command()
def show(
    name: Name,
    state: Annotated[
        list[str] | None, typer.Option(help="Only datasets in this state; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(help="So many datasets at the most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show a campaign's datasets, with their runs and what went wrong."""
    unknown = sorted(set(state or []) - set(MemberState))
    if unknown:
        raise OwlError(
            ErrorKind.BAD_CONF, f"--state {unknown[0]!r} is not one of {', '.join(MemberState)}."
        )
    with _cursor() as cur:
        campaign = campaign_rows.the_campaign(cur, name)
        states = tuple(MemberState(each) for each in state or [])
        rows = campaign_truth.members(cur, name, states=states, limit=limit)
        kinds = {each.run_id: each for each in campaign_truth.failed_members(cur, name)}
    for row in rows:
        failed = kinds.get(row["run_id"]) if row["state"] == MemberState.FAILED else None
        row["failure"] = str(failure_kind(failed)) if failed else None
    if as_json:
        print_json({**campaign.as_row(), "datasets": rows})
        return
    typer.echo("\n".join(campaign_text.lines(_report(name))))
    print_table(("fileset", "type", "state", "entry", "run_id", "ended_at", "failure"), rows)


@app.command()
def pause(name: Name, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Keep what waits in the queue; what runs goes on."""
    with _cursor() as cur:
        entries = campaigns.pause(cur, name, by=by or getpass.getuser(), reason=reason)
    _tell({"campaign": name, "state": "paused", "entries": entries}, as_json)


@app.command()
def resume(name: Name, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Let a paused campaign go on."""
    with _cursor() as cur:
        entries = campaigns.resume(cur, name, by=by or getpass.getuser(), reason=reason)
    _tell({"campaign": name, "state": "running", "entries": entries}, as_json)


@app.command()
def priority(
    name: Name,
    value: Annotated[int, typer.Argument(help="From -10000 to 10000; higher goes first.")],
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Change the priority of what waits in the queue."""
    who = by or getpass.getuser()
    with _cursor() as cur:
        entries = campaigns.change_priority(cur, name, value, by=who, reason=reason)
    _tell({"campaign": name, "priority": value, "entries": entries}, as_json)


@app.command()
def cancel(
    name: Name,
    running: Annotated[
        bool, typer.Option("--running", help="Also remove from HTCondor what runs.")
    ] = False,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """End a campaign: what waits leaves the queue, what runs goes on (or is removed)."""
    who = by or getpass.getuser()
    if running:
        check_airflow()
    with _cursor() as cur:
        done = campaigns.cancel(cur, name, by=who, reason=reason, running=running)
    if done.unstarted:
        operator_stop.stop(done.unstarted, by=who)
        # One may have been launched in the meantime.
        with _cursor() as cur:
            late = campaigns.remove_launched(cur, name, done.unstarted, by=who)
    else:
        late = 0
    told = {
        "campaign": name,
        "state": "cancelled",
        "entries": done.entries,
        "removed_from_htcondor": done.removals + late,
        "ended_before_launch": len(done.unstarted) - late,
        "go_on": done.still_open,
    }
    _tell(told, as_json)


@app.command("retry-failed")
def retry_failed(
    name: Name,
    reason: Reason = None,
    by: By = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Rescue each failed run: only what did not succeed runs again, in the same run."""
    who = by or getpass.getuser()
    if not dry_run:
        check_airflow()
    with _cursor() as cur:
        failed = campaigns.failed_to_retry(cur, name, by=who, reason=reason)
        if dry_run:
            cur.connection.rollback()
    with closing(_connection()) as connection:
        results = [
            operator_rescue.rescue(connection, run, by=who, reason=reason, dry_run=dry_run)
            for run in failed
        ]
    refused = [(run.fileset, why) for run, why in zip(failed, results, strict=True) if why]
    told = {
        "campaign": name,
        "would_rescue" if dry_run else "rescued": len(failed) - len(refused),
        "refused": refused,
    }
    _tell(told, as_json)
    if refused:
        raise typer.Exit(1)


@app.command()
def approve(name: Name, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Let a proposed campaign fill the queue."""
    who = by or getpass.getuser()
    with _cursor() as cur:
        put = campaigns.approve(cur, name, by=who, reason=reason)
        asked = withdraw_question(cur, name, by=who)
    _answered(asked, who)
    _tell_put(name, put, as_json=as_json)


@app.command()
def reject(name: Name, reason: Reason = None, by: By = None, as_json: AsJson = False) -> None:
    """Drop a proposed campaign."""
    who = by or getpass.getuser()
    with _cursor() as cur:
        campaigns.reject(cur, name, by=who, reason=reason)
        asked = withdraw_question(cur, name, by=who)
    _answered(asked, who)
    _tell({"campaign": name, "state": "rejected"}, as_json)


def _answered(asked: list[tuple[str, str]], by: str) -> None:
    """End the DAG runs that still ask a person."""
    if asked:
        check_airflow()
        operator_stop.stop(asked, by=by, success=True)


def _report(name: str) -> dict[str, Any]:
    with _cursor() as cur:
        campaign = campaign_rows.the_campaign(cur, name)
        progress = campaign_truth.progress(cur, name)
        failed = campaign_lists.failures(cur, name)
    failures = [(str(kind), n, one) for kind, n, one in count_kinds(failed)]
    return campaign_text.report(campaign, progress, failures)


def _text(told: dict[str, Any]) -> Text:
    return Text("\n".join(campaign_text.lines(told)))


def _lines(source: str) -> list[str]:
    if source == "-":
        return sys.stdin.read().splitlines()
    try:
        return Path(source).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OwlError(
            ErrorKind.BAD_CONF, f"--datasets {source!r} cannot be read: {error}."
        ) from error


def _params(words: list[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise OwlError(ErrorKind.BAD_CONF, f"--param {word!r} is not KEY=VALUE.")
        try:
            params[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise OwlError(ErrorKind.BAD_CONF, f"--param {key}: {value!r} is not YAML.") from error
    return params


def _connection() -> Any:
    return connect(Settings.from_environment(), application="campaign")


@contextmanager
def _cursor() -> Iterator[Cursor]:
    """One transaction."""
    with closing(_connection()) as connection, connection, connection.cursor() as cursor:
        yield cursor


def _tell_put(name: str, put: Put, *, as_json: bool, dry_run: bool = False) -> None:
    if as_json:
        print_json({"campaign": name, "dry_run": dry_run, **asdict(put)})
        return
    words = [f"{put.added} {'would be ' if dry_run else ''}added to the queue"]
    words += [f"{n} {what}" for n, what in ((put.merged, "merged"), (put.members, "members")) if n]
    typer.echo(f"{name}: {', '.join(words)}")
    for fileset, why in put.refused:
        typer.echo(f"refused: {fileset} {why}", err=True)


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    refused = told.pop("refused", [])
    name = told.pop("campaign")
    words = (f"{key.replace('_', ' ')} {value}" for key, value in told.items())
    typer.echo(f"{name}: {', '.join(words)}")
    for fileset, why in refused:
        typer.echo(f"refused: {fileset}: {why}", err=True)
