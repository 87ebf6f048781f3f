"""The archive as people search it: by target, instrument, date and place in the sky."""

# ruff: noqa: S608 - the statements are put together from this module's own words.

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard import keyset
from htcondor_operator.blackboard.catalogue import header_instrument
from htcondor_operator.blackboard.keyset import Order
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

ORDERS = {
    "archived": Order((("p.archived_at", "timestamptz"),)),
    "observed": Order((("p.observed_at", "timestamptz"),), nullable=True),
    "dataset": Order((("p.dataset", "text"),)),
}
LARGEST_CONE = 10.0
FEW = 20_000
"""So many products are read and sorted; of more, an index of the sort is walked."""
MOST_TARGETS = 2_000
_SHOWN = "coalesce(p.dataproduct_subtype, '') NOT IN ('preview', 'thumb', 'trailer')"
"""As the indexes of the lists have it."""


@dataclass(frozen=True)
class Cone:
    """A circle on the sky, in degrees."""

    ra: float
    dec: float
    radius: float

    def check(self) -> None:
        """Raise OwlError naming the value that is out of range."""
        limits = (("ra", 0.0, 360.0), ("dec", -90.0, 90.0), ("radius", 0.0, LARGEST_CONE))
        for name, low, high in limits:
            value = getattr(self, name)
            if not low <= value <= high:
                raise OwlError(
                    ErrorKind.BAD_CONF, f"{name} = {value} is not from {low:g} to {high:g} degrees."
                )

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Return SQL for what is inside: a band that an index serves, then the true distance."""
        dec = math.radians(self.dec)
        values: dict[str, Any] = {
            "c_low": self.dec - self.radius,
            "c_high": self.dec + self.radius,
            "c_x": math.cos(dec) * math.cos(math.radians(self.ra)),
            "c_y": math.cos(dec) * math.sin(math.radians(self.ra)),
            "c_z": math.sin(dec),
            # Chord instead of angle: exact for small ones, where a cosine is not.
            "c_chord2": (2.0 * math.sin(math.radians(self.radius) / 2.0)) ** 2,
        }
        return (
            "p.s_dec BETWEEN %(c_low)s AND %(c_high)s AND "
            "(cosd(p.s_dec) * cosd(p.s_ra) - %(c_x)s) ^ 2"
            " + (cosd(p.s_dec) * sind(p.s_ra) - %(c_y)s) ^ 2"
            " + (sind(p.s_dec) - %(c_z)s) ^ 2 <= %(c_chord2)s",
            values,
        )


@dataclass(frozen=True)
class Search:
    """What is looked for; an empty field does not restrict.

    Parameters
    ----------
    workflows
        Workflows whose products the user may see; None: all. A product of an unknown one is seen.
    target
        Part of the target's name, in any case.
    """

    workflows: Sequence[str] | None = None
    dataset: str | None = None
    target: str | None = None
    instrument: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cone: Cone | None = None
    faulty: bool = False


def _where(search: Search, observed: str) -> tuple[str, dict[str, Any]]:
    """Return the condition of products `p` and its values; `observed` is what an index has."""
    parts = [_SHOWN]
    values: dict[str, Any] = {}

    def add(condition: str, **given: Any) -> None:
        parts.append(condition)
        values.update(given)

    if search.workflows is not None:
        add("(p.workflow IS NULL OR p.workflow = ANY(%(flows)s))", flows=list(search.workflows))
    if search.dataset:
        name = search.dataset.lower()
        add("p.dataset >= %(name)s AND p.dataset < %(end)s", name=name, end=name + "~")
    if search.instrument:
        add("p.instrument_name = %(inst)s", inst=header_instrument(search.instrument))
    if search.since:
        add(f"{observed} >= %(since)s", since=search.since)
    elif search.until and observed != "p.observed_at":
        add(f"{observed} > {keyset.BEFORE_ALL}")
    if search.until:
        add(f"{observed} < %(until)s", until=search.until)
    if search.cone:
        search.cone.check()
        condition, given = search.cone.condition()
        add(condition, **given)
    if search.faulty:
        add("p.fault IS NOT NULL")
    return " AND ".join(parts), values


def page(
    cur: Cursor, search: Search, *, sort: str = "-archived", cursor: str | None = None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of products with their previews' numbers, and the next page's cursor."""
    order, descending = keyset.order_of(sort, ORDERS)
    place = keyset.decode(cursor, sort, order) if cursor else None
    if search.since and search.until and search.since >= search.until:
        return [], None
    after, by, at = keyset.clause(order, descending, "p.id", place)
    observed = order.expressions[0] if order.nullable else "p.observed_at"
    condition, values = _where(search, observed)
    if search.target:
        named, given = _targets(cur, search.target)
        if not given:
            return [], None
        condition, values = f"{condition} AND {named}", {**values, **given}
    asked = {**values, **at, "limit": limit + 1}
    sorted_by = f"{order.expressions[0]} AS s0"
    rows = None
    if search.target or search.dataset or search.faulty or search.cone:
        # Few fit, mostly; the planner would rather walk an index past all that do not.
        way, sign = ("DESC", "<") if descending else ("ASC", ">")
        (_, kind), *_ = order.columns
        there = f"(s0, id) {sign} (%(after0)s::{kind}, %(after_key)s)" if place else "true"
        rows = _shown(
            cur,
            f"""
            few AS MATERIALIZED (
                SELECT p.id, {sorted_by} FROM owl_product p WHERE {condition} LIMIT {FEW + 1}),
            found AS MATERIALIZED (
                SELECT id, s0 FROM few WHERE {there} ORDER BY s0 {way}, id {way} LIMIT %(limit)s)
            """,
            by,
            asked,
            counted="(SELECT count(*) FROM few)",
        )
    if rows is None:
        rows = _shown(
            cur,
            f"""
            found AS MATERIALIZED (
                SELECT p.id, {sorted_by} FROM owl_product p WHERE {condition} AND {after}
                 ORDER BY {by} LIMIT %(limit)s)
            """,
            by,
            asked,
        )
    return keyset.cut(rows or [], limit, sort, order, "id")


