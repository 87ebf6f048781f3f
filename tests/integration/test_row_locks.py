"""Everybody locks runs before attempts, and those in the order of their keys: nobody is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pytest
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import runs
from htcondor_operator.blackboard.attempt_rows import (
    AttemptKey,
    AttemptNews,
    claim_clusters,
    follow_runs,
    save_attempts,
)
from htcondor_operator.blackboard.attempts import record_submitted
from htcondor_operator.blackboard.row_locks import lock_attempts
from htcondor_operator.vocabulary import AttemptKind, AttemptState

pytestmark = pytest.mark.database

Change = Callable[[Cursor, list[int]], object]


@pytest.fixture
def keys(database: str) -> Iterator[list[int]]:
    """Two runs whose first attempts are being submitted."""
    made = []
    with closing(psycopg2.connect(database)) as connection:
        with connection, connection.cursor() as cur:
            for name in ("one", "two"):
                run = runs.ensure_run(
                    cur, dag_id="drill", run_id=name, workflow="drill", dataset=name
                )
                runs.request_attempt(cur, run, kind=AttemptKind.FRESH)
                made.append(run)
            cur.execute("UPDATE owl_attempt SET state = 'submitting'")
            cur.execute("UPDATE owl_run SET run_dir = '/runs'")
        yield made


def ends(cur: Cursor, keys: list[int]) -> None:
    """The mirror hears that DAGMan has ended."""
    news = AttemptNews(state=AttemptState.DONE, ended_at=datetime.now(UTC), exit_code=0)
    save_attempts(cur, {AttemptKey(keys[0], 1): news})
    follow_runs(cur, keys[:1])


def is_claimed(cur: Cursor, keys: list[int]) -> None:
    """The mirror sees a DAGMan that the gateway has not recorded, and what it does."""
    key = AttemptKey(keys[0], 1)
    claim_clusters(cur, "schedd", {7: (key, "/runs")})
    save_attempts(cur, {key: AttemptNews(started_at=datetime.now(UTC))})
    follow_runs(cur, keys[:1])


def are_submitted(cur: Cursor, keys: list[int]) -> None:
    """The gateway records what it has submitted, in an order of its own."""
    record_submitted(cur, [((run, 1), 10 + run) for run in reversed(keys)], "schedd")


def lock_run_alone(cur: Cursor, keys: list[int]) -> None:
    cur.execute("SELECT FROM owl_run WHERE run_key = %s FOR UPDATE", (keys[0],))


def lock_first_attempt(cur: Cursor, keys: list[int]) -> None:
    lock_attempts(cur, [(keys[0], 1)])


@pytest.mark.parametrize(
    ("first", "change", "then"),
    [
        (lock_run_alone, ends, lambda cur, keys: lock_attempts(cur, [(keys[0], 1)])),
        (lock_run_alone, is_claimed, lambda cur, keys: lock_attempts(cur, [(keys[0], 1)])),
        (lock_first_attempt, are_submitted, lambda cur, keys: lock_attempts(cur, [(keys[1], 1)])),
    ],
)
def test_who_waits_holds_nothing_that_comes_later(
    database: str, keys: list[int], first: Change, change: Change, then: Change
) -> None:
    def changes() -> None:
        with closing(psycopg2.connect(database)) as other, other, other.cursor() as cur:
            change(cur, keys)

    with (
        closing(psycopg2.connect(database)) as connection,
        closing(psycopg2.connect(database)) as watch,
        ThreadPoolExecutor(1) as pool,
    ):
        watch.autocommit = True
        with connection, connection.cursor() as cur:
            first(cur, keys)
            done = pool.submit(changes)
            _until_somebody_waits(watch.cursor())
            then(cur, keys)
        done.result(60)
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT state FROM owl_attempt WHERE run_key = %s", keys[:1])
        assert cur.fetchone() == ("done" if change is ends else "live",)


def test_a_dagman_that_is_known_is_not_waited_for(database: str, keys: list[int]) -> None:
    """Whoever looks at the whole queue must not lock all that is in it."""
    with (
        closing(psycopg2.connect(database)) as connection,
        closing(psycopg2.connect(database)) as other,
    ):
        with connection, connection.cursor() as cur:
            are_submitted(cur, keys)
        with connection, connection.cursor() as cur, other, other.cursor() as mirror:
            lock_run_alone(cur, keys)
            mirror.execute("SET lock_timeout = 1000")
            claim_clusters(mirror, "schedd", {7: (AttemptKey(keys[0], 1), "/runs")})


def _until_somebody_waits(cur: Cursor) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        cur.execute(
            "SELECT FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if cur.rowcount:
            return
        time.sleep(0.02)
    pytest.fail("nobody waits")
