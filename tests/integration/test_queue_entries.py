from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import (
    Added,
    NewEntry,
    WhenOpen,
    add_entries,
    entry_ids,
    inform,
    leave,
    resolve,
)
from htcondor_operator.vocabulary import EntryOutcome, EntryState, Informational, OwlError

pytestmark = pytest.mark.database

NASTY = "tab\t, back\\slash, \\u0000 \\ud800 \U0001f989 line\nfeed, \\N, \r, “quoted”"


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    connection = connect_url(database, application="test")
    yield connection
    connection.close()


def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cur:
        cur.execute(statement)
        return cur.fetchall()


def shovel(connection: Connection, fileset: str) -> None:
    """Let an entry leave as the shoveler does."""
    with connection.cursor() as cur:
        cur.execute(
            """
            WITH gone AS (DELETE FROM owl_queue WHERE fileset = %s RETURNING *)
            INSERT INTO owl_queue_history (id, fileset, type, priority, payload, inserted_at,
                                           dag_id, run_id, outcome)
            SELECT id, fileset, type, priority, payload, inserted_at, type,
                   'dpq__' || fileset || '__' || id, 'shoveled' FROM gone
            """,
            (fileset,),
        )


def test_entries_are_added_in_their_order_and_unharmed(connection: Connection) -> None:
    with connection, connection.cursor() as cur:
        added = add_entries(
            cur,
            [
                NewEntry("zeta", "w", 7, {"a": [1, NASTY]}, "WF3", NASTY, "c", "me"),
                NewEntry("alpha", "w", state=EntryState.HELD),
                NewEntry("alpha", "collecting_asn_sci", state=EntryState.INFORMATIONAL),
            ],
        )
        assert entry_ids(cur, "w", ["alpha", "zeta", "no"]).keys() == {"alpha", "zeta"}
    assert added == Added(3, 0, ())
    assert rows(
        connection,
        "SELECT fileset, type, priority, state, payload, instrument, reason, campaign, requested_by"
        " FROM owl_queue ORDER BY id",
    ) == [
        ("zeta", "w", 7, "waiting", {"a": [1, NASTY]}, "WF3", NASTY, "c", "me"),
        ("alpha", "w", 0, "held", {}, None, None, None, None),
        ("alpha", "collecting_asn_sci", 0, "informational", {}, None, None, None, None),
    ]


def test_an_entry_that_is_there_is_merged(connection: Connection) -> None:
    with connection, connection.cursor() as cur:
        first = NewEntry("a", "w", 5, {"x": 1}, reason="old", state=EntryState.HELD)
        add_entries(cur, [first, NewEntry("b", "w", 9, {"y": 1}, campaign="c1")])
        added = add_entries(
            cur,
            [
                NewEntry("a", "w", 3, {"x": 2}, reason="new", campaign="c2"),
                NewEntry("b", "w", 10, campaign="c2", requested_by="me"),
                NewEntry("c", "w", 1, {"z": 1}),
                NewEntry("c", "w", 4, reason="again"),
            ],
        )
    assert added == Added(1, 3, ())
    assert rows(
        connection,
        "SELECT fileset, priority, payload, reason, campaign, requested_by, state"
        " FROM owl_queue ORDER BY id",
    ) == [
        ("a", 5, {"x": 2}, "new", None, None, "held"),
        ("b", 10, {"y": 1}, None, "c1", "me", "waiting"),
        ("c", 4, {"z": 1}, "again", None, None, "waiting"),
    ]


def test_an_entry_in_airflow_is_refused_or_waits(connection: Connection) -> None:
    with connection, connection.cursor() as cur:
        add_entries(cur, [NewEntry("a", "w"), NewEntry("b", "w")])
        shovel(connection, "a")
        added = add_entries(
            cur,
            [NewEntry("a", "w"), NewEntry("a", "other"), NewEntry("b", "w"), NewEntry("c", "w")],
        )
        assert (added.added, added.merged) == (2, 1)
        ((fileset, why),) = added.refused
        assert fileset == "a"
        assert "w dpq__a__1" in why
        assert add_entries(cur, [NewEntry("a", "w")], when_open=WhenOpen.WAIT) == Added(1, 0, ())
        # It is in the queue now: a further one is merged, whoever asks.
        assert add_entries(cur, [NewEntry("a", "w")]) == Added(0, 1, ())
        cur.execute("UPDATE owl_queue_history SET outcome = 'done'")
        leave(cur, list(entry_ids(cur, "w", ["a"]).values()), EntryOutcome.REMOVED, None)
        assert add_entries(cur, [NewEntry("a", "w")]) == Added(1, 0, ())


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (NewEntry("../etc", "w"), "fileset '../etc'"),
        (NewEntry("a", "W;"), "type 'W;'"),
        (NewEntry("a", "w", 99_999), "priority 99999"),
        (NewEntry("a", "w", payload={"x": float("nan")}), "payload"),
        (NewEntry("a", "w", payload={"x": "\0"}), "payload"),
        (NewEntry("a", "w", payload={"x": "\ud800"}), "payload"),
        (NewEntry("a", "w", payload={"x": [{"y": ["\0"]}]}), "payload"),
        (NewEntry("a", "w", payload={"\udfff": 1}), "payload"),
        (NewEntry("a", "w", payload=[1]), "payload"),  # type: ignore[arg-type]
        (NewEntry("a", "w", reason="\0"), "reason"),
        (NewEntry("a", "w", campaign="\ud800"), "campaign"),
        (NewEntry("a", "collecting_eng"), "state 'waiting'"),
        (NewEntry("a", "w", state=EntryState.INFORMATIONAL), "state 'informational'"),
        (NewEntry("a", "collecting_eng", 3, state=EntryState.INFORMATIONAL), "priority 3"),
    ],
)
def test_one_bad_entry_and_nothing_is_added(
    connection: Connection, entry: NewEntry, words: str
) -> None:
    with connection, connection.cursor() as cur:
        with pytest.raises(OwlError, match="Entry 2: ") as error:
            add_entries(cur, [NewEntry("good", "w"), entry])
        assert words in error.value.message
    assert rows(connection, "SELECT * FROM owl_queue") == []


