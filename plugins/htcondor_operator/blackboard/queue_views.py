"""SQL that shows the queue and its history to people, in a time that does not grow with them.

Numbers come from the tally. A list never reads entries that do not fit: the tally tells which
(type, priority, state) there are, a few hundred at the most, and of each the best entries are at
one place of an index. Only those of the first so many are read and merged.
"""

# ruff: noqa: S608 - the statements are put together from this module's own words.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.queue_filters import PAGE_MOST, Filter, Page, from_token, token
from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.vocabulary import EntryOutcome, EntryState, ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Row = dict[str, Any]

PATTERN_MOST = 20_000
"""So many names are looked through for a pattern that is more than a prefix."""

_STATUS = """
SELECT priority, type,
       coalesce(sum(n) FILTER (WHERE state = ANY(%(states)s)), 0)::bigint AS unshoveled,
       sum(n)::bigint AS total,
       {states}
FROM owl_queue_tally
GROUP BY type, priority HAVING sum(n) > 0
ORDER BY priority DESC, type
""".format(
    states=",\n       ".join(
        f"coalesce(sum(n) FILTER (WHERE state = '{state}'), 0)::bigint AS {state}"
        for state in (*EntryState, *EntryOutcome)
    )
)


def status(cur: Cursor) -> list[Row]:
    """Return the numbers of entries by priority and type, the highest priority first.

    ``unshoveled`` are in the queue, ``total`` are those and all that have left it. Beside them
    stands one number for each state and each outcome.
    """
    cur.execute(_STATUS, {"states": [str(state) for state in EntryState]})
    return named_rows(cur)


@dataclass(frozen=True)
class _Order:
    """An order of a list, and the indexes that have it.

    Parameters
    ----------
    by
        Columns; the first may be the priority, which is fixed for each key.
    kinds
        Their types in Python.
    after
        Condition for what comes behind a page, in the terms of an index.
    keys
        Condition for the (type, priority, state) that may come behind a page.
    """

    by: str
    kinds: tuple[type, ...]
    after: str
    keys: str = "true"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(part.split()[0] for part in self.by.split(", "))


@dataclass(frozen=True)
class _Table:
    name: str
    state: str
    states: tuple[str, ...]
    usual: _Order
    by_name: _Order = field(
        default=_Order("fileset, id", (str, int), "(t.fileset, t.id) > (%(a0)s, %(a1)s)")
    )


_QUEUE = _Table(
    "owl_queue",
    "state",
    tuple(EntryState),
    _Order(
        "priority DESC, id",
        (int, int),
        "t.id > CASE WHEN k.priority = %(a0)s THEN %(a1)s ELSE 0 END",
        "priority <= %(a0)s",
    ),
)
_HISTORY = _Table(
    "owl_queue_history",
    "outcome",
    tuple(EntryOutcome),
    _Order("left_at DESC, id DESC", (datetime, int), "(t.left_at, t.id) < (%(a0)s, %(a1)s)"),
)

_KEYS = """
WITH k AS MATERIALIZED (
    SELECT type, priority, state FROM owl_queue_tally
    WHERE state = ANY(%(states)s) AND {keys}
    GROUP BY type, priority, state HAVING sum(n) > 0),
-- A key whose first entry is behind the page has nothing on the page.
first AS MATERIALIZED (
    SELECT k.type, k.priority, k.state FROM k CROSS JOIN LATERAL (
        SELECT t.* FROM {table} AS t WHERE {fits} ORDER BY {within} LIMIT 1) AS t
    ORDER BY {order} LIMIT %(limit)s),
found AS MATERIALIZED (
    SELECT t.id FROM first AS k CROSS JOIN LATERAL (
        SELECT {columns} FROM {table} AS t WHERE {fits} ORDER BY {within} LIMIT %(limit)s) AS t
    ORDER BY {order} LIMIT %(limit)s)
SELECT t.* FROM found JOIN {table} AS t USING (id) ORDER BY {order}
"""
_NAMES = """
SELECT t.* FROM {table} AS t WHERE {fits} ORDER BY {order} LIMIT %(limit)s
"""


def list_entries(
    cur: Cursor, wanted: Filter, *, limit: int = 100, after: str | None = None
) -> Page:
    """Return a page of the queue, the best first; by name when a campaign or name is asked for."""
    return _page(cur, _QUEUE, wanted, limit, after)


def list_history(
    cur: Cursor, wanted: Filter, *, limit: int = 100, after: str | None = None
) -> Page:
    """Return a page of the history, what left last first; by name as :func:`list_entries`."""
    return _page(cur, _HISTORY, wanted, limit, after)


