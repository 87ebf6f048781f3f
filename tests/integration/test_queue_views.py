from __future__ import annotations

import fnmatch
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_filters import Filter, Page, Pattern
from htcondor_operator.blackboard.queue_views import (
    list_entries,
    list_history,
    show_entry,
    show_fileset,
    status,
)
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.vocabulary import OwlError

pytestmark = pytest.mark.database

Lister = Callable[..., Page]


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], str]) -> Iterator[Cursor]:
    """400 entries that wait and 600 that have left, with every mixture of values."""
    with closing(connect_url(new_database(), application="test")) as connection:
        with connection, connection.cursor() as cur:
            cur.execute(
                """
                SELECT setseed(0.5);
                CREATE TEMP TABLE mixture AS
                SELECT k AS id, chr(97 + (random() * 3)::int) || lpad(k::text, 3, '0')
                       || chr(97 + (random() * 3)::int) AS fileset,
                       (ARRAY['wa', 'wb', 'wc'])[1 + (random() * 2)::int] AS type,
                       (ARRAY[-5, 0, 0, 10])[1 + (random() * 3)::int] AS priority,
                       (ARRAY['waiting', 'waiting', 'held', 'paused'])[1 + (random() * 3)::int]
                         AS state,
                       (ARRAY['done', 'done', 'failed', 'shoveled'])[1 + (random() * 3)::int]
                         AS outcome,
                       (ARRAY[NULL, 'c1', 'c2'])[1 + (random() * 2)::int] AS campaign
                FROM generate_series(1, 1000) k;
                INSERT INTO owl_queue_history (id, fileset, type, priority, payload, campaign,
                                               inserted_at, left_at, outcome)
                SELECT id, fileset, type, priority, '{}', campaign, now(),
                       now() - interval '1 minute' * (id % 50), outcome
                FROM mixture WHERE id <= 600;
                INSERT INTO owl_queue (id, fileset, type, priority, state, campaign)
                SELECT id, fileset, type, priority, state, campaign FROM mixture WHERE id > 600;
                INSERT INTO owl_queue (fileset, type, state)
                VALUES ('asn1', 'collecting_eng', 'informational');
                """
            )
        yield connection.cursor()


def everything(cur: Cursor, table: str) -> list[dict[str, Any]]:
    cur.execute(f"SELECT * FROM {table}")
    return named_rows(cur)


def fits(row: dict[str, Any], wanted: Filter, state: str) -> bool:
    return (
        wanted.type in (None, row["type"])
        and wanted.state in (None, row[state])
        and wanted.campaign in (None, row["campaign"])
        and wanted.priority in (None, row["priority"])
        and (wanted.fileset is None or fnmatch.fnmatchcase(row["fileset"], wanted.fileset.text))
    )


def expected(rows: list[dict[str, Any]], wanted: Filter, state: str) -> list[int]:
    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        if wanted.campaign is not None or wanted.fileset is not None:
            return (row["fileset"], row["id"])
        if state == "state":
            return (-row["priority"], row["id"])
        return (-row["left_at"].timestamp(), -row["id"])

    return [row["id"] for row in sorted(rows, key=key) if fits(row, wanted, state)]


def pages(cur: Cursor, lister: Lister, wanted: Filter, limit: int) -> list[int]:
    found: list[int] = []
    after = None
    while True:
        page = lister(cur, wanted, limit=limit, after=after)
        assert len(page.rows) == limit or page.next is None
        found += [row["id"] for row in page.rows]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize(
    ("lister", "table", "state"),
    [(list_entries, "owl_queue", "state"), (list_history, "owl_queue_history", "outcome")],
)
def test_pages_are_what_sorting_everything_would_give(
    filled: Cursor, lister: Lister, table: str, state: str
) -> None:
    chance = random.Random(7)
    rows = everything(filled, table)
    states = sorted({row[state] for row in rows})
    names = sorted(row["fileset"] for row in rows)
    patterns = ["*", "a*", "b0*", "*a", "?0*c", "b?5*", "zz*", names[5], names[6][:3] + "*"]
    found = 0
    for _ in range(250):
        wanted = Filter(
            type=chance.choice([None, None, "wa", "wb", "no"]),
            state=chance.choice([None, None, *states]),
            campaign=chance.choice([None, None, "c1", "c3"]),
            fileset=chance.choice([None, None, *map(Pattern, patterns)]),
            priority=chance.choice([None, None, 0, 10]),
        )
        told = pages(filled, lister, wanted, chance.choice([3, 40, 1000]))
        assert told == expected(rows, wanted, state), wanted
        found += bool(told)
    assert found > 50


def test_status_counts_what_waits_and_what_has_left(filled: Cursor) -> None:
    rows = status(filled)
    assert sum(row["unshoveled"] for row in rows) == 401
    assert sum(row["total"] for row in rows) == 1001
    assert [row["priority"] for row in rows] == sorted(
        (row["priority"] for row in rows), reverse=True
    )
    filled.execute(
        "SELECT count(*) FILTER (WHERE state = 'held'), count(*) FROM owl_queue"
        " WHERE type = 'wa' AND priority = 0"
    )
    (one,) = [row for row in rows if (row["type"], row["priority"]) == ("wa", 0)]
    assert (one["held"], one["unshoveled"]) == filled.fetchone()
    (told,) = [row for row in rows if row["type"] == "collecting_eng"]
    assert (told["unshoveled"], told["informational"], told["total"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"after": "nonsense!"}, "after 'nonsense!'"),
        ({"after": "WzFd"}, "after 'WzFd'"),
        ({"limit": 0}, "limit 0"),
        ({"limit": 1001}, "limit 1001"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    filled: Cursor, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(OwlError, match=words):
        list_entries(filled, Filter(), **arguments)


def test_an_unknown_state_and_a_bad_pattern_are_refused(filled: Cursor) -> None:
    with pytest.raises(OwlError, match="state 'done' must be one of waiting, held"):
        list_entries(filled, Filter(state="done"))
    with pytest.raises(OwlError, match="outcome 'held' must be one of shoveled"):
        list_history(filled, Filter(state="held"))
    with pytest.raises(OwlError, match="fileset 'a%'"):
        Pattern("a%")


def test_a_page_of_another_order_is_refused(filled: Cursor) -> None:
    by_age = list_entries(filled, Filter(), limit=1)
    with pytest.raises(OwlError, match="Begin without it"):
        list_entries(filled, Filter(campaign="c1"), after=by_age.next)


def test_a_pattern_that_would_look_through_too_much_is_refused(
    filled: Cursor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htcondor_operator.blackboard.queue_views.PATTERN_MOST", 50)
    with pytest.raises(OwlError, match="more than 50 names begin with ''"):
        list_entries(filled, Filter(fileset=Pattern("*a")))
    assert list_entries(filled, Filter(fileset=Pattern("*"))).rows


def test_one_fileset_and_one_entry(filled: Cursor) -> None:
    entry = show_entry(filled, 601)
    assert entry is not None
    assert show_fileset(filled, entry["fileset"])["queue"] == [entry]
    left = show_entry(filled, 3)
    assert left is not None
    assert show_fileset(filled, left["fileset"]) == {"queue": [], "history": [left]}
    assert show_entry(filled, 10**12) is None
