"""SQL of the daemons' heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json


def beat(
    cursor: Cursor, *, name: str, host: str, pid: int, state: str, detail: Mapping[str, Any]
) -> None:
    """Write that a daemon is alive; a new process id is a new start."""
    cursor.execute(
        """
        INSERT INTO owl_daemon AS d (name, host, pid, state, detail)
        VALUES (%(name)s, %(host)s, %(pid)s, %(state)s, %(detail)s)
        ON CONFLICT (name, host) DO UPDATE
           SET started_at = CASE WHEN d.pid = excluded.pid THEN d.started_at ELSE now() END,
               pid = excluded.pid, state = excluded.state, detail = excluded.detail,
               beat_at = now()
        """,
        {"name": name, "host": host, "pid": pid, "state": state, "detail": Json(dict(detail))},
    )