def _page(cur: Cursor, table: _Table, wanted: Filter, limit: int, after: str | None) -> Page:
    _check(table, wanted, limit)
    named = wanted.campaign is not None or wanted.fileset is not None
    order = table.by_name if named else table.usual
    behind = from_token(after, order.kinds)
    values = _values(table, wanted, behind)
    if wanted.fileset is None or wanted.fileset.only_prefix:
        statement = _by_keys(table, wanted, order, behind is not None)
    else:
        if not wanted.fileset.exact:
            _check_range(cur, table, wanted)
        statement = _by_names(table, wanted, order, behind is not None)
    # One more than asked for tells whether there is a next page.
    cur.execute(statement, {**values, "limit": limit + 1})
    rows = named_rows(cur)
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], token(tuple(rows[limit - 1][name] for name in order.names)))


def _by_keys(table: _Table, wanted: Filter, order: _Order, behind: bool) -> str:
    keys = [f"{name} = %({name})s" for name in ("type", "priority") if _asked(wanted, name)]
    fits = [f"t.type = k.type AND t.{table.state} = k.state AND t.priority = k.priority"]
    if wanted.campaign is not None:
        fits.append("t.campaign = %(campaign)s")
    if wanted.fileset is not None:
        fits.append("t.fileset >= %(prefix)s AND t.fileset < %(above)s")
    if behind:
        keys.append(order.keys)
        fits.append(order.after)
    columns = {"id", *order.names}
    return _KEYS.format(
        table=table.name,
        keys=" AND ".join(keys) or "true",
        fits=" AND ".join(fits),
        # Within a key the priority is the same; named, it would hide the index's order.
        within=order.by.replace("priority DESC, ", ""),
        order=", ".join(f"t.{part}" for part in order.by.split(", ")),
        columns=", ".join(f"t.{name}" for name in sorted(columns)),
    )


def _by_names(table: _Table, wanted: Filter, order: _Order, behind: bool) -> str:
    if wanted.fileset is not None and wanted.fileset.exact:
        fits = ["t.fileset = %(prefix)s"]
    else:
        fits = ["t.fileset >= %(prefix)s AND t.fileset < %(above)s AND t.fileset LIKE %(like)s"]
    fits += [
        f"t.{name} = %({name})s"
        for name in ("type", "priority", "campaign")
        if _asked(wanted, name)
    ]
    fits.append(f"t.{table.state} = ANY(%(states)s)")
    if behind:
        fits.append(order.after)
    return _NAMES.format(table=table.name, fits=" AND ".join(fits), order=f"t.{order.by}")


def _asked(wanted: Filter, name: str) -> bool:
    return getattr(wanted, name) is not None


def _values(table: _Table, wanted: Filter, behind: tuple[Any, ...] | None) -> Mapping[str, Any]:
    pattern = wanted.fileset
    return {
        "type": wanted.type,
        "priority": wanted.priority,
        "campaign": wanted.campaign,
        "states": [str(s) for s in table.states] if wanted.state is None else [wanted.state],
        "prefix": pattern and pattern.prefix,
        "above": pattern and pattern.above,
        "like": pattern and pattern.like,
        **{f"a{number}": value for number, value in enumerate(behind or ())},
    }


def _check(table: _Table, wanted: Filter, limit: int) -> None:
    if not 1 <= limit <= PAGE_MOST:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"limit {limit} must be from 1 to {PAGE_MOST}. For more, take page after page.",
        )
    if wanted.state is not None and wanted.state not in table.states:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{table.state} {str(wanted.state)!r} must be one of {', '.join(table.states)}.",
        )


def _check_range(cur: Cursor, table: _Table, wanted: Filter) -> None:
    pattern = wanted.fileset
    if pattern is None:
        return
    cur.execute(
        f"""
        SELECT count(*) FROM (
            SELECT FROM {table.name}
            WHERE fileset >= %(prefix)s AND fileset < %(above)s LIMIT %(most)s + 1) AS some_names
        """,
        {"prefix": pattern.prefix, "above": pattern.above, "most": PATTERN_MOST},
    )
    if the_row(cur)[0] > PATTERN_MOST:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"fileset {pattern.text!r}: more than {PATTERN_MOST} names begin with "
            f"{pattern.prefix!r}. Give more of the name before the first wildcard.",
        )


def show_fileset(cur: Cursor, fileset: str) -> dict[str, list[Row]]:
    """Return what waits of a fileset (``queue``) and what has left (``history``), newest first."""
    found = {}
    for name, table in (("queue", _QUEUE), ("history", _HISTORY)):
        cur.execute(
            f"SELECT * FROM {table.name} WHERE fileset = %(fileset)s"
            " ORDER BY id DESC LIMIT %(most)s",
            {"fileset": fileset, "most": PAGE_MOST},
        )
        found[name] = named_rows(cur)
    return found


def show_entry(cur: Cursor, number: int) -> Row | None:
    """Return one entry by its number, wherever it is; None if it never was."""
    for table in (_QUEUE, _HISTORY):
        cur.execute(f"SELECT * FROM {table.name} WHERE id = %(id)s", {"id": number})
        rows = named_rows(cur)
        if rows:
            return rows[0]
    return None
