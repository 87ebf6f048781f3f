"""SQL of the journal of delivered files (``owl_arrival``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.vocabulary import ArrivalState


@dataclass(frozen=True)
class Arrival:
    """One row of the journal."""

    id: int
    poller: str
    name: str
    directory: str
    sha256: str
    bytes: int
    fileset: str | None
    type: str | None
    state: ArrivalState
    path: str
    reason: str | None
    entry: int | None
    arrived_at: datetime


@dataclass(frozen=True)
class NewArrival:
    """A row to be made, or (with `id`) to be made anew."""

    name: str
    directory: str
    sha256: str
    bytes: int
    fileset: str | None
    state: ArrivalState
    path: str
    modified_at: datetime
    reason: str | None = None
    id: int | None = None


_COLUMNS = """id, poller, name, directory, sha256, bytes, fileset, type, state, path, reason,
              entry, arrived_at"""


def _rows(cur: Cursor) -> list[Arrival]:
    return [Arrival(**(row | {"state": ArrivalState(row["state"])})) for row in named_rows(cur)]


def named(cur: Cursor, names: Sequence[str]) -> dict[str, list[Arrival]]:
    """Return all arrivals of files with these names, the oldest first, by name."""
    cur.execute(
        f"SELECT {_COLUMNS} FROM owl_arrival WHERE name = ANY(%(names)s)"  # noqa: S608
        " ORDER BY arrived_at, id",
        {"names": list(names)},
    )
    found: dict[str, list[Arrival]] = {}
    for row in _rows(cur):
        found.setdefault(row.name, []).append(row)
    return found


def of_poller(cur: Cursor, poller: str, state: ArrivalState) -> list[Arrival]:
    """Return a poller's arrivals in one state, the oldest first."""
    cur.execute(
        f"SELECT {_COLUMNS} FROM owl_arrival"  # noqa: S608
        " WHERE state = %(state)s AND poller = %(poller)s ORDER BY id",
        {"state": state.value, "poller": poller},
    )
    return _rows(cur)


def get(cur: Cursor, number: int) -> Arrival | None:
    """Return one arrival, locked."""
    cur.execute(
        f"SELECT {_COLUMNS} FROM owl_arrival WHERE id = %(id)s FOR UPDATE",  # noqa: S608
        {"id": number},
    )
    rows = _rows(cur)
    return rows[0] if rows else None


def write(cur: Cursor, poller: str, rows: Sequence[NewArrival]) -> list[int]:
    """Write rows, new ones and those that are made anew; return their numbers, in order."""
    new = [row for row in rows if row.id is None]
    numbers: list[int] = []
    if new:
        found = execute_values(
            cur,
            """
            INSERT INTO owl_arrival (poller, name, directory, sha256, bytes, fileset, state, path,
                                     reason, modified_at) VALUES %s RETURNING id
            """,
            [(poller, *_values(row)) for row in new],
            fetch=True,
            page_size=len(new),
        )
        # PostgreSQL returns them in the order of VALUES; the numbers are drawn in that order.
        numbers = [row[0] for row in found]
    old = [row for row in rows if row.id is not None]
    if old:
        execute_values(
            cur,
            """
            UPDATE owl_arrival AS a
            SET poller = v.poller, name = v.name, directory = v.directory, sha256 = v.sha256,
                bytes = v.bytes, fileset = v.fileset, state = v.state, path = v.path,
                reason = v.reason, modified_at = v.modified_at, arrived_at = now(),
                updated_at = now()
            FROM (VALUES %s) AS v (id, poller, name, directory, sha256, bytes, fileset, state,
                                   path, reason, modified_at)
            WHERE a.id = v.id
            """,
            [(row.id, poller, *_values(row)) for row in old],
            template="(%s::bigint, %s, %s, %s, %s, %s::bigint, %s::text, %s, %s, %s::text,"
            " %s::timestamptz)",
            page_size=len(old),
        )
    fresh = iter(numbers)
    return [next(fresh) if row.id is None else row.id for row in rows]


def _values(row: NewArrival) -> tuple[Any, ...]:
    return (
        row.name,
        row.directory,
        row.sha256,
        row.bytes,
        row.fileset,
        row.state.value,
        row.path,
        row.reason,
        row.modified_at,
    )


