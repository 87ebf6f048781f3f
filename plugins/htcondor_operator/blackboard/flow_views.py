"""The data flow as people see it: pages of runs by filter and sort, and totals."""

# ruff: noqa: S608 - the statements are put together from this module's own words.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard import keyset
from htcondor_operator.blackboard.flow_bounds import arms
from htcondor_operator.blackboard.flow_tables import BY_STATE
from htcondor_operator.blackboard.flow_walk import HIDDEN_PREFIX, PREFIX, Walk
from htcondor_operator.blackboard.keyset import Order
from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_CREATED = ("created_at", "timestamptz")

ORDERS = {
    "created": Order((_CREATED,)),
    "updated": Order((("updated_at", "timestamptz"),)),
    "ended": Order((("ended_at", "timestamptz"),), nullable=True),
    "started": Order((("started_at", "timestamptz"),), nullable=True),
    "dataset": Order((("dataset", "text"),)),
    "status": Order((("status", "text"), _CREATED)),
    "workflow": Order((("workflow", "text"), _CREATED)),
}

_COLUMNS = """run_key, dag_id, run_id, dataset, workflow, instrument, campaign, status, latest,
    priority, attempt, greatest(attempt - 1, 0) AS rescues, node, task_id, node_state, exit_code,
    exit_signal, hold_reason, error_kind, error_message, fingerprint, host, owner, nodes_total,
    nodes_done, created_at, started_at, ended_at, updated_at, lag_s"""


@dataclass(frozen=True)
class Filter:
    """What to show; an empty field does not restrict.

    Parameters
    ----------
    dags
        DAGs that the user may read; None: all.
    search
        Beginning of the dataset's name.
    since, until
        Of when the run was asked for.
    history
        Also runs that a later run of the same dataset and workflow has overtaken.
    """

    dags: Sequence[str] | None = None
    search: str | None = None
    status: Sequence[str] = ()
    workflow: Sequence[str] = ()
    instrument: Sequence[str] = ()
    node: Sequence[str] = ()
    error: Sequence[str] = ()
    fingerprint: str | None = None
    exit_code: Sequence[int] = ()
    campaign: Sequence[str] = ()
    run_keys: Sequence[int] = ()
    since: datetime | None = None
    until: datetime | None = None
    history: bool = False


_LISTS = (
    ("dags", "dag_id"),
    ("status", "status"),
    ("workflow", "workflow"),
    ("instrument", "instrument"),
    ("node", "node"),
    ("error", "error_kind"),
    ("exit_code", "exit_code"),
    ("campaign", "campaign"),
    ("run_keys", "run_key"),
)


_TALLIED = frozenset({"dags", "status", "workflow", "instrument", "history"})
"""What runs are counted by at all times."""


def _given(chosen: Filter) -> set[str]:
    return {name for name, value in vars(chosen).items() if value or value == []}


def where(chosen: Filter) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition of a filter and its values."""
    parts = ["true" if chosen.history or chosen.run_keys else "latest"]
    values: dict[str, Any] = {}
    for field, column in _LISTS:
        given = getattr(chosen, field)
        if given or (field == "dags" and given is not None):
            parts.append(f"{column} = ANY(%({field})s)")
            values[field] = list(given)
    if chosen.search:
        parts.append(PREFIX)
        values |= {"search": chosen.search, "search_end": chosen.search + "\U0010ffff"}
    if chosen.fingerprint:
        parts.append("fingerprint = %(fingerprint)s")
        values["fingerprint"] = chosen.fingerprint
    if chosen.since:
        parts.append("created_at >= %(since)s")
        values["since"] = chosen.since
    if chosen.until:
        parts.append("created_at < %(until)s")
        values["until"] = chosen.until
    return " AND ".join(parts), values


def page(
    cur: Cursor, chosen: Filter, *, sort: str = "-created", cursor: str | None = None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of runs and the cursor of the next one (None: this is the last).

    Raises
    ------
    OwlError
        The sort or the cursor is not valid.
    """
    order, descending = keyset.order_of(sort, ORDERS)
    place = keyset.decode(cursor, sort, order) if cursor else None
    condition, values = where(chosen)
    apart = replace(chosen, history=True, since=None, until=None)
    if order.columns[0][0] in BY_STATE:
        apart = replace(apart, workflow=(), status=())
    beside, _ = where(apart)
    if order is not ORDERS["dataset"]:
        beside = beside.replace(PREFIX, HIDDEN_PREFIX)
    bounds = arms(order, chosen.since, chosen.until)
    walk = Walk(_COLUMNS, condition, beside, values, order, descending, place, limit + 1, bounds)
    rows = _rows(cur, chosen, walk)
    return keyset.cut(rows, limit, sort, order, "run_key")


