"""What operators see of pollers: declarations and heartbeats together."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows, poller_rows
from htcondor_operator.queue.pollers.declarations import Declaration, Declarations

SILENT_S = 60.0
"""A poller that has not looked for so long, or for three intervals, is silent."""


def overview(cur: Cursor, declarations: Declarations) -> list[dict[str, Any]]:
    """Return all pollers by name: declared ones, and others that have once looked.

    Their ``state`` is that of the heartbeat, or ``silent`` (too old), ``busy`` (too old, but a
    round is under way), ``new`` (never looked).
    """
    beats = {row["name"]: row for row in poller_rows.list_pollers(cur)}
    declared = {d.name: d for d in declarations.pollers}
    names = sorted({*beats, *declared})
    return [_line(name, declared.get(name), beats.get(name)) for name in names]


def _line(
    name: str, declaration: Declaration | None, beat: dict[str, Any] | None
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": name,
        "state": "new",
        "kind": None,
        "directory": None,
        "interval_s": None,
        "dag_id": None,
        "beat_at": None,
        "age_s": None,
        "result_at": None,
        "result": {},
        "note": None,
        "error": None,
        "busy": False,
    }
    line |= beat or {}
    line["declared"] = declaration is not None
    if declaration is not None:
        line |= {
            "kind": declaration.kind,
            "directory": declaration.directory,
            "interval_s": declaration.interval_s,
            "dag_id": declaration.dag_id,
            "description": declaration.description,
        }
    if beat is not None:
        limit = max(SILENT_S, 3 * line["interval_s"])
        if beat["state"] != "paused" and beat["age_s"] > limit:
            line["state"] = "busy" if line["busy"] else "silent"
    return line


def detail(cur: Cursor, declarations: Declarations, name: str) -> dict[str, Any]:
    """Return one poller with the numbers of its arrivals and its last ones."""
    found = {line["name"]: line for line in overview(cur, declarations)}
    if name not in found:
        declarations.get(name)  # raises
    arrivals = arrival_rows.list_arrivals(cur, poller=name, limit=10)
    return found[name] | {"arrivals": arrival_rows.tally(cur, name), "last": arrivals}