def settle(
    cur: Cursor,
    numbers: Sequence[int],
    state: ArrivalState,
    *,
    type_: str | None = None,
    reason: str | None = None,
    entries: Mapping[int, int] | None = None,
) -> None:
    """Say what became of arrivals.

    Parameters
    ----------
    cur
        In the transaction in which it became so.
    numbers, state, reason
        Which, what, why.
    type_
        The workflow; None keeps it.
    entries
        Entry of the queue by arrival.
    """
    if not numbers:
        return
    entries = entries or {}
    cur.execute(
        """
        UPDATE owl_arrival AS a
        SET state = %(state)s, type = COALESCE(%(type)s, a.type), reason = %(reason)s,
            entry = COALESCE(v.entry, a.entry), updated_at = now()
        FROM unnest(%(ids)s::bigint[], %(entries)s::bigint[]) AS v (id, entry)
        WHERE a.id = v.id
        """,
        {
            "ids": list(numbers),
            "entries": [entries.get(number) for number in numbers],
            "state": state.value,
            "type": type_,
            "reason": reason,
        },
    )


def retry(cur: Cursor, number: int, path: str, *, sha256: str, size: int, reason: str) -> None:
    """Write that a file came out of quarantine, back into the folder where it was delivered."""
    cur.execute(
        """
        UPDATE owl_arrival
        SET state = 'accepted', path = %(path)s, sha256 = %(sha256)s, bytes = %(size)s,
            reason = %(reason)s, arrived_at = now(), updated_at = now()
        WHERE id = %(id)s AND state = 'quarantined'
        """,
        {"id": number, "path": path, "sha256": sha256, "size": size, "reason": reason},
    )


def discard(cur: Cursor, number: int, reason: str) -> None:
    """Note that a file of the quarantine was deleted."""
    cur.execute(
        "UPDATE owl_arrival SET state = %(state)s, reason = %(reason)s, updated_at = now()"
        " WHERE id = %(id)s",
        {"state": ArrivalState.DISCARDED.value, "reason": reason, "id": number},
    )


def stays(cur: Cursor, number: int, path: str, reason: str) -> None:
    """Say that a file is still where it was delivered, and why."""
    cur.execute(
        "UPDATE owl_arrival SET path = %(path)s, reason = %(reason)s, updated_at = now()"
        " WHERE id = %(id)s",
        {"id": number, "path": path, "reason": reason},
    )


def collected_of(cur: Cursor, filesets: Iterable[str], type_: str) -> list[tuple[int, str]]:
    """Return (arrival, fileset) of the collected arrivals of filesets for a workflow."""
    cur.execute(
        """
        SELECT id, fileset FROM owl_arrival
        WHERE fileset = ANY(%(filesets)s) AND state = 'collected' AND type = %(type)s ORDER BY id
        """,
        {"filesets": list(filesets), "type": type_},
    )
    return [(int(number), str(fileset)) for number, fileset in cur.fetchall()]


def of_filesets(cur: Cursor, poller: str, filesets: Sequence[str]) -> list[Arrival]:
    """Return the arrivals of filesets that are in their place, locked, the oldest first."""
    cur.execute(
        f"SELECT {_COLUMNS} FROM owl_arrival"  # noqa: S608
        " WHERE poller = %(poller)s AND fileset = ANY(%(filesets)s)"
        " AND state IN ('collected', 'queued') ORDER BY id FOR UPDATE",
        {"poller": poller, "filesets": list(filesets)},
    )
    return _rows(cur)


def waiting_for_jitter(
    cur: Cursor, poller: str, seconds: float, names: Sequence[str]
) -> list[Arrival]:
    """Return, locked, the arrivals that wait no longer: the file has come, or they waited enough.

    It has come when it was delivered, or when it is in the archive.

    Parameters
    ----------
    cur, poller, seconds
        Whose, and how long they wait at the most.
    names
        Forms of the names of jitter files, with ``{}`` for the fileset.
    """
    cur.execute(
        f"""
        SELECT {_COLUMNS} FROM owl_arrival AS a
        WHERE state = 'collected' AND type IN ('awaiting_sci_jit', 'awaiting_gsa_jit')
          AND poller = %(poller)s
          AND (arrived_at < now() - %(seconds)s * interval '1 second' OR EXISTS (
              SELECT FROM owl_arrival AS j
              JOIN unnest(%(names)s::text[]) AS form ON j.name = replace(form, '{{}}', a.fileset)
              WHERE j.state = 'stored') OR {_IN_ARCHIVE})
        ORDER BY id FOR UPDATE OF a
        """,  # noqa: S608
        {"poller": poller, "seconds": seconds, "names": list(names)},
    )
    return _rows(cur)


