from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from htcondor_operator.bench.console_sweep import Span, cursor, flow_filters, questions
from htcondor_operator.blackboard import flow_views, keyset

SPAN = Span(datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), "f")


def test_every_sort_meets_every_pair_of_filters() -> None:
    asked = [q for q in questions(SPAN) if q.path == "/flow"]
    names = [frozenset(q.query) - {"sort"} for q in asked]
    filters = flow_filters(SPAN)
    sorts = 2 * len(flow_views.ORDERS)
    seen = Counter((fields, q.query["sort"]) for fields, q in zip(names, asked, strict=True))
    for one in filters:
        for other in filters:
            fields = frozenset({one, other})
            met = [n for (found, _), n in seen.items() if found == fields]
            assert len(met) == sorts, fields
    assert len({str((q.query, q.deep)) for q in asked}) == len(asked)
    assert any(q.deep for q in asked)


def test_a_cursor_is_one_of_the_lists_sort() -> None:
    deep = next(q for q in questions(SPAN) if q.deep and q.query["sort"] == "-workflow")
    row = {"workflow": "w", "created_at": "2026-01-01T00:00:00Z", "run_key": 7}
    order, _ = keyset.order_of("-workflow", flow_views.ORDERS)
    assert keyset.decode(cursor(deep, row), "-workflow", order).key == 7


def test_no_page_begins_beyond_a_limit() -> None:
    deep = [q for q in questions(SPAN) if q.deep and q.path == "/flow"]
    assert {q.query.get("until") for q in deep} == {None, SPAN.at(0.5)}
