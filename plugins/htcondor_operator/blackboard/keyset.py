"""Pages by key instead of by offset: the thousandth page costs as much as the first.

A cursor holds the last row's sort value and key. It is opaque to clients and checked on return.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htcondor_operator.vocabulary import ErrorKind, OwlError


@dataclass(frozen=True)
class Order:
    """A sort: SQL expression of the value, its SQL type, and which rows have none.

    Parameters
    ----------
    column
        The column (checked: it comes from a table of ours, never from a client).
    type
        SQL type that a cursor's text is cast to.
    nullable
        Rows without a value come last, whatever the direction.
    """

    column: str
    type: str
    nullable: bool = False


@dataclass(frozen=True)
class Place:
    """Where a page begins: after the row with this value and key."""

    value: str | None
    key: int | str


def encode(sort: str, value: object, key: int | str) -> str:
    """Return a cursor for the page after a row."""
    text = None if value is None else str(value)
    raw = json.dumps([sort, text, key], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(cursor: str, sort: str) -> Place:
    """Return the place that a cursor names.

    Raises
    ------
    OwlError
        ``BAD_CONF``: it is no cursor, or one of another sort.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, value, key = json.loads(raw)
        if made_for != sort or not isinstance(key, int | str) or isinstance(key, bool):
            raise ValueError(made_for)
        if not isinstance(value, str | None):
            raise TypeError(value)
    except (ValueError, TypeError, binascii.Error) as error:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"cursor = {cursor[:40]!r} is not one of this list and sort; begin at its first page.",
        ) from error
    return Place(value, key)


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
        Column that is unique; it settles ties, in the direction of the sort.
    place
        The end of the page before; None for the first page.
    """
    way, sign = ("DESC", "<") if descending else ("ASC", ">")
    if order.column == key:
        by = f"{key} {way}"
        if place is None:
            return "true", by, {}
        return f"{key} {sign} %(after_key)s", by, {"after_key": place.key}
    by = (
        f"{order.column} {way} NULLS LAST, {key} {way}"
        if order.nullable
        else (f"{order.column} {way}, {key} {way}")
    )
    if place is None:
        return "true", by, {}
    values = {"after": place.value, "after_key": place.key}
    after = f"({order.column}, {key}) {sign} (%(after)s::{order.type}, %(after_key)s)"
    if not order.nullable:
        return after, by, values
    if place.value is None:
        return f"({order.column} IS NULL AND {key} {sign} %(after_key)s)", by, values
    return f"({after} OR {order.column} IS NULL)", by, values
