"""Each entry becomes exactly one DAG run, whatever is killed when."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import closing

import psutil
import psycopg2
import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries
from htcondor_operator.blackboard.setting_rows import set_setting
from htcondor_operator.launcher.postgres import Postgres
from htcondor_operator.queue.shoveler.policy_values import SETTING
from tests.integration.airflow_tables import ROOT, add_dag, airflow_environment, migrate

pytestmark = pytest.mark.database

TYPES = ("acs", "wf3", "cos")


def prepare(url, entries, batch, max_running=10_000):
    connection = connect_url(url, application="test")
    with closing(connection), connection, connection.cursor() as cur:
        for dag in TYPES:
            add_dag(cur, dag)
        set_policy(cur, batch, max_running)
        add_more(cur, range(entries))


def set_policy(cur, batch, max_running):
    set_setting(cur, SETTING, {"batch": batch, "max_running": max_running}, "test", None)


def add_more(cur, numbers):
    add_entries(
        cur,
        [
            NewEntry(f"f{n:05}", TYPES[n % 3], priority=n % 4, instrument=TYPES[n % 2])
            for n in numbers
        ],
    )


def start(url, home, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.shoveler_process", *arguments],
        env=airflow_environment(url, home),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def state(url):
    """Return (waiting, shoveled) after checking that both together are right.

    All of one moment: a batch may be committed while this looks.
    """
    connection = connect_url(url, application="test")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with closing(connection), connection.cursor() as cur:
        cur.execute("SELECT fileset FROM owl_queue")
        waiting = {fileset for (fileset,) in cur.fetchall()}
        cur.execute("SELECT conf ->> 'dataset', dag_id, run_id FROM dag_run")
        runs = cur.fetchall()
        cur.execute("SELECT fileset, dag_id, run_id FROM owl_queue_history")
        history = cur.fetchall()
    shoveled = {fileset for fileset, _, _ in runs}
    assert len(runs) == len(shoveled), "a fileset has two DAG runs"
    assert not waiting & shoveled, "an entry is in the queue and in Airflow"
    assert sorted(runs) == sorted(history), "the history does not tell what is in Airflow"
    return waiting, shoveled


@pytest.mark.timeout(400)
def test_killed_before_any_statement(airflow_database, state_dir):
    prepare(airflow_database, 400, batch=4)
    before, moved = 0, []
    for number in range(1, 60):
        process = start(airflow_database, state_dir, "die-at", str(number))
        _, errors = process.communicate(timeout=120)
        # The server still has to notice that its client is gone.
        wait_for_the_end_of_shoveling(airflow_database)
        waiting, shoveled = state(airflow_database)
        assert len(waiting) + len(shoveled) == 400
        moved.append(len(shoveled) - before)
        before = len(shoveled)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors.decode()
    else:
        pytest.fail("the round has more statements than were tried")
    assert number > 15
    # All before the commit move nothing, all after it the whole batch.
    first = moved.index(4)
    assert set(moved[:first]) == {0}
    assert set(moved[first:]) == {4}


def wait_for_the_end_of_shoveling(url):
    connection = connect_url(url, application="test", autocommit=True)
    with closing(connection), connection.cursor() as cur:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            cur.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name LIKE 'owl %shoveler%'"
            )
            if cur.fetchone() == (0,):
                return
            time.sleep(0.02)
    pytest.fail("the killed shoveler's session is still there")


@pytest.fixture(scope="module")
def fragile(state_dir):
    """A server of this module's own, with the settings of a real one, that tests may kill."""
    server = Postgres(state_dir / "fragile" / "data")
    server.start(timeout=180)
    migrate(server.ensure_database("airflow_template"), state_dir / "fragile_airflow")
    try:
        yield server
    finally:
        server.stop()


def kill_server(server):
    """SIGKILL for PostgreSQL and all its processes; then it is started anew."""
    first = psutil.Process(server._server.pid)
    first.suspend()  # It makes no child that would be missed; SIGKILL ends it all the same.
    family = [first, *first.children(recursive=True)]
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, 60)
    server._server.wait(60)
    server.start(timeout=180)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_500_entries_drain_while_everything_is_killed(fragile, state_dir, seed):
    chance = random.Random(seed)
    name = f"drain_{seed}"
    fragile.execute(f'CREATE DATABASE "{name}" TEMPLATE airflow_template')
    url = fragile.url(name)
    prepare(url, 500, batch=5)
    entries = 500
    kills = crashes = 0
    begin = time.monotonic()
    while (left := state(url)[0]) or kills < 3 or crashes < 1:
        if not left:
            # All was done while this process stood still: more is needed, to be killed at it.
            with closing(connect_url(url, application="test")) as connection, connection:
                add_more(connection.cursor(), range(entries, entries + 500))
            entries += 500
        # On a busy machine a process gets longer, so that something is done in each.
        patience = 0.5 + (time.monotonic() - begin) / 60
        assert patience < 5.5, f"{kills} kills, {crashes} crashes, {len(left)} left"
        process = start(url, state_dir, "until-empty")
        try:
            assert process.stdout.readline() == b"working\n"
            try:
                process.wait(chance.uniform(0.0, patience))
            except subprocess.TimeoutExpired:
                if chance.random() < 0.25:
                    kill_server(fragile)
                    crashes += 1
                    # The shoveler lives through it, and goes on for a while.
                    time.sleep(chance.uniform(0.0, 0.5))
                kills += 1
        finally:
            process.kill()
            process.communicate()
    waiting, shoveled = state(url)
    assert (len(waiting), len(shoveled)) == (0, entries)


def test_a_shoveler_lives_through_a_restart_of_postgresql(fragile, state_dir):
    fragile.execute('CREATE DATABASE "survivor" TEMPLATE airflow_template')
    url = fragile.url("survivor")
    # Some cannot be shoveled before the crash, however long this process stands still.
    prepare(url, 300, batch=2, max_running=200)
    process = start(url, state_dir, "until-empty")
    assert process.stdout.readline() == b"working\n"
    time.sleep(0.3)
    kill_server(fragile)
    assert state(url)[0]
    with closing(connect_url(url, application="test")) as connection, connection:
        set_policy(connection.cursor(), 2, 10_000)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    assert len(state(url)[1]) == 300


def test_two_shovelers_at_once_make_nothing_twice(airflow_database, state_dir):
    prepare(airflow_database, 300, batch=3)
    both = [start(airflow_database, state_dir, "until-empty") for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert len(state(airflow_database)[1]) == 300


def test_a_shoveler_that_stands_still_gives_its_claims_back(airflow_database):
    """Its host may have vanished without a word: the server ends its transaction."""
    from htcondor_operator.blackboard.link import Link
    from htcondor_operator.queue.shoveler import poller as shoveler_poller
    from htcondor_operator.settings import Settings

    assert shoveler_poller.PATIENCE_S <= 60
    settings = Settings.from_environment({"OWL_DATABASE_URL": airflow_database})
    shoveler = shoveler_poller.Shoveler(Link(settings, "still"))
    with pytest.raises(psycopg2.Error):
        stand_still(shoveler, f"{shoveler_poller.PATIENCE_S}s")
    assert shoveler.round().note == "Nothing waits."


def stand_still(shoveler, patience):
    with shoveler._transaction() as cur:
        cur.execute("SHOW idle_in_transaction_session_timeout")
        assert cur.fetchone() == (patience,)
        cur.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
        time.sleep(0.5)
        cur.execute("SELECT 1")
