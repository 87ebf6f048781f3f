"""Reading what a cursor found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def the_row(cur: Cursor) -> tuple[Any, ...]:
    """Return the row that a statement must have found."""
    row = cur.fetchone()
    if row is None:
        raise LookupError(f"no row: {cur.query!r}")
    return row


def named_rows(cur: Cursor) -> list[dict[str, Any]]:
    """Return all rows as mappings from column names."""
    names = [column.name for column in cur.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cur.fetchall()]
