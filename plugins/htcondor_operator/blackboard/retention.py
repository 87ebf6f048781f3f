"""What may be forgotten: old journal entries, old heartbeats, and done commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from psycopg2.extensions import cursor as Cursor

BATCH = 20_000
"""Rows per statement: short locks, and the mirror goes on writing in between."""


@dataclass(frozen=True)
class Retention:
    """How long things are kept. Runs, attempts, nodes and products are kept for ever.

    Parameters
    ----------
    events
        The journal: of runs that have ended only, counted from when an entry was written.
    commands
        Commands that are done or failed.
    daemons
        Heartbeats of daemons that are gone.
    """

    events: timedelta = timedelta(days=90)
    commands: timedelta = timedelta(days=365)
    daemons: timedelta = timedelta(days=7)


# The journal of an open run is what explains it: it stays, however old.
_EVENTS = """
DELETE FROM owl_event WHERE id IN (
    SELECT e.id FROM owl_event e LEFT JOIN owl_run r USING (run_key)
    WHERE e.recorded_at < now() - %(age)s AND (r.run_key IS NULL OR r.ended_at IS NOT NULL)
    ORDER BY e.recorded_at LIMIT %(batch)s
)
"""
_COMMANDS = """
DELETE FROM owl_command WHERE id IN (
    SELECT id FROM owl_command
    WHERE state <> 'wanted' AND coalesce(done_at, requested_at) < now() - %(age)s
    LIMIT %(batch)s
)
"""
_DAEMONS = """
DELETE FROM owl_daemon WHERE (name, host) IN (
    SELECT name, host FROM owl_daemon WHERE beat_at < now() - %(age)s LIMIT %(batch)s
)
"""


def forget(
    cursor: Cursor, retention: Retention, commit: Callable[[], None], batch: int = BATCH
) -> dict[str, int]:
    """Delete what is older than `retention`, batch by batch; return rows deleted per table.

    Parameters
    ----------
    cursor
        Of a connection that may delete.
    retention
        How long things are kept.
    commit
        Called after each batch.
    batch
        Rows per batch.
    """
    statements = (
        ("owl_event", _EVENTS, retention.events),
        ("owl_command", _COMMANDS, retention.commands),
        ("owl_daemon", _DAEMONS, retention.daemons),
    )
    deleted = dict.fromkeys((table for table, _, _ in statements), 0)
    for table, statement, age in statements:
        while True:
            cursor.execute(statement, {"age": age, "batch": batch})
            deleted[table] += cursor.rowcount
            full = cursor.rowcount == batch
            commit()
            if not full:
                break
    return deleted
