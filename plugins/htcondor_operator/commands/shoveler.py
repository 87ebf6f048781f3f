"""``owl shoveler``: how fast and in which order the queue goes into Airflow."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from htcondor_operator.blackboard import poller_rows
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.setting_rows import get_setting, list_audit, set_setting
from htcondor_operator.commands._output import print_json, print_table
from htcondor_operator.queue.shoveler import policy_values
from htcondor_operator.queue.shoveler.policy import Cell, Load, Plan, Policy, plan
from htcondor_operator.queue.shoveler.policy_values import SETTING
from htcondor_operator.queue.shoveler.shoveling import look, read_policy
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

app = typer.Typer(
    no_args_is_help=True, help="How fast and in which order the queue goes into Airflow."
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str | None, typer.Option(help="Who asks; the user's name by default.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]

_KIND = "shoveler"
_SILENT_S = 15.0
_ALL = 10_000_000


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the policy, and what runs now."""
    with _cursor() as cur:
        policy = read_policy(cur)
        _, load = look(cur, policy)
        alive = _heartbeat(cur)
    if as_json:
        values = policy_values.to_json(policy)
        print_json({"policy": values, "load": _load(load), "shoveler": alive})
        return
    default = dict(policy_values.values(Policy()))
    rows = [
        {"key": key, "value": _word(value), "default": _word(default.get(key))}
        for key, value in policy_values.values(policy)
    ]
    print_table(("key", "value", "default"), rows)
    typer.echo(_sentence(alive))
    typer.echo(_now(load))


@app.command("set")
def set_values(
    assignments: Annotated[
        list[str], typer.Argument(help="key=value ...; `none` takes a limit away.")
    ],
    reason: Reason,
    by: By = None,
) -> None:
    """Change the policy: the next round, a second later, works by it.

    Keys: max_running, batch, starts_per_minute, idle_jobs, min_interval_s, type.TYPE.cap,
    type.TYPE.weight, instrument.INSTRUMENT.cap.
    """
    wanted = [policy_values.parse_assignment(text) for text in assignments]

    def changed(policy: Policy) -> Policy:
        for key, value in wanted:
            policy = policy_values.change(policy, key, value)
        return policy

    _change(changed, reason, by)


@app.command()
def stop(reason: Reason, by: By = None) -> None:
    """Shovel nothing more. What is in Airflow goes on."""
    _change(lambda policy: replace(policy, stop=True), reason, by)


@app.command()
def start(
    reason: Annotated[str | None, typer.Option(help="Why; it is kept.")] = None, by: By = None
) -> None:
    """Shovel again."""
    _change(lambda policy: replace(policy, stop=False), reason, by)


@app.command()
def why(as_json: AsJson = False) -> None:
    """Say what the next round would shovel, and why each type that gets nothing waits."""
    with _cursor() as cur:
        policy = read_policy(cur)
        cells, load = look(cur, policy, _ALL)
        alive = _heartbeat(cur)
    decided = plan(policy, cells, load)
    rows = _reasons(cells, decided, load)
    if as_json:
        print_json({"types": rows, "limit": decided.limit, "load": _load(load), "shoveler": alive})
        return
    typer.echo(_sentence(alive))
    typer.echo(_now(load))
    if not rows:
        typer.echo("Nothing waits.")
        return
    print_table(("type", "priority", "waiting", "running", "next", "why"), rows)


@app.command()
def audit(
    limit: Annotated[int, typer.Option(help="So many at the most.")] = 20, as_json: AsJson = False
) -> None:
    """Show who changed the policy, when, and why."""
    with _cursor() as cur:
        rows = list_audit(cur, SETTING, limit=limit)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        before, after = (policy_values.from_json(row[name]) for name in ("before", "after"))
        row["change"] = "; ".join(_differences(before, after))
    print_table(("at", "who", "change", "reason"), rows)


def _change(changed: Callable[[Policy], Policy], reason: str | None, by: str | None) -> None:
    if reason is not None and not reason.strip():
        raise OwlError(ErrorKind.BAD_CONF, f"--reason {reason!r} is empty: say why.")
    with _cursor() as cur:
        before = policy_values.from_json(get_setting(cur, SETTING, lock=True))
        after = changed(before)
        lines = _differences(before, after)
        if lines:
            value = policy_values.to_json(after)
            set_setting(cur, SETTING, value, by or getpass.getuser(), reason)
    for line in lines or ["Nothing changes: the policy is like that."]:
        typer.echo(line)


def _differences(before: Policy, after: Policy) -> list[str]:
    old, new = dict(policy_values.values(before)), dict(policy_values.values(after))
    return [
        f"{key}: {_word(old.get(key))} -> {_word(new.get(key))}"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def _word(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reasons(cells: list[Cell], decided: Plan, load: Load) -> list[dict[str, Any]]:
    """Return a row for each type that waits."""
    rows = []
    granted = decided.by_type()
    for type_ in sorted({cell.type for cell in cells}):
        own = [cell for cell in cells if cell.type == type_]
        waiting, n = sum(cell.waiting + cell.blocked for cell in own), granted.get(type_, 0)
        rows.append(
            {
                "type": type_,
                "priority": max(cell.priority for cell in own),
                "waiting": waiting,
                "running": load.running.get(type_, 0),
                "next": n,
                "why": decided.waits.get(type_) or decided.rests.get(type_, ""),
            }
        )
    return sorted(rows, key=lambda row: (-row["priority"], row["type"]))


def _load(load: Load) -> dict[str, Any]:
    return {name: value for name, value in asdict(load).items() if name != "workflows"}


def _now(load: Load) -> str:
    pool = "not known" if load.idle_jobs is None else str(load.idle_jobs)
    return (
        f"DAG runs: {sum(load.running.values())} in Airflow, {load.not_started} of them not begun; "
        f"{sum(load.recent.values())} made in the last minute. Idle jobs in the pool: {pool}."
    )


def _heartbeat(cur: Cursor) -> dict[str, Any] | None:
    beats = [row for row in poller_rows.list_pollers(cur) if row["kind"] == _KIND]
    return beats[0] if beats else None


def _sentence(alive: dict[str, Any] | None) -> str:
    """Say whether the shoveler itself works."""
    if alive is None:
        return "The shoveler has never worked: is the DAG `shoveler` there, and not paused?"
    words = f"The shoveler is {alive['state']}, looked {alive['age_s']:.0f} s ago"
    if alive["error"]:
        return f"{words}: {alive['error']}"
    if alive["age_s"] > _SILENT_S:
        return f"{words}: it is silent. See `owl status` (triggerer) and the DAG `shoveler`."
    return f"{words}."


@contextmanager
def _cursor() -> Iterator[Cursor]:
    connection = connect(Settings.from_environment(), application="owl shoveler")
    with closing(connection), connection, connection.cursor() as cur:
        yield cur
