"""``owl queue``: what waits to be processed, why, and what became of it."""

# ruff: noqa: PLR0917 - typer reads a command's options from its signature.

from __future__ import annotations

import getpass
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from htcondor_operator.blackboard import queue_changes, queue_views
from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.new_entries import NewEntry
from htcondor_operator.blackboard.queue_changes import Changed, Chosen, Order
from htcondor_operator.blackboard.queue_entries import Added, WhenOpen, add_entries
from htcondor_operator.blackboard.queue_filters import Filter, Page, Pattern
from htcondor_operator.commands._output import print_json, print_table
from htcondor_operator.queue.entry_lists import Defaults, EntryReader, read_payload
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import (
    EntryState,
    ErrorKind,
    OwlError,
    dataset_name,
    workflow_name,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

app = typer.Typer(no_args_is_help=True, help="What waits to be processed, why, and what was.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")]
Reason = Annotated[str | None, typer.Option(help="Why; it is kept.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only entries of this type.")]
Campaign = Annotated[str | None, typer.Option(help="Only entries of this campaign.")]
PriorityOption = Annotated[int | None, typer.Option(help="Only entries of this priority.")]
Everything = Annotated[bool, typer.Option("--all", help="The whole queue is meant.")]
Filesets = Annotated[
    list[str] | None, typer.Argument(help="Filesets; - reads them from standard input.")
]
PatternArgument = Annotated[
    str | None, typer.Argument(help="Name of a fileset, or a pattern with * and ?.")
]
Limit = Annotated[int, typer.Option(help="Rows of a page, 1 to 1000.")]
After = Annotated[str | None, typer.Option(help="Continue behind a page: its `next`.")]

LONG_S = 600  # changes of a million entries take longer than the usual limit of a statement