def _rows(cur: Cursor, chosen: Filter, walk: Walk) -> list[dict[str, Any]]:
    if chosen.since and chosen.until and chosen.since >= chosen.until:
        return []
    cells, all_fit = _cells(cur, chosen)
    if not cells and not chosen.run_keys:
        return []
    first = walk.order.columns[0][0]
    whole = first not in BY_STATE
    # The other sorts begin and end where the limits on the creation are.
    walked = _TALLIED if first == "dataset" else _TALLIED | {"since", "until"}
    if _given(chosen) - walked or (whole and not all_fit):
        rows = (walk if all_fit else _narrowed(walk, cells)).collect(cur)
        if rows is not None:
            return rows
    if whole or (all_fit and first not in _TALLIED and len(walk.arms) == 1):
        return walk.walk(cur, [(latest, "", "") for latest in {cell[0] for cell in cells}])
    return walk.walk(cur, cells)


def _cells(cur: Cursor, chosen: Filter) -> tuple[list[tuple[bool, str, str]], bool]:
    """Return (latest, workflow, status) of runs that a filter may take; whether these are all."""
    kept = Filter(**{name: getattr(chosen, name) for name in _TALLIED})
    condition, values = where(replace(kept, history=True))
    shown = "true" if chosen.history or chosen.run_keys else "latest"
    cur.execute(
        f"SELECT latest, workflow, status, bool_or({condition}), bool_and({condition}) "
        f"FROM owl_flow_tally WHERE n > 0 AND {shown} GROUP BY 1, 2, 3",
        values,
    )
    rows = cur.fetchall()
    return [(row[0], row[1], row[2]) for row in rows if row[3]], all(row[4] for row in rows)


def _narrowed(walk: Walk, cells: Sequence[tuple[bool, str, str]]) -> Walk:
    """Name the workflows and states that fit, so that an index by them can serve."""
    more = "workflow = ANY(%(c_workflow)s) AND status = ANY(%(c_status)s)"
    found = {
        "c_workflow": sorted({cell[1] for cell in cells}),
        "c_status": sorted({cell[2] for cell in cells}),
    }
    return replace(walk, condition=f"{walk.condition} AND {more}", values={**walk.values, **found})


def keys(cur: Cursor, chosen: Filter, most: int) -> list[int]:
    """Return the keys of the runs that a filter takes, newest first."""
    condition, values = where(chosen)
    cur.execute(
        f"SELECT run_key FROM owl_flow WHERE {condition} ORDER BY run_key DESC LIMIT %(most)s",
        {**values, "most": most},
    )
    return [row[0] for row in cur.fetchall()]


MOST_COUNTED = 50_000
"""Runs that are counted one by one, when the filter is not one that is kept in numbers."""


@dataclass(frozen=True)
class Totals:
    """Numbers of runs; `complete` says whether more than could be counted fit."""

    status: dict[str, int]
    workflow: dict[str, int]
    instrument: dict[str, int]
    complete: bool


def totals(cur: Cursor, chosen: Filter) -> Totals:
    """Return the numbers of runs by status, workflow and instrument.

    They are kept for the filters that the page begins with; for others runs are counted, up to
    :data:`MOST_COUNTED`.
    """
    given = _given(chosen)
    if given <= _TALLIED:
        condition, values = where(chosen)
        source = f"SELECT status, workflow, instrument, n FROM owl_flow_tally WHERE {condition}"
    else:
        condition, values = where(chosen)
        source = (
            f"SELECT status, workflow, coalesce(instrument, '') AS instrument, 1 AS n "
            f"FROM owl_flow WHERE {condition} LIMIT {MOST_COUNTED}"
        )
    cur.execute(
        f"SELECT status, workflow, instrument, sum(n)::bigint AS n FROM ({source}) t "
        "GROUP BY 1, 2, 3 HAVING sum(n) > 0",
        values,
    )
    rows = named_rows(cur)
    out: dict[str, dict[str, int]] = {"status": {}, "workflow": {}, "instrument": {}}
    for row in rows:
        for facet, counted in out.items():
            name = row[facet] or "other"
            counted[name] = counted.get(name, 0) + row["n"]
    counted_all = given <= _TALLIED or sum(row["n"] for row in rows) < MOST_COUNTED
    return Totals(**out, complete=counted_all)
