"""Pages by key instead of by offset: the thousandth page costs as much as the first.

A cursor holds the last row's sort values and key. It is opaque to clients and checked on return.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from htcondor_operator.vocabulary import ErrorKind, OwlError

BEFORE_ALL = "'-infinity'"
"""The time, in SQL, that a time which is not there counts as."""


@dataclass(frozen=True)
class Order:
    """A sort.

    Parameters
    ----------
    columns
        Columns and the SQL types that a cursor's texts are cast to; never from a client. A unique
        key comes after them and settles ties. All go in one direction, as an index does.
    nullable
        Whether the first column may be null: then it is a time. Nulls come last when the sort
        descends and first when it ascends: they count as before all times, and so does an index.
    """

    columns: tuple[tuple[str, str], ...]
    nullable: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns as a row has them."""
        return tuple(column.rpartition(".")[2] for column, _ in self.columns)

    @property
    def expressions(self) -> tuple[str, ...]:
        """What SQL sorts by, word for word as an index has it."""
        first, *others = (column for column, _ in self.columns)
        if self.nullable:
            first = f"coalesce({first}, {BEFORE_ALL}::timestamptz)"
        return (first, *others)


@dataclass(frozen=True)
class Place:
    """Where a page begins: after the row with these values and key."""

    values: tuple[str | None, ...]
    key: int


def after_row(sort: str, order: Order, row: Mapping[str, Any], key: str) -> str:
    """Return a cursor for the page after a row."""
    values = [_text(row[name]) for name in order.names]
    raw = json.dumps([sort, values, row[key]], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value is None else str(value)


def decode(cursor: str, sort: str, order: Order) -> Place:
    """Return the place that a cursor names.

    Raises
    ------
    OwlError
        ``BAD_CONF``: it is no cursor, or one of another sort.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, values, key = json.loads(raw)
        if made_for != sort or not isinstance(key, int) or isinstance(key, bool):
            raise ValueError(made_for)
        if len(values) != len(order.columns) or not all(isinstance(v, str | None) for v in values):
            raise TypeError(values)
    except (ValueError, TypeError, binascii.Error) as error:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"cursor = {cursor[:40]!r} is not one of this list and sort; begin at its first page.",
        ) from error
    return Place(tuple(values), key)


def order_of(sort: str, orders: Mapping[str, Order]) -> tuple[Order, bool]:
    """Return a sort and whether it is descending (``-name``).

    Raises
    ------
    OwlError
        ``BAD_CONF``: there is no such sort.
    """
    name = sort.removeprefix("-")
    if name not in orders:
        raise OwlError(
            ErrorKind.BAD_CONF, f"sort = {sort!r} is not one of {', '.join(sorted(orders))}."
        )
    return orders[name], sort.startswith("-")


def clause(
    order: Order, descending: bool, key: str, place: Place | None
) -> tuple[str, str, dict[str, Any]]:
    """Return the SQL condition and ORDER BY of a page, and the condition's values.

    Parameters
    ----------
    order, descending
        The sort.
    key
        Column that is unique.
    place
        The end of the page before; None for the first page.
    """
    way, sign = ("DESC", "<") if descending else ("ASC", ">")
    by = ", ".join(f"{each} {way}" for each in (*order.expressions, key))
    if place is None:
        return "true", by, {}
    here = ", ".join((*order.expressions, key))
    there = ", ".join(f"%(after{n})s::{kind}" for n, (_, kind) in enumerate(order.columns))
    return f"({here}) {sign} ({there}, %(after_key)s)", by, values_of(place)


def values_of(place: Place) -> dict[str, Any]:
    """Return a place's values under the names that conditions have for them."""
    values: dict[str, Any] = {
        f"after{n}": BEFORE_ALL.strip("'") if value is None else value
        for n, value in enumerate(place.values)
    }
    return {**values, "after_key": place.key}


def cut(
    rows: Sequence[dict[str, Any]], limit: int, sort: str, order: Order, key: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of `limit` rows out of one row more, and the next page's cursor."""
    if len(rows) <= limit:
        return list(rows), None
    return list(rows[:limit]), after_row(sort, order, rows[limit - 1], key)