@app.command()
def status(
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only where something is in the queue.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how many entries there are, by priority and type, and how many were never shoveled."""
    with _cursor() as cur:
        rows = queue_views.status(cur)
    if waiting:
        rows = [row for row in rows if row["unshoveled"]]
    if as_json:
        print_json(rows)
        return
    columns = ("priority", "type", "unshoveled", "total")
    more = ("waiting", "held", "paused", "shoveled", "done", "failed")
    print_table((*columns, *(name for name in more if any(row[name] for row in rows))), rows)


@app.command("list")
def list_entries(
    fileset: PatternArgument = None,
    type_: TypeOption = None,
    state: Annotated[
        str | None, typer.Option(help=f"Only in this state: {', '.join(EntryState)}.")
    ] = None,
    campaign: Campaign = None,
    priority: PriorityOption = None,
    limit: Limit = 100,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List what is in the queue, the next to be shoveled first (by name, if names are asked)."""
    wanted = _filter(fileset, type_, state, campaign, priority)
    with _cursor() as cur:
        page = queue_views.list_entries(cur, wanted, limit=limit, after=after)
    columns = ("id", "fileset", "type", "priority", "state", "campaign", "inserted_at", "reason")
    _print_page(page, "entries", columns, as_json=as_json)


@app.command()
def history(
    fileset: PatternArgument = None,
    type_: TypeOption = None,
    outcome: Annotated[
        str | None,
        typer.Option(help="Only shoveled (not over), done, failed, removed, cancelled, resolved."),
    ] = None,
    campaign: Campaign = None,
    priority: PriorityOption = None,
    limit: Limit = 100,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List what has left the queue, the last first (by name, if names are asked for)."""
    wanted = _filter(fileset, type_, outcome, campaign, priority)
    with _cursor() as cur:
        page = queue_views.list_history(cur, wanted, limit=limit, after=after)
    columns = ("id", "fileset", "type", "priority", "outcome", "campaign", "left_at", "ended_at")
    _print_page(page, "history", (*columns, "run_id", "reason"), as_json=as_json)


@app.command()
def show(
    fileset: Annotated[str, typer.Argument(help="The fileset, or the number of an entry.")],
    as_json: AsJson = False,
) -> None:
    """Show all about a fileset: what waits and what became of earlier entries."""
    with _cursor() as cur:
        found = queue_views.show_fileset(cur, dataset_name(fileset, "fileset"))
        number = int(fileset) if fileset.isdecimal() and len(fileset) < 19 else 0
        entry = queue_views.show_entry(cur, number)
    if entry is not None:
        found["history" if "outcome" in entry else "queue"].append(entry)
    if not found["queue"] and not found["history"]:
        raise OwlError(
            ErrorKind.BAD_NAME,
            f"fileset {fileset!r} is not in the queue and never was. See `owl queue list`.",
        )
    if as_json:
        print_json(found)
        return
    for rows in (found["queue"], found["history"]):
        for row in rows:
            _print_entry(row)


@app.command()
def add(
    filesets: Filesets = None,
    csv: Annotated[
        str | None,
        typer.Option(
            help="CSV file with the columns fileset,type,priority,reason,payload (JSON); - for "
            "standard input."
        ),
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Workflow, where a line names none.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option(help="Higher goes first; the workflow's by default.")
    ] = None,
    payload: Annotated[
        str | None, typer.Option(help="Parameters of the workflow, a JSON object.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Add them held.")] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="What is in Airflow is not refused: it waits for the end."),
    ] = False,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Add entries, all of them in one transaction or none.

    What is in the queue already is merged (the higher priority and the newer words win); what is
    in Airflow in the same type, and not over, is refused.
    """
    who = by or getpass.getuser()
    reader = EntryReader(
        Settings.from_environment().templates,
        Defaults(
            type=type_,
            priority=priority,
            reason=reason,
            payload=read_payload(payload),
            requested_by=who,
            state=EntryState.HELD if hold else EntryState.WAITING,
        ),
    )
    entries = _read(reader, filesets or [], csv)
    when_open = WhenOpen.WAIT if wait else WhenOpen.REFUSE
    with _cursor(LONG_S) as cur:
        added = add_entries(cur, entries, when_open=when_open)
        _audit_add(cur, entries, added, who, reason)
    if as_json:
        refused = [{"fileset": name, "why": why} for name, why in added.refused]
        print_json({"added": added.added, "merged": added.merged, "refused": refused})
    else:
        for name, why in added.refused:
            sys.stderr.write(f"refused: {name} {why}\n")
        more = f", {len(added.refused)} refused" if added.refused else ""
        sys.stdout.write(f"{added.added} added, {added.merged} merged{more}\n")
    if added.refused and not added.added + added.merged:
        raise typer.Exit(1)


@app.command()
def remove(
    filesets: Filesets = None,
    type_: TypeOption = None,
    campaign: Campaign = None,
    everything: Everything = False,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Take entries out of the queue; they stay in the history as removed."""
    chosen = _chosen(filesets, type_, campaign, everything)
    _act("removed", queue_changes.remove, chosen, by, reason, as_json=as_json)


@app.command()
def priority(
    value: Annotated[int, typer.Argument(help="From -10000 to 10000; higher goes first.")],
    filesets: Filesets = None,
    type_: TypeOption = None,
    campaign: Campaign = None,
    everything: Everything = False,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Give entries another priority."""

    def change(cur: Cursor, chosen: Chosen, order: Order) -> Changed:
        return queue_changes.set_priority(cur, chosen, value, order)

    chosen = _chosen(filesets, type_, campaign, everything)
    _act("changed", change, chosen, by, reason, as_json=as_json)


@app.command()
def hold(
    filesets: Filesets = None,
    type_: TypeOption = None,
    campaign: Campaign = None,
    everything: Everything = False,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Keep entries from being shoveled until they are released."""
    chosen = _chosen(filesets, type_, campaign, everything)
    _act("held", queue_changes.hold, chosen, by, reason, as_json=as_json)


@app.command()
def release(
    filesets: Filesets = None,
    type_: TypeOption = None,
    campaign: Campaign = None,
    everything: Everything = False,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Let held entries go on."""
    chosen = _chosen(filesets, type_, campaign, everything)
    _act("released", queue_changes.release, chosen, by, reason, as_json=as_json)


def _act(
    word: str,
    act: Callable[[Cursor, Chosen, Order], Changed],
    chosen: Chosen,
    by: str | None,
    reason: str | None,
    *,
    as_json: bool,
) -> None:
    with _cursor(LONG_S) as cur:
        changed = act(cur, chosen, Order(by or getpass.getuser(), reason))
    if as_json:
        print_json(asdict(changed))
    else:
        for name in changed.missing:
            sys.stderr.write(f"not in the queue: {name}\n")
        others = f", {changed.unchanged} left as they were" if changed.unchanged else ""
        sys.stdout.write(f"{changed.changed} {word}{others}\n")
    if changed.missing:
        raise typer.Exit(1)


@contextmanager
def _cursor(seconds: int | None = None) -> Iterator[Cursor]:
    """Open a cursor whose transaction is committed when nothing fails."""
    with (
        closing(connect(Settings.from_environment(), application="queue")) as connection,
        connection,
        connection.cursor() as cur,
    ):
        if seconds is not None:
            cur.execute("SET LOCAL statement_timeout = %s", (seconds * 1000,))
        yield cur


def _filter(
    fileset: str | None,
    type_: str | None,
    state: str | None,
    campaign: str | None,
    priority: int | None,
) -> Filter:
    return Filter(
        type=None if type_ is None else workflow_name(type_, "type"),
        state=state,
        campaign=campaign,
        fileset=None if fileset is None else Pattern(fileset),
        priority=priority,
    )


def _chosen(
    filesets: list[str] | None, type_: str | None, campaign: str | None, everything: bool
) -> Chosen:
    names: list[str] = []
    for word in filesets or []:
        names += [line.strip() for line in sys.stdin] if word == "-" else [word]
    if filesets and not any(names):
        raise OwlError(ErrorKind.BAD_CONF, "fileset -: standard input names none.")
    checked = (dataset_name(name, "fileset") for name in names if name)
    return Chosen(tuple(checked), type_, campaign, everything)


def _read(reader: EntryReader, filesets: list[str], csv: str | None) -> list[NewEntry]:
    entries: list[NewEntry] = []
    for word in filesets:
        if word == "-":
            entries += reader.entries(sys.stdin, "standard input")
        else:
            entries.append(reader.entry({"fileset": word}))
    if csv == "-":
        entries += reader.entries(sys.stdin, "standard input")
    elif csv is not None:
        try:
            with Path(csv).open(encoding="utf-8", newline="") as lines:
                entries += reader.entries(lines, csv)
        except OSError as error:
            raise OwlError(ErrorKind.BAD_CONF, f"--csv {csv}: {error.strerror}.") from error
    if not entries:
        raise OwlError(ErrorKind.BAD_CONF, "No filesets are named. Give some, or --csv FILE.")
    return entries


def _audit_add(
    cur: Cursor, entries: list[NewEntry], added: Added, who: str, reason: str | None
) -> None:
    if not added.added + added.merged:
        return
    after = {
        "added": added.added,
        "merged": added.merged,
        "refused": len(added.refused),
        "types": dict(Counter(entry.type for entry in entries)),
    }
    audit(cur, who=who, subject=queue_changes.SUBJECT, action="add", after=after, reason=reason)


def _print_page(page: Page, name: str, columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({name: page.rows, "next": page.next})
        return
    print_table(columns, page.rows)
    if page.next is not None:
        sys.stdout.write(f"more: --after {page.next}\n")


def _print_entry(row: dict[str, Any]) -> None:
    state = row.get("outcome") or row["state"]
    sys.stdout.write(f"entry {row['id']}: {row['fileset']} for {row['type']}: {state}\n")
    for name, value in row.items():
        if name not in {"id", "fileset", "type", "state", "outcome"} and value not in (None, {}):
            text = json.dumps(value) if isinstance(value, dict) else value
            sys.stdout.write(f"  {name:13} {text}\n")