def test_informational_entries_come_change_and_go(connection: Connection) -> None:
    kind = Informational.COLLECTING_ASN_SCI
    with connection, connection.cursor() as cur:
        add_entries(cur, [NewEntry("asn1", "w")])
        inform(cur, "asn1", kind, "a and b are missing", requested_by="DP_WF3")
        inform(cur, "asn1", kind, "b is missing", requested_by="DP_WF3")
        inform(cur, "asn2", kind, "c is missing", requested_by=None)
        assert resolve(cur, kind, ["asn1", "unknown"]) == 1
        assert resolve(cur, kind, ["asn1"]) == 0
        with pytest.raises(OwlError, match="fileset"):
            inform(cur, "a b", kind, "", requested_by=None)
    assert rows(connection, "SELECT fileset, type FROM owl_queue ORDER BY id") == [
        ("asn1", "w"),
        ("asn2", str(kind)),
    ]
    assert rows(
        connection,
        "SELECT fileset, type, outcome, reason, requested_by, run_id, ended_at IS NOT NULL"
        " FROM owl_queue_history",
    ) == [("asn1", str(kind), "resolved", "b is missing", "DP_WF3", None, True)]


def test_leave_says_how_many_were_still_there(connection: Connection) -> None:
    with connection, connection.cursor() as cur:
        add_entries(cur, [NewEntry("a", "w", reason="night 7"), NewEntry("b", "w", 3)])
        ids = entry_ids(cur, "w", ["a", "b"])
        assert leave(cur, [ids["a"], 10**9], EntryOutcome.REMOVED, None) == 1
        assert leave(cur, list(ids.values()), EntryOutcome.CANCELLED, "not wanted") == 1
    found = rows(connection, "SELECT fileset, outcome, reason, priority FROM owl_queue_history")
    assert sorted(found) == [("a", "removed", "night 7", 0), ("b", "cancelled", "not wanted", 3)]


def test_adders_of_the_same_filesets_neither_deadlock_nor_lose(database: str) -> None:
    names = [f"f{k:03d}" for k in range(400)]
    results: list[Added] = []

    def add(turn: int) -> None:
        own = connect_url(database, application="test")
        with own, own.cursor() as cur:
            order = names if turn % 2 else names[::-1]
            results.append(add_entries(cur, [NewEntry(n, "w", turn) for n in order]))
        own.close()

    threads = [threading.Thread(target=add, args=(turn,)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(r.added for r in results) == 400
    assert sum(r.merged for r in results) == 5 * 400
    own = connect_url(database, application="test")
    assert rows(own, "SELECT count(*), min(priority) FROM owl_queue") == [(400, 5)]
    own.close()


def test_an_entry_shoveled_while_it_is_added_again_is_refused(database: str) -> None:
    shoveler = connect_url(database, application="test")
    with shoveler, shoveler.cursor() as cur:
        add_entries(cur, [NewEntry("a", "w"), NewEntry("b", "w")])
    shovel(shoveler, "a")  # not committed yet: the adder must wait for it
    results: list[Added] = []

    def add() -> None:
        own = connect_url(database, application="adder")
        with own, own.cursor() as cur:
            results.append(add_entries(cur, [NewEntry(n, "w") for n in "abc"]))
        own.close()

    thread = threading.Thread(target=add)
    thread.start()
    thread.join(1.0)
    assert thread.is_alive()
    shoveler.commit()
    thread.join()
    assert (results[0].added, results[0].merged) == (1, 1)
    assert [fileset for fileset, _ in results[0].refused] == ["a"]
    assert rows(shoveler, "SELECT fileset FROM owl_queue ORDER BY 1") == [("b",), ("c",)]
    shoveler.close()
