from __future__ import annotations

import random
import threading
from collections import Counter
from contextlib import closing

import pytest
import sqlalchemy as sa
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries, inform, leave, resolve
from htcondor_operator.blackboard.queue_tally import compact
from htcondor_operator.blackboard.tables import metadata
from htcondor_operator.vocabulary import EntryOutcome, Informational

pytestmark = pytest.mark.database

Numbers = dict[tuple[str, int, str], int]


def tally(cur: Cursor) -> Numbers:
    cur.execute(
        "SELECT type, priority, state, sum(n)::int FROM owl_queue_tally"
        " GROUP BY 1, 2, 3 HAVING sum(n) <> 0"
    )
    return {row[:3]: row[3] for row in cur.fetchall()}


def counted(cur: Cursor) -> Numbers:
    cur.execute(
        "SELECT type, priority, state, count(*)::int FROM owl_queue GROUP BY 1, 2, 3 UNION ALL"
        " SELECT type, priority, outcome, count(*)::int FROM owl_queue_history GROUP BY 1, 2, 3"
    )
    return {row[:3]: row[3] for row in cur.fetchall()}


def something(cur: Cursor, chance: random.Random) -> None:
    """Do one thing that happens to a queue."""
    names = [f"f{chance.randrange(60):02d}" for _ in range(chance.randrange(1, 30))]
    workflow = chance.choice(["wa", "wb"])
    number = chance.randrange(8)
    if number <= 2:
        add_entries(cur, [NewEntry(n, workflow, chance.randrange(4)) for n in names])
    elif number == 3:
        inform(cur, names[0], Informational.COLLECTING_ENG, str(number), requested_by=None)
        resolve(cur, Informational.COLLECTING_ENG, names[1:])
    elif number == 4:
        leave(cur, [chance.randrange(300) for _ in names], EntryOutcome.REMOVED, None)
    elif number == 5:
        states = ["waiting", "held", "paused"]
        cur.execute(
            "UPDATE owl_queue SET state = %s, priority = priority + %s"
            " WHERE fileset = ANY(%s) AND state <> 'informational'",
            (chance.choice(states), chance.randrange(2), names),
        )
    elif number == 6:
        cur.execute(
            "UPDATE owl_queue_history SET outcome = %s WHERE fileset = ANY(%s)",
            (chance.choice(["shoveled", "done", "failed"]), names),
        )
    else:
        cur.execute("DELETE FROM owl_queue_history WHERE fileset = %s", (names[0],))


@pytest.mark.parametrize("seed", range(5))
def test_the_tally_is_what_one_would_count(database: str, seed: int) -> None:
    chance = random.Random(seed)
    with closing(connect_url(database, application="test")) as connection:
        seen: Counter[bool] = Counter()
        for turn in range(60):
            with connection.cursor() as cur:
                something(cur, chance)
                if chance.random() < 0.2:
                    connection.rollback()
                connection.commit()
                if turn % 10 == 9:
                    before = tally(cur)
                    seen[compact(cur, at_least=2) > 0] += 1
                    assert tally(cur) == before
                    connection.commit()
                assert tally(cur) == counted(cur)
        assert seen[True] >= 1


def test_compaction_stands_in_nobodys_way(database: str) -> None:
    with (
        closing(connect_url(database, application="test")) as folding,
        closing(connect_url(database, application="test")) as other,
        folding.cursor() as fold,
        other.cursor() as cur,
    ):
        cur.execute("SET lock_timeout = '1s'")
        for turn in range(30):
            add_entries(cur, [NewEntry(f"a{turn}", "w")])
        other.commit()
        assert compact(fold, at_least=100) == 0
        assert compact(fold, at_least=30) == 29
        add_entries(cur, [NewEntry("b", "w")])
        assert compact(cur, at_least=1) == 0  # it takes its own row only
        assert tally(cur) == {("w", 0, "waiting"): 31}
        other.commit()
        folding.commit()
        assert tally(cur) == {("w", 0, "waiting"): 31}


def test_adders_and_folders_at_once(database: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with closing(connect_url(database, application="test")) as own:
                for turn in range(15):
                    with own, own.cursor() as cur:
                        if number % 2:
                            compact(cur, at_least=2)
                        else:
                            names = [f"n{k}" for k in range(turn, turn + 20)]
                            add_entries(cur, [NewEntry(n, "w", turn) for n in names])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(connect_url(database, application="test")) as own, own.cursor() as cur:
        assert tally(cur) == counted(cur)


def test_all_tables_can_be_dropped_and_made_again(database: str) -> None:
    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg2://", 1))
    metadata.drop_all(engine)
    with engine.connect() as connection:
        left = connection.execute(sa.text("SELECT 1 FROM pg_proc WHERE proname LIKE 'owl%'"))
        assert left.all() == []
    metadata.create_all(engine)
    engine.dispose()
    with closing(connect_url(database, application="test")) as own, own.cursor() as cur:
        add_entries(cur, [NewEntry("a", "w")])
        assert tally(cur) == {("w", 0, "waiting"): 1}
