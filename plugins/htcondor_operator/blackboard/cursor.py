"""How far an event log was read, and who may read it: one row of ``owl_cursor`` per schedd."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

LEASE_SECONDS = 20


class LeaseLost(Exception):
    """Another mirror holds the lease of this schedd: nothing may be written."""


@dataclass(frozen=True)
class LogPosition:
    """A place in an event log that survives rotation: which file, and how far into it."""

    inode: int
    header_id: str | None
    header_sequence: int | None
    offset: int


@dataclass(frozen=True)
class Lag:
    """Seconds from an event to its row, over one batch."""

    p50: float
    p99: float


def take_lease(cur: Cursor, schedd: str, path: str, holder: str) -> str | None:
    """Take or prolong the lease; return None, or who holds it when it cannot be had."""
    cur.execute(
        """
        INSERT INTO owl_cursor (schedd, path, lease_by, lease_until)
        VALUES (%(schedd)s, %(path)s, %(holder)s, now() + %(seconds)s * interval '1 second')
        ON CONFLICT (schedd) DO UPDATE
        SET lease_by = excluded.lease_by, lease_until = excluded.lease_until, path = excluded.path
        WHERE owl_cursor.lease_by IS NULL OR owl_cursor.lease_by = excluded.lease_by
           OR owl_cursor.lease_until < now()
        RETURNING schedd
        """,
        {"schedd": schedd, "path": path, "holder": holder, "seconds": LEASE_SECONDS},
    )
    if cur.fetchone() is not None:
        return None
    cur.execute("SELECT lease_by FROM owl_cursor WHERE schedd = %(schedd)s", {"schedd": schedd})
    row = cur.fetchone()
    return str(row[0]) if row else "?"


def drop_lease(cur: Cursor, schedd: str, holder: str) -> None:
    """Give the lease of `holder` back, so that a successor need not wait for its end."""
    cur.execute(
        "UPDATE owl_cursor SET lease_by = NULL, lease_until = NULL"
        " WHERE schedd = %(schedd)s AND lease_by = %(holder)s",
        {"schedd": schedd, "holder": holder},
    )


def load_position(cur: Cursor, schedd: str) -> LogPosition | None:
    """Return where reading goes on; None when this schedd's log was never read."""
    cur.execute(
        "SELECT inode, header_id, header_sequence, position FROM owl_cursor"
        " WHERE schedd = %(schedd)s AND inode IS NOT NULL",
        {"schedd": schedd},
    )
    row = cur.fetchone()
    return None if row is None else LogPosition(*row)


def save_position(
    cur: Cursor,
    schedd: str,
    holder: str,
    position: LogPosition,
    *,
    events: int = 0,
    event_at: datetime | None = None,
    lag: Lag | None = None,
) -> None:
    """Move the cursor in the transaction of the events it covers; prolong the lease.

    Raises
    ------
    LeaseLost
        When `holder` is no longer the one. The caller must roll back.
    """
    cur.execute(
        """
        UPDATE owl_cursor
        SET inode = %(inode)s, header_id = %(header_id)s, header_sequence = %(sequence)s,
            position = %(offset)s, events = events + %(events)s,
            event_at = COALESCE(%(event_at)s, event_at),
            lag_p50_s = COALESCE(%(p50)s, lag_p50_s), lag_p99_s = COALESCE(%(p99)s, lag_p99_s),
            lease_until = now() + %(seconds)s * interval '1 second', updated_at = now()
        WHERE schedd = %(schedd)s AND lease_by = %(holder)s
        """,
        {
            "schedd": schedd,
            "holder": holder,
            "inode": position.inode,
            "header_id": position.header_id,
            "sequence": position.header_sequence,
            "offset": position.offset,
            "events": events,
            "event_at": event_at,
            "p50": lag.p50 if lag else None,
            "p99": lag.p99 if lag else None,
            "seconds": LEASE_SECONDS,
        },
    )
    if cur.rowcount != 1:
        raise LeaseLost(f"the lease of schedd {schedd} is no longer held by {holder}")