_IN_ARCHIVE = """EXISTS (
    SELECT FROM owl_product AS p
    WHERE p.dataset = a.fileset AND p.name = a.fileset || '_jit.fits' AND p.fault IS NULL)"""


def archived_jitter(cur: Cursor, filesets: Sequence[str]) -> set[str]:
    """Return the filesets whose jitter file is in the archive."""
    cur.execute(
        f"SELECT a.fileset FROM unnest(%(names)s::text[]) AS a (fileset) WHERE {_IN_ARCHIVE}",  # noqa: S608
        {"names": list(filesets)},
    )
    return {str(row[0]) for row in cur.fetchall()}


def waiting_of_type(cur: Cursor, poller: str, types: Sequence[str]) -> dict[str, list[Arrival]]:
    """Return a poller's collected arrivals of some types, locked, by fileset."""
    cur.execute(
        f"SELECT {_COLUMNS} FROM owl_arrival WHERE state = 'collected'"  # noqa: S608
        " AND poller = %(poller)s AND type = ANY(%(types)s) ORDER BY id FOR UPDATE",
        {"poller": poller, "types": list(types)},
    )
    found: dict[str, list[Arrival]] = {}
    for row in _rows(cur):
        found.setdefault(str(row.fileset), []).append(row)
    return found


def with_engineering(cur: Cursor, filesets: Sequence[str]) -> set[str]:
    """Return the filesets of whose engineering stream something has come."""
    cur.execute(
        "SELECT DISTINCT fileset FROM owl_arrival WHERE fileset = ANY(%(names)s)"
        " AND name LIKE '%%.eng' AND state IN ('collected', 'queued')",
        {"names": list(filesets)},
    )
    return {str(row[0]) for row in cur.fetchall()}


def older_than(cur: Cursor, numbers: Sequence[int], seconds: float) -> set[int]:
    """Return the arrivals that came more than so many seconds ago."""
    cur.execute(
        "SELECT id FROM owl_arrival WHERE id = ANY(%(ids)s)"
        " AND arrived_at < now() - %(seconds)s * interval '1 second'",
        {"ids": list(numbers), "seconds": seconds},
    )
    return {int(row[0]) for row in cur.fetchall()}


def list_arrivals(
    cur: Cursor,
    *,
    state: str | None = None,
    poller: str | None = None,
    pollers: Sequence[str] | None = None,
    fileset: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return a page of the journal, the newest first; of all pollers, or of `pollers`."""
    cur.execute(
        """
        SELECT id, poller, name, directory, bytes, sha256, fileset, type, state, reason, entry,
               path, modified_at, arrived_at, updated_at
        FROM owl_arrival
        WHERE (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(poller)s::text IS NULL OR poller = %(poller)s)
          AND (%(pollers)s::text[] IS NULL OR poller = ANY(%(pollers)s))
          AND (%(fileset)s::text IS NULL OR fileset = %(fileset)s)
          AND (%(before)s::bigint IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s
        """,
        {
            "state": state,
            "poller": poller,
            "pollers": None if pollers is None else list(pollers),
            "fileset": fileset,
            "before": before,
            "limit": limit,
        },
    )
    return named_rows(cur)


def pollers_of(cur: Cursor, numbers: Sequence[int]) -> set[str]:
    """Return the pollers to which arrivals came."""
    cur.execute(
        "SELECT DISTINCT poller FROM owl_arrival WHERE id = ANY(%(ids)s)", {"ids": list(numbers)}
    )
    return {str(row[0]) for row in cur.fetchall()}


def tally(cur: Cursor, poller: str) -> dict[str, int]:
    """Return how many arrivals of a poller there are, by state."""
    cur.execute(
        "SELECT state, count(*) FROM owl_arrival WHERE poller = %(poller)s GROUP BY state"
        " ORDER BY state",
        {"poller": poller},
    )
    return {str(state): int(number) for state, number in cur.fetchall()}
