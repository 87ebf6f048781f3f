"""SQL of the pollers' heartbeats (``owl_poller``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.vocabulary import PollerState

_LOCKS = 0x6F776C  # "owl": a class of advisory locks of our own


def is_paused(cur: Cursor, dag_id: str) -> bool:
    """Whether Airflow holds a DAG for paused; a DAG that it does not know is not."""
    cur.execute("SELECT is_paused FROM dag WHERE dag_id = %(dag)s", {"dag": dag_id})
    row = cur.fetchone()
    return bool(row and row[0])


def could_look_for(cur: Cursor, dag_id: str | None) -> float | None:
    """Return for how many seconds a poller could have looked; None when nobody knows.

    That is since Airflow knows its DAG, and since OWL's daemons were started.
    """
    cur.execute(
        """
        SELECT extract(epoch FROM now() - greatest(
            (SELECT min(created_at) FROM dag_version WHERE dag_id = %(dag)s),
            (SELECT min(started_at) FROM owl_daemon
              WHERE beat_at > now() - interval '1 minute')))::float8
        """,
        {"dag": dag_id},
    )
    row = cur.fetchone()
    return row[0] if row else None


def try_lock(cur: Cursor, name: str) -> bool:
    """Take a poller's lock for this session: one round of a poller at a time, wherever."""
    cur.execute("SELECT pg_try_advisory_lock(%(c)s, hashtext(%(n)s))", {"c": _LOCKS, "n": name})
    row = cur.fetchone()
    return bool(row and row[0])


def unlock(cur: Cursor, name: str) -> None:
    """Give a poller's lock back."""
    cur.execute("SELECT pg_advisory_unlock(%(c)s, hashtext(%(n)s))", {"c": _LOCKS, "n": name})


def beat(
    cur: Cursor,
    *,
    name: str,
    dag_id: str,
    kind: str,
    directory: str | None,
    interval_s: float,
    state: PollerState,
    result: Mapping[str, Any] | None = None,
    note: str | None = None,
    error: str | None = None,
) -> None:
    """Write that a poller is alive, and what it found if it found something."""
    cur.execute(
        """
        INSERT INTO owl_poller AS p
            (name, dag_id, kind, directory, interval_s, state, result_at, result, note, error)
        VALUES (%(name)s, %(dag_id)s, %(kind)s, %(directory)s, %(interval_s)s, %(state)s,
                CASE WHEN %(result)s::jsonb IS NOT NULL THEN now() END,
                COALESCE(%(result)s::jsonb, '{}'), %(note)s, %(error)s)
        ON CONFLICT (name) DO UPDATE
           SET dag_id = excluded.dag_id, kind = excluded.kind, directory = excluded.directory,
               interval_s = excluded.interval_s, state = excluded.state, note = excluded.note,
               error = excluded.error,
               beat_at = now(),
               result_at = COALESCE(excluded.result_at, p.result_at),
               result = CASE WHEN excluded.result_at IS NULL THEN p.result
                             ELSE excluded.result END
        """,
        {
            "name": name,
            "dag_id": dag_id,
            "kind": kind,
            "directory": directory,
            "interval_s": interval_s,
            "state": state.value,
            "result": None if result is None else Json(dict(result)),
            "note": note,
            "error": error,
        },
    )


def list_pollers(cur: Cursor) -> list[dict[str, Any]]:
    """Return all heartbeats, with the seconds since the last one."""
    cur.execute(
        """
        SELECT name, dag_id, kind, directory, interval_s, state, beat_at,
               extract(epoch FROM now() - beat_at)::float AS age_s, result_at, result, note, error,
               -- A round that lasts: who does it holds the lock.
               EXISTS (SELECT FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted
                       AND l.database = (SELECT oid FROM pg_database
                                         WHERE datname = current_database())
                       AND l.classid = %(c)s::oid
                       AND l.objid = (hashtext(name)::bigint & 4294967295)::oid) AS busy
        FROM owl_poller ORDER BY name
        """,
        {"c": _LOCKS},
    )
    return named_rows(cur)
