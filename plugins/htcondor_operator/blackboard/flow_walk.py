"""How a page of the data flow is found without reading what is not on it.

Two ways. What few runs fit is collected and sorted. Otherwise an index of the sort is walked from
where the page begins: once for all runs or, when only some workflows and states fit, once for each
of those, the best rows of all being merged. The tally tells which (workflow, state) there are.
"""

# ruff: noqa: S608 - the statements are put together from this module's own words.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.keyset import Order, Place, values_of
from htcondor_operator.blackboard.rows import named_rows, the_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

FEW = 40_000
"""So many runs are read and sorted in some ten milliseconds."""

MANY = 2 * FEW
"""If so many are expected, nobody counts whether they are few."""

PREFIX = "dataset >= %(search)s AND dataset < %(search_end)s"
"""The range that a prefix is, so that an index serves; the column's collation is "C"."""

HIDDEN_PREFIX = PREFIX.replace("dataset ", "(dataset || '') ")
"""The same for walks in another order: no index serves, so the planner keeps to the order."""

_STATES = ("workflow", "status")
_TYPES = {"latest": "boolean", "workflow": "text", "status": "text"}


@dataclass(frozen=True)
class Walk:
    """A page that is asked for.

    Parameters
    ----------
    columns
        What is shown of a run.
    condition, values
        Which runs fit, in SQL.
    beside
        The same without what the cells say: said twice, the planner would not trust the order.
    order, descending, place
        The sort, and where the page begins.
    limit
        Rows.
    arms
        Conditions of which each run fits one at the most and every run that is looked for fits
        one: each is walked by itself.
    """

    columns: str
    condition: str
    beside: str
    values: Mapping[str, Any]
    order: Order
    descending: bool
    place: Place | None
    limit: int
    arms: tuple[str, ...] = ("true",)

    @property
    def _sorted(self) -> str:
        """The sort's expressions under short names."""
        each = enumerate(self.order.expressions)
        return ", ".join(f"{expression} AS s{n}" for n, expression in each)

    def _by(self, first: int = 0) -> str:
        way = "DESC" if self.descending else "ASC"
        names = [f"s{n}" for n in range(first, len(self.order.columns))]
        return ", ".join(f"{name} {way}" for name in (*names, "run_key"))

    def _after(self, names: Sequence[str]) -> str:
        if self.place is None:
            return "true"
        sign = "<" if self.descending else ">"
        there = [f"%(after{n})s::{kind}" for n, (_, kind) in enumerate(self.order.columns)]
        return f"({', '.join(names)}, run_key) {sign} ({', '.join(there)}, %(after_key)s)"

    def _given(self) -> dict[str, Any]:
        at = {} if self.place is None else values_of(self.place)
        return {**self.values, **at, "limit": self.limit}

    def collect(self, cur: Cursor) -> list[dict[str, Any]] | None:
        """Return the page out of all runs that fit; None when they are more than :data:`FEW`."""
        if self._estimate(cur) > MANY:
            return None
        names = [f"s{n}" for n in range(len(self.order.columns))]
        cur.execute(
            f"""
            WITH few AS MATERIALIZED (
                SELECT run_key, {self._sorted} FROM owl_flow WHERE {self.condition}
                 LIMIT {FEW + 1}),
            found AS MATERIALIZED (
                SELECT * FROM few WHERE {self._after(names)} ORDER BY {self._by()} LIMIT %(limit)s)
            SELECT (SELECT count(*) FROM few) AS counted, f.*
              FROM (SELECT) one LEFT JOIN (
                SELECT {names_of(names)}, {self.columns} FROM found JOIN owl_flow USING (run_key)
              ) f ON true ORDER BY {self._by()}
            """,
            self._given(),
        )
        rows = named_rows(cur)
        if rows[0]["counted"] > FEW:
            return None
        return [_plain(row) for row in rows if row["run_key"] is not None]

    def _estimate(self, cur: Cursor) -> int:
        """Return how many runs the planner thinks fit: it knows ranges and common values."""
        cur.execute(
            f"EXPLAIN (FORMAT JSON) SELECT FROM owl_flow WHERE {self.condition}", self._given()
        )
        return int(the_row(cur)[0][0]["Plan"]["Plan Rows"])

    def walk(self, cur: Cursor, cells: Sequence[tuple[bool, str, str]]) -> list[dict[str, Any]]:
        """Return the page by an index.

        Parameters
        ----------
        cells
            (latest, workflow, status) of the runs that fit; without workflow and status all do.
        """
        first = self.order.columns[0][0]
        divided = first in _STATES
        names = ("latest", *_STATES) if cells and cells[0][1] else ("latest",)
        keys = {f"k_{name}": [cell[n] for cell in cells] for n, name in enumerate(names)}
        listed = ", ".join(f"%(k_{name})s::{_TYPES[name]}[]" for name in names)
        fits = " AND ".join(f"t.{name} = k.{name}" for name in names)
        after, beyond = self._divided(first) if divided else (self._after_here(), "true")
        # Within a cell its columns are the same; named, they would hide the index's order.
        way = "DESC" if self.descending else "ASC"
        within = ", ".join(
            f"{each} {way}" for each in (*self.order.expressions[divided:], "run_key")
        )
        rows = f"""
            SELECT run_key, {self._sorted} FROM owl_flow t
             WHERE {fits} AND {self.beside} AND {after} AND {{arm}} ORDER BY {within}"""
        cur.execute(
            f"""
            WITH k AS MATERIALIZED (
                SELECT * FROM unnest({listed}) AS k ({", ".join(names)})
                 WHERE {beyond} AND {self._named(fits)}),
            -- A cell whose first row is behind the page has nothing on it.
            best AS MATERIALIZED (
                SELECT k.* FROM k CROSS JOIN LATERAL ({self._armed(rows, "1")}) t
                 ORDER BY {self._by()} LIMIT %(limit)s),
            found AS MATERIALIZED (
                SELECT t.* FROM best k CROSS JOIN LATERAL ({self._armed(rows, "%(limit)s")}) t
                 ORDER BY {self._by()} LIMIT %(limit)s)
            SELECT {names_of([f"s{n}" for n in range(len(self.order.columns))])}, {self.columns}
              FROM found JOIN owl_flow USING (run_key) ORDER BY {self._by()}
            """,
            {**self._given(), **keys},
        )
        return [_plain(row) for row in named_rows(cur)]

    def _armed(self, rows: str, limit: str) -> str:
        """Return the first rows of all arms."""
        arms = [f"({rows.format(arm=arm)} LIMIT {limit})" for arm in self.arms]
        if len(arms) == 1:
            return arms[0]
        together = " UNION ALL ".join(arms)
        return f"SELECT * FROM ({together}) a ORDER BY {self._by()} LIMIT {limit}"

    def _named(self, fits: str) -> str:
        """Return the condition of a cell that has names with the prefix that is looked for."""
        if "search" not in self.values:
            return "true"
        return f"EXISTS (SELECT FROM owl_flow t WHERE {fits} AND {PREFIX})"

    def _after_here(self) -> str:
        return self._after(self.order.expressions)

    def _divided(self, first: str) -> tuple[str, str]:
        """Return conditions of rows and of cells when the sort begins with a cell's column."""
        if self.place is None:
            return "true", "true"
        sign, end = ("<", "'infinity'") if self.descending else (">", "'-infinity'")
        limit = "until" if self.descending else "since"
        if limit in self.values:  # an index begins at one place only: here it begins at the limit
            end = "%(until)s" if self.descending else "%(since)s - interval '1 microsecond'"
            end = end.replace(")s", ")s::timestamptz")
        (_, kind), (column, type_) = self.order.columns
        after = (
            f"({column}, run_key) {sign} (CASE WHEN k.{first} = %(after0)s "
            f"THEN %(after1)s::{type_} ELSE {end} END, %(after_key)s)"
        )
        return after, f"{first} {sign}= %(after0)s::{kind}"


def names_of(names: Sequence[str]) -> str:
    """Return names as SQL lists them."""
    return ", ".join(names)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what it was sorted and counted by."""
    return {k: v for k, v in row.items() if k not in {"s0", "s1", "counted"}}