def _shown(
    cur: Cursor, found: str, by: str, values: Mapping[str, Any], *, counted: str = "0"
) -> list[dict[str, Any]] | None:
    """Return what is shown of the products that are found; None: more than :data:`FEW` fit."""
    cur.execute(
        f"""
        WITH {found}
        SELECT {counted} AS counted, p.*
          FROM (SELECT) one LEFT JOIN (
        SELECT p.id, p.obs_id, p.dataset, p.name, p.dataproduct_type, p.dataproduct_subtype,
               p.calib_level, p.bytes, p.sha256, p.instrument_name, p.detector, p.filters,
               p.target_name, p.proposal_id, p.s_ra, p.s_dec, p.t_exptime, p.observed_at,
               p.members, p.workflow, p.run_key, p.attempt, p.reference_context,
               p.reference_files, p.archived_at, p.verified_at, p.fault, b.preview, b.thumb
          FROM found JOIN owl_product p USING (id)
          LEFT JOIN LATERAL (
            SELECT max(id) FILTER (WHERE dataproduct_subtype = 'preview') AS preview,
                   max(id) FILTER (WHERE dataproduct_subtype = 'thumb') AS thumb
              FROM owl_product s WHERE s.dataset = p.dataset) b ON true
          ) p ON true
         ORDER BY {by}
        """,
        values,
    )
    rows = named_rows(cur)
    if rows[0]["counted"] > FEW:
        return None
    return [
        {name: value for name, value in row.items() if name != "counted"}
        for row in rows
        if row["id"] is not None
    ]


def _targets(cur: Cursor, part: str) -> tuple[str, dict[str, Any]]:
    """Return the condition of products whose target's name has this part; no values: none has."""
    escaped = part.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    pattern = {"target": f"%{escaped}%"}
    cur.execute(
        f"SELECT target FROM owl_target WHERE target LIKE %(target)s LIMIT {MOST_TARGETS + 1}",
        pattern,
    )
    names = [row[0] for row in cur.fetchall()]
    if len(names) > MOST_TARGETS:
        return "lower(p.target_name) LIKE %(target)s", pattern
    return "lower(p.target_name) = ANY(%(targets)s)", {"targets": names} if names else {}


def product(cur: Cursor, number: int) -> dict[str, Any] | None:
    """Return one product, whatever it is; None if there is none."""
    cur.execute(
        "SELECT id, dataset, name, access_format, bytes, workflow, dataproduct_subtype "
        "FROM owl_product WHERE id = %(id)s",
        {"id": number},
    )
    rows = named_rows(cur)
    return rows[0] if rows else None
