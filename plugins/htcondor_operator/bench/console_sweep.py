"""Every sort of the lists with every filter and pair of filters: the corners of the console.

What the pages ask for at their beginning says little about a filter that no run fits, or one that
only runs of long ago fit. Values are common, rare and absent ones of what ``console_data`` and
``console_site`` fill in. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from typing import Any

from htcondor_operator.bench.console_data import FLOWS
from htcondor_operator.bench.console_site import LARGE
from htcondor_operator.blackboard import flow_views, keyset, product_views

Filters = Mapping[str, Sequence[Any]]

_LISTS = {
    "/flow": (flow_views.ORDERS, "run_key"),
    "/products": (product_views.ORDERS, "id"),
}


@dataclass(frozen=True)
class Question:
    """What is asked.

    Parameters
    ----------
    page, path, query
        The page that asks, the route, its parameters.
    deep
        Whether the list is asked from its middle on, by a cursor.
    """

    page: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    deep: bool = False


@dataclass(frozen=True)
class Span:
    """When the first and the last run were asked for; a cause of failures that there is."""

    first: datetime
    last: datetime
    fingerprint: str

    def at(self, share: float) -> str:
        """Return the time after this share of all runs, as a query has it."""
        return (self.first + share * (self.last - self.first)).isoformat()


def flow_filters(span: Span) -> Filters:
    """Return values of each filter of the data flow."""
    return {
        "search": ("j", "j000", "zzz"),
        "status": ("done", "failed", "launching"),
        "workflow": (FLOWS[2], "nothing"),
        "instrument": ("WFC3", "COS", "NICMOS"),
        "node": ("CL", "CA", "nothing"),
        "error": ("held", "reference_missing", "nothing"),
        "exit_code": (27, 99),
        "fingerprint": (span.fingerprint,),
        "campaign": (LARGE, "repro_3", "nothing"),
        "since": (span.at(0.5), span.at(0.93), span.at(0.99)),
        "until": (span.at(-0.1), span.at(0.02), span.at(0.07), span.at(0.5)),
        "history": (True,),
    }


def archive_filters(span: Span) -> Filters:
    """Return values of each filter of the archive; its runs are the first fifth of all."""
    return {
        "dataset": ("j", "i0001", "zzz"),
        "target": ("ngc", "NGC-17", "a", "nothing"),
        "instrument": ("WFC3", "STIS", "NICMOS"),
        "since": (span.at(0.02), span.at(0.19)),
        "until": (span.at(-0.1), span.at(0.005), span.at(0.02), span.at(0.1)),
        "faulty": (True,),
        "radius": (0.2, 5.0),
    }


def chosen(filters: Filters, most: int = 2) -> Iterator[dict[str, Any]]:
    """Yield no filter, each value of each filter, and those of several filters together."""
    for number in range(most + 1):
        for fields in combinations(filters, number):
            yield from _values(filters, fields)


def _values(filters: Filters, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not fields:
        yield {}
        return
    for rest in _values(filters, fields[1:]):
        for value in filters[fields[0]]:
            cone = {"ra": 83.6, "dec": 22.0} if fields[0] == "radius" else {}
            yield {**cone, fields[0]: value, **rest}


def questions(span: Span, *, everything: bool = False) -> Iterator[Question]:
    """Yield all questions.

    Parameters
    ----------
    span
        Of the runs.
    everything
        Otherwise a pair of filters is asked for in turn at the beginning of a list and in its
        middle; single filters are asked for at both.
    """
    lists = (
        ("flow corners", "/flow", flow_filters(span), 0.5),
        ("archive corners", "/products", archive_filters(span), 0.1),
    )
    for page, path, filters, middle in lists:
        sorts = [way + name for name in _LISTS[path][0] for way in ("", "-")]
        for number, query in enumerate(chosen(filters)):
            both = everything or len(set(query) - {"ra", "dec"}) < 2
            for place, sort in enumerate(sorts):
                for deep in (False, True) if both else ((number + place) % 2 == 1,):
                    if not deep or _has(query, span.at(middle)):
                        yield Question(page, path, {**query, "sort": sort}, deep)
    for query in chosen(flow_filters(span)):
        yield Question("totals corners", "/flow/totals", query)
        yield Question("errors corners", "/errors", query)


def cursor(question: Question, row: Mapping[str, Any]) -> str:
    """Return the cursor of the page after a row of the question's list."""
    orders, key = _LISTS[question.path]
    sort = str(question.query["sort"])
    return keyset.after_row(sort, orders[sort.removeprefix("-")], row, key)


def _has(query: Mapping[str, Any], middle: str) -> bool:
    """Return whether a page may begin in the middle: no page leads there past a limit."""
    return bool(query.get("since", middle) <= middle <= query.get("until", middle))
