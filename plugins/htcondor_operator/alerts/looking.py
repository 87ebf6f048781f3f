"""Looks whether something is wrong, rule by rule."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg2

from htcondor_operator.alerts.plan import Seen
from htcondor_operator.alerts.rules import Alerting, Rule
from htcondor_operator.blackboard import alert_facts, campaign_truth, poller_rows
from htcondor_operator.queue.pollers import views
from htcondor_operator.queue.pollers.declarations import load_declarations
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import CampaignState, MemberState

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

log = logging.getLogger(__name__)

_PATIENCE = 20
"""A campaign's truth is asked for again after this many times what the asking took."""

_AT_LEAST_S = 15.0

_WAITING = ("awaiting_", "collecting_")
"""Types of entries that wait for something else: there is no DAG of them."""


class Looker:
    """Looks at everything that the rules name.

    Parameters
    ----------
    settings
        Where the pollers' declarations are.
    name
        The poller that looks: it is not looked at.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._next_look: dict[str, float] = {}

    def look(self, cur: Cursor, alerting: Alerting) -> tuple[set[str], list[Seen], list[str]]:
        """Return the rules that could be looked at, what is wrong, and why others could not."""
        known, found, errors = set(), [], []
        for rule in alerting.enabled():
            cur.execute("SAVEPOINT looking")
            try:
                found += _LOOKS[rule.name](self, cur, rule)
                known.add(rule.name)
            except psycopg2.Error as error:
                # A time limit or a deadlock is an OperationalError, too.
                if cur.connection.closed:
                    raise
                cur.execute("ROLLBACK TO SAVEPOINT looking")
                errors.append(f"rule {rule.name}: {str(error).strip().splitlines()[0]}")
        return known, found, errors

    def _failed(self, cur: Cursor, rule: Rule) -> list[Seen]:
        return [
            _failure(rule.name, "failed", row) for row in alert_facts.failed(cur, **rule.limits)
        ]

    def _held(self, cur: Cursor, rule: Rule) -> list[Seen]:
        return [_failure(rule.name, "on hold", row) for row in alert_facts.held(cur, **rule.limits)]

    def _slow(self, cur: Cursor, rule: Rule) -> list[Seen]:
        hours = rule.limits["seconds"] / 3600
        return [
            Seen(
                rule.name, row["workflow"],
                f"{row['workflow']}: {_datasets(row['n'])} for more than {hours:g} h at it",
                row["n"],
                {"sample": row["dataset"], "node": row["node"], "host": row["host"],
                 "oldest": str(row["since"])},
                dags=row["dags"],
            )
            for row in alert_facts.slow(cur, **rule.limits)
        ]  # fmt: skip

    def _stale(self, cur: Cursor, rule: Rule) -> list[Seen]:
        declarations = load_declarations(self._settings.pollers)
        found = []
        for line in views.overview(cur, declarations):
            could = poller_rows.could_look_for(cur, line["dag_id"])
            words = _stale_words(line, rule, could)
            skip = not line["declared"] or line["name"] == self._name
            if words and not skip and not poller_rows.is_paused(cur, line["dag_id"]):
                detail = {"dag": line["dag_id"], "error": line["error"]}
                title = f"{line['name']} {words}"
                found.append(Seen(rule.name, line["name"], title, 1, detail, [line["dag_id"]]))
        return found

    def _backlog(self, cur: Cursor, rule: Rule) -> list[Seen]:
        hours = rule.limits["seconds"] / 3600
        return [
            Seen(
                rule.name, row["type"],
                f"{row['type']}: {row['n']} in the queue for more than {hours:g} h",
                row["n"],
                {"oldest": f"{row['dataset']} since {row['since']:%Y-%m-%d %H:%M}"},
                dags=[] if row["type"].startswith(_WAITING) else [row["type"]],
            )
            for row in alert_facts.backlog(cur, **rule.limits)
        ]  # fmt: skip

    def _lag(self, cur: Cursor, rule: Rule) -> list[Seen]:
        return [
            Seen(rule.name, row["what"], f"{row['what']}: {row['lag_s']:.0f} s behind", 1)
            for row in alert_facts.lag(cur, **rule.limits)
        ]

    def _pool(self, cur: Cursor, rule: Rule) -> list[Seen]:
        row = alert_facts.pool(cur)
        if row["present"] or not (row["known"] or row["open"]):
            return []
        detail = {"last machine": row["latest"], "left": str(row["left_at"] or "")}
        title = f"No execute machine in the pool; {row['open']} runs are under way"
        return [Seen(rule.name, "pool", title, 1, detail)]

    def _daemons(self, cur: Cursor, rule: Rule) -> list[Seen]:
        return [
            Seen(rule.name, row["name"],
                 f"{row['name']} on {row['host']} is silent for {row['age_s']:.0f} s", 1,
                 {"last word": row["state"], "look": f"owl logs {row['name']}"})
            for row in alert_facts.silent_daemons(cur, **rule.limits)
        ]  # fmt: skip

    def _done(self, cur: Cursor, rule: Rule) -> list[Seen]:
        found = []
        for row in alert_facts.campaigns(cur):
            name = row["name"]
            if row["waits"] or row["flies"] or time.monotonic() < self._next_look.get(name, 0.0):
                continue
            begin = time.monotonic()
            how_far = campaign_truth.progress(cur, name)
            took = time.monotonic() - begin
            self._next_look[name] = time.monotonic() + max(_AT_LEAST_S, _PATIENCE * took)
            if how_far.shown_state(CampaignState.RUNNING) is not CampaignState.DONE:
                continue
            ended = how_far.last_ended_at
            age = (how_far.now - ended).total_seconds() if ended else 0.0
            counts = {str(state): n for state, n in how_far.counts.items() if n}
            bad = how_far.counts.get(MemberState.FAILED, 0)
            title = f"Campaign {name} is done: {how_far.total} datasets, {bad} failed"
            silent = age > rule.limits["recent"]
            found.append(Seen(rule.name, name, title, 1, counts, [row["type"]], silent))
            del self._next_look[name]
        return found

    def _stalled(self, cur: Cursor, rule: Rule) -> list[Seen]:
        rows = {r["name"]: r for r in alert_facts.campaigns(cur) if r["waits"] or r["flies"]}
        moved = alert_facts.moved(cur, rows, **rule.limits)
        minutes = rule.limits["seconds"] / 60
        return [
            Seen(rule.name, name, f"Campaign {name} has not moved for {minutes:g} minutes", 1,
                 {"total": row["total"], "waits in the queue": row["waits"],
                  "runs are open": row["flies"], "look": f"owl campaign show {name}"},
                 [row["type"]])
            for name, row in rows.items() if name not in moved
        ]  # fmt: skip


_LOOKS: dict[str, Callable[[Looker, Cursor, Rule], list[Seen]]] = {
    "dataset_failed": Looker._failed,
    "dataset_held": Looker._held,
    "dataset_slow": Looker._slow,
    "poller_stale": Looker._stale,
    "backlog": Looker._backlog,
    "mirror_lag": Looker._lag,
    "pool_empty": Looker._pool,
    "daemon_silent": Looker._daemons,
    "campaign_done": Looker._done,
    "campaign_stalled": Looker._stalled,
}


def _failure(rule: str, what: str, row: dict[str, Any]) -> Seen:
    where = row["node"] or "launch"
    kind = f" ({row['error_kind']})" if row["error_kind"] else ""
    message = row.get("error_message") or row.get("hold_reason")
    detail = {
        "message": message,
        "sample": row["dataset"],
        "workflow": row["workflow"],
        "exit code": row.get("exit_code"),
        "host": row["host"],
        "error": row.get("err_path"),
        "look": f"owl run show {row['dataset']}",
    }
    subject = "|".join((row["node"], row["error_kind"], row["fingerprint"]))
    title = f"{_datasets(row['n'])} {what} in {where}{kind}"
    return Seen(rule, subject, title, row["n"], {k: v for k, v in detail.items() if v is not None},
                row["dags"])  # fmt: skip


def _stale_words(line: dict[str, Any], rule: Rule, could_s: float | None) -> str:
    """Say what is wrong with a poller, which could have looked for so many seconds."""
    age = line["age_s"] or 0.0
    if could_s is not None and line["state"] in {"new", "silent"}:
        age = min(age, could_s) if line["state"] == "silent" else could_s
    if line["state"] == "new":
        is_late = could_s is None or age > rule.limits["seconds"]
        return "has never looked" if is_late else ""
    if line["state"] == "failing":
        return f"fails: {line['error']}"
    if line["state"] == "silent" and age > rule.limits["seconds"]:
        return f"has not looked for {age:.0f} s"
    if line["state"] == "busy" and age > rule.limits["round"]:
        return f"is in one round for {age:.0f} s"
    return ""


def _datasets(number: int) -> str:
    return f"{number} dataset{'' if number == 1 else 's'}"
