"""What the daemons say about themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

FRESH_S = 15.0
"""A heartbeat comes every few seconds: without one for so long, a daemon counts as gone."""


@dataclass(frozen=True)
class Beat:
    """The latest heartbeat of a daemon."""

    name: str
    host: str
    state: str
    age_s: float
    detail: Mapping[str, Any]

    @property
    def is_fresh(self) -> bool:
        """Whether the daemon is alive."""
        return self.age_s <= FRESH_S

    def sentence(self) -> str:
        """Say it in one line."""
        more = "; ".join(f"{key}: {value}" for key, value in sorted(self.detail.items()))
        return (
            f"{self.name} on {self.host}: {self.state if self.is_fresh else 'silent'}, "
            f"heartbeat {self.age_s:.0f} s ago{f' ({more})' if more else ''}."
        )


def beats(cursor: Cursor) -> list[Beat]:
    """Return the latest heartbeat of every daemon."""
    cursor.execute(
        """
        SELECT name, host, state, extract(epoch FROM now() - beat_at)::float8, detail
        FROM owl_daemon ORDER BY name, host
        """
    )
    return [Beat(*row) for row in cursor.fetchall()]


def mirror_lag(cursor: Cursor) -> float | None:
    """Return the largest lag of any event log, in seconds; None if none was read yet."""
    cursor.execute("SELECT max(lag_p99_s)::float8 FROM owl_cursor")
    row = cursor.fetchone()
    return None if row is None else row[0]
