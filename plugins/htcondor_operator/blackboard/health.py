"""What the daemons say about themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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

    def facts(self) -> str:
        """Say what the daemon tells about itself."""
        return "; ".join(
            f"{key.replace('_', ' ')}: {_words(value)}"
            for key, value in sorted(self.detail.items())
            if value is not None
        )

    def sentence(self) -> str:
        """Say it in one line."""
        more = self.facts()
        return (
            f"{self.name} on {self.host}: {self.state if self.is_fresh else 'silent'}, "
            f"heartbeat {self.age_s:.0f} s ago{f' ({more})' if more else ''}."
        )


def _words(value: Any) -> str:
    """Say a detail as people read it: numbers short, times to the second, tables without braces."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}" for key, one in sorted(value.items()))
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d).*$", r"\1 \2", str(value))


def beats(cursor: Cursor) -> list[Beat]:
    """Return the latest heartbeat of every daemon."""
    cursor.execute(
        """
        SELECT name, host, state, extract(epoch FROM now() - beat_at)::float8, detail
        FROM owl_daemon ORDER BY name, host
        """
    )
    return [Beat(*row) for row in cursor.fetchall()]


SAYS = {
    "mirror": "What HTCondor does is not seen: all states, nodes and logs are of then.",
    "gateway": "Nothing is submitted, held, released or removed, and the pool's jobs are of then.",
    "executor": "Airflow's scheduler is silent, too: nothing starts, no task changes its state.",
}
"""What it means for people when a daemon is silent."""


def silent(cursor: Cursor) -> list[dict[str, Any]]:
    """Return OWL's own daemons that were never heard of on any host, or not for too long."""
    cursor.execute(
        """
        SELECT n.name, max(d.beat_at) AS beat_at,
               extract(epoch FROM now() - max(d.beat_at))::float8 AS age_s
          FROM unnest(%(names)s::text[]) AS n (name) LEFT JOIN owl_daemon d USING (name)
         GROUP BY n.name
        HAVING coalesce(max(d.beat_at) < now() - %(fresh)s * interval '1 second', true)
         ORDER BY n.name
        """,
        {"names": list(SAYS), "fresh": FRESH_S},
    )
    return [
        {"name": name, "since": since, "age_s": age, "means": SAYS[name]}
        for name, since, age in cursor.fetchall()
    ]


def seen_until(cursor: Cursor) -> datetime | None:
    """Return of when the console's rows are: the mirror's last beat, or a change that waits."""
    cursor.execute(
        """
        SELECT least(max(beat_at), (SELECT at FROM owl_flow_mark ORDER BY id LIMIT 1))
          FROM owl_daemon WHERE name = 'mirror'
        """
    )
    row = cursor.fetchone()
    return row[0] if row else None


def mirror_lag(cursor: Cursor) -> float | None:
    """Return the largest lag of any event log, in seconds; None if none was read yet."""
    cursor.execute("SELECT max(lag_p99_s)::float8 FROM owl_cursor")
    row = cursor.fetchone()
    return None if row is None else row[0]
