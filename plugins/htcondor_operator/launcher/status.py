"""What runs, how well, and how far each dataset is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import psycopg2.extras
from rich.console import Console
from rich.table import Table

from htcondor_operator.launcher import environment
from htcondor_operator.launcher.home import Home
from htcondor_operator.launcher.supervisor import Word, last_words, supervisor_pid

DATASETS = """
    WITH recent AS (
        SELECT * FROM owl_run ORDER BY run_key DESC LIMIT %(limit)s
    ), last_try AS (
        SELECT DISTINCT ON (n.run_key, n.node) n.run_key, n.node, n.state
          FROM owl_node n
          JOIN recent r ON r.run_key = n.run_key AND n.attempt = r.latest_attempt
         ORDER BY n.run_key, n.node, n.try DESC
    )
    SELECT r.dataset, r.workflow, r.dag_id, r.run_id, r.state, r.latest_attempt AS attempt,
           a.state AS attempt_state, a.error_message AS error,
           count(t.node) AS nodes,
           count(*) FILTER (WHERE t.state = 'done') AS done,
           count(*) FILTER (WHERE t.state = 'running') AS running,
           count(*) FILTER (WHERE t.state = 'failed') AS failed,
           count(*) FILTER (WHERE t.state = 'unknown'
                               OR (a.state = 'done' AND t.state <> 'done')) AS lost
      FROM recent r
      LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
      LEFT JOIN last_try t ON t.run_key = r.run_key
     GROUP BY r.run_key, r.dataset, r.workflow, r.dag_id, r.run_id, r.state, r.latest_attempt,
              a.state, a.error_message
     ORDER BY r.run_key DESC
"""

MIRROR = """
    SELECT schedd, events, lag_p50_s, lag_p99_s, event_at::text AS event_at,
           extract(epoch FROM now() - updated_at)::float AS age_s
      FROM owl_cursor ORDER BY schedd
"""


def status(home: Home, limit: int = 1000) -> dict[str, Any]:
    """Return everything as JSON-able data."""
    words = last_words(home) if home.state_file.exists() else {}
    up = bool(supervisor_pid(home))
    stack = environment.describe(home, keep_ports=True) if home.environment_file.exists() else None
    url = stack.environment["OWL_DATABASE_URL"] if stack else ""
    mirror, datasets, problem = _blackboard(url, limit) if up else ([], [], "not running")
    for row in datasets:
        archive = Path(stack.environment["OWL_ARCHIVE"]) if stack else home.root
        row["products"] = archived_files(archive / row["dataset"])
        row["archived"] = row["state"] == "done" and row["products"] > 0
    return {
        "home": str(home.root),
        "up": up,
        "healthy": up and bool(words) and all(w.state.is_good for w in words.values()),
        "address": stack.address if stack else None,
        "condor": "private" if stack and stack.pool else "site",
        "database": "embedded" if stack and stack.postgres else "site",
        "services": {name: _service(word) for name, word in words.items()},
        "mirror": mirror,
        "datasets": datasets,
        "lost": sum(row["lost"] for row in datasets),
        "problem": problem,
    }


def archived_files(shelf: Path) -> int:
    """Return how many files the archive's manifest of a dataset names."""
    try:
        return len(json.loads((shelf / "manifest.json").read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _service(word: Word) -> dict[str, Any]:
    alive = bool(word.pid) and _is_alive(word)
    return {
        "state": str(word.state),
        "healthy": word.state.is_good and (alive or not word.pid),
        "pid": word.pid or None,
        "address": word.address or None,
        "since_s": round(time.time() - word.since, 1),
        "restarts": word.restarts,
        "detail": word.detail,
        "log": word.log,
    }


def _is_alive(word: Word) -> bool:
    try:
        return abs(psutil.Process(word.pid).create_time() - word.created) < 1
    except psutil.Error:
        return False


def _blackboard(
    url: str, limit: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str | None]:
    try:
        connection = psycopg2.connect(
            url, connect_timeout=5, options="-c statement_timeout=15000", application_name="owl"
        )
    except psycopg2.Error as error:
        return [], [], str(error).strip()
    try:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(MIRROR)
            mirror = [dict(row) for row in cursor.fetchall()]
            cursor.execute(DATASETS, {"limit": limit})
            return mirror, [dict(row) for row in cursor.fetchall()], None
    except psycopg2.Error as error:
        return [], [], str(error).strip()
    finally:
        connection.close()


def show(told: dict[str, Any], console: Console) -> None:
    """Print a status for people."""
    table = Table("service", "state", "pid", "for", "restarts", "address or reason")
    for name, row in told["services"].items():
        style = "green" if row["healthy"] else "red"
        where = row["detail"] or row["address"] or ""
        age = f"{row['since_s']:.0f} s"
        state = f"[{style}]{row['state']}[/]"
        table.add_row(name, state, str(row["pid"] or ""), age, str(row["restarts"]), where)
    console.print(table)
    for row in told["mirror"]:
        lag = "/".join(
            "?" if row[k] is None else f"{row[k]:.2f}" for k in ("lag_p50_s", "lag_p99_s")
        )
        console.print(
            f"mirror of {row['schedd']}: {row['events']} events, lag p50/p99 {lag} s, "
            f"last word {row['age_s']:.0f} s ago"
        )
    if told["datasets"]:
        show_datasets(told["datasets"], console)
    if told["problem"]:
        console.print(told["problem"], style="yellow", markup=False)
    if told["up"]:
        console.print(f"UI: {told['address']}  (logins: {told['home']}/secrets.json)")


def show_datasets(rows: list[dict[str, Any]], console: Console, limit: int = 40) -> None:
    """Print one line per dataset."""
    table = Table("dataset", "workflow", "state", "attempt", "nodes", "failed", "lost", "products")
    for row in rows[:limit]:
        table.add_row(
            row["dataset"],
            row["workflow"],
            row["state"],
            str(row["attempt"]),
            f"{row['done']}/{row['nodes']}",
            str(row["failed"]),
            str(row["lost"]),
            str(row["products"]),
        )
    console.print(table)
    if len(rows) > limit:
        console.print(f"... and {len(rows) - limit} more (owl status --json shows all)")
