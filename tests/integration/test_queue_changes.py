from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_changes import (
    Changed,
    Chosen,
    Order,
    hold,
    release,
    remove,
    set_priority,
)
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries, inform
from htcondor_operator.blackboard.setting_rows import list_audit
from htcondor_operator.vocabulary import EntryState, Informational, OwlError

pytestmark = pytest.mark.database

ME = Order("ann", "night shift")


@pytest.fixture
def cur(database: str) -> Iterator[Cursor]:
    with (
        closing(connect_url(database, application="test")) as connection,
        connection.cursor() as cur,
    ):
        add_entries(
            cur,
            [
                NewEntry("a", "wa", 1, reason="asked for"),
                NewEntry("b", "wa", 2, campaign="c1"),
                NewEntry("b", "wb", 3),
                NewEntry("c", "wb", 4, campaign="c1", state=EntryState.PAUSED),
            ],
        )
        inform(cur, "asn", Informational.COLLECTING_ENG, "waits", requested_by=None)
        cur.execute(
            "INSERT INTO owl_campaign (name, type, state, source, created_by)"
            " VALUES ('c1', 'wb', 'paused', 'list', 'me')"
        )
        yield cur


def column(cur: Cursor, name: str) -> dict[str, Any]:
    cur.execute(f"SELECT fileset || '.' || type, {name} FROM owl_queue")
    return dict(cur.fetchall())


def test_hold_and_release(cur: Cursor) -> None:
    assert hold(cur, Chosen(everything=True), ME) == Changed(4, 1)
    assert hold(cur, Chosen(everything=True), ME) == Changed(0, 5)
    assert set(column(cur, "state").values()) == {"held", "informational"}
    assert column(cur, "reason")["a.wa"] == "night shift"
    # b.wa and c.wb belong to a campaign that is paused.
    assert release(cur, Chosen(("b", "x")), ME) == Changed(2, 0, ("x",))
    assert release(cur, Chosen(type="wb"), ME) == Changed(1, 1)
    assert column(cur, "state") == {
        "a.wa": "held",
        "b.wa": "paused",
        "b.wb": "waiting",
        "c.wb": "paused",
        "asn.collecting_eng": "informational",
    }


def test_priority(cur: Cursor) -> None:
    assert set_priority(cur, Chosen(type="wa"), 50, ME) == Changed(2)
    assert set_priority(cur, Chosen(everything=True), 50, ME) == Changed(2, 3)
    assert column(cur, "priority") == {
        "a.wa": 50,
        "b.wa": 50,
        "b.wb": 50,
        "c.wb": 50,
        "asn.collecting_eng": 0,
    }
    with pytest.raises(OwlError, match="priority 10001"):
        set_priority(cur, Chosen(type="wa"), 10_001, ME)


def test_remove(cur: Cursor) -> None:
    assert remove(cur, Chosen(("b",), type="wb"), Order("ann")) == Changed(1)
    assert remove(cur, Chosen(campaign="c1"), ME) == Changed(2)
    assert remove(cur, Chosen(everything=True), ME) == Changed(1, 1)
    assert remove(cur, Chosen(type="collecting_eng"), ME) == Changed(1)
    cur.execute("SELECT DISTINCT outcome, reason FROM owl_queue_history ORDER BY 2")
    assert cur.fetchall() == [
        ("removed", "removed by ann"),
        ("removed", "removed by ann: night shift"),
    ]


def test_every_change_is_audited(cur: Cursor) -> None:
    hold(cur, Chosen(("a",)), ME)
    hold(cur, Chosen(("a",)), ME)
    set_priority(cur, Chosen(campaign="c1"), 9, Order("bob"))
    newest, oldest = list_audit(cur, "queue")
    assert (oldest["who"], oldest["action"], oldest["reason"]) == ("ann", "hold", "night shift")
    assert oldest["after"] == {"filesets": ["a"], "entries": 1}
    assert list(oldest["before"].values()) == ["waiting"]
    assert newest["after"] == {"campaign": "c1", "entries": 2, "value": 9}
    assert sorted(newest["before"].values()) == [2, 4]


def test_somebody_must_be_meant() -> None:
    with pytest.raises(OwlError, match="Give filesets, --type, --campaign or --all"):
        Chosen()


def test_changes_in_opposite_orders_do_not_deadlock(database: str) -> None:
    names = [f"f{k:03d}" for k in range(300)]
    failures: list[BaseException] = []

    def work(turn: int) -> None:
        try:
            with closing(connect_url(database, application="test")) as own:
                for round_ in range(6):
                    with own, own.cursor() as cur:
                        order = tuple(names if (turn + round_) % 2 else names[::-1])
                        if turn == 0:
                            add_entries(cur, [NewEntry(n, "w") for n in order])
                        elif turn == 1:
                            remove(cur, Chosen(order), ME)
                        else:
                            set_priority(cur, Chosen(order), turn * 10 + round_, ME)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
