"""The role of the pollers and the shoveler: enough for all that they do, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import closing

import psycopg2
import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import (
    NewEntry,
    add_entries,
    inform,
    leave,
    resolve,
)
from htcondor_operator.blackboard.queue_tally import compact
from htcondor_operator.blackboard.roles import grant_intake, intake_writable
from htcondor_operator.blackboard.setting_rows import audit
from htcondor_operator.blackboard.tables import metadata
from htcondor_operator.queue.pollers.turns import Turns
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import EntryOutcome, Informational, OwlError
from tests.integration.airflow_tables import ROOT, add_dag

pytestmark = pytest.mark.database

_OWL = "from htcondor_operator.cli import main; main()"


@pytest.fixture
def role_url(airflow_database):
    """URL of a role that ``owl blackboard grant --intake`` has made."""
    role = f"intake_{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-c", _OWL, "blackboard", "grant", role, "--intake"]
    environment = {
        **os.environ,
        "OWL_DATABASE_URL": airflow_database,
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    for _ in range(2):  # again is no error
        subprocess.run(command, env=environment, check=True)
    yield f"postgresql://{role}@{airflow_database.partition('@')[2]}"
    owner = connect_url(airflow_database, application="test")
    with closing(owner), owner, owner.cursor() as cur:
        cur.execute(f"DROP OWNED BY {role}")
        cur.execute(f"DROP ROLE {role}")


def test_everything_that_pollers_and_shoveler_do(airflow_database, role_url):
    owner = connect_url(airflow_database, application="test")
    with closing(owner), owner, owner.cursor() as cur:
        add_dag(cur, "acs")
    mine = connect_url(role_url, application="test")
    with closing(mine):
        with mine, mine.cursor() as cur:
            add_entries(cur, [NewEntry(f"f{n}", "acs") for n in range(5)])
            inform(cur, "f9", Informational.AWAITING_SCI_JIT, "no jitter", requested_by="DP_ACS")
            assert resolve(cur, Informational.AWAITING_SCI_JIT, ["f9"]) == 1
            cur.execute("SELECT id FROM owl_queue WHERE fileset = 'f0'")
            leave(cur, [cur.fetchone()[0]], EntryOutcome.REMOVED, "test")
            audit(cur, who="me", subject="x", action="y")
        settings = Settings.from_environment({"OWL_DATABASE_URL": role_url})
        with closing(Turns("ALERTS", settings)) as alerts:
            assert alerts.turn().error is None
        turns = Turns("SHOVELER", settings)
        with closing(turns):
            turn = turns.turn()
            assert turn.error is None
            assert turn.result.found == 4
            with mine, mine.cursor() as cur:
                cur.execute("SELECT count(*) FROM dag_run")
                assert cur.fetchone() == (4,)
                compact(cur, at_least=1)
                for table in intake_writable():
                    cur.execute(f"SELECT * FROM {table} LIMIT 1")


def test_nothing_else(role_url):
    mine = connect_url(role_url, application="test", autocommit=True)
    with closing(mine), mine.cursor() as cur:
        for forbidden in (
            "SELECT * FROM connection",
            "SELECT * FROM task_instance",
            "UPDATE dag_run SET state = 'failed'",
            "DELETE FROM dag_run",
            "UPDATE dag SET is_paused = true",
            "INSERT INTO owl_setting (name, value) VALUES ('a', '1')",
            "UPDATE owl_audit SET who = 'nobody'",
            "DELETE FROM owl_queue_history",
            "DELETE FROM owl_arrival",
            "DELETE FROM owl_product",
            "CREATE TABLE mine (x int)",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cur.execute(forbidden)


def test_every_table_is_thought_of(airflow_database):
    assert set(intake_writable()) < set(metadata.tables)
    assert "owl_queue" in intake_writable()
    assert not {"owl_run", "owl_event", "owl_setting", "owl_audit"} & set(intake_writable())


def test_a_database_without_airflow_is_refused(database):
    owner = connect_url(database, application="test")
    with closing(owner), owner.cursor() as cur, pytest.raises(OwlError, match="dag_run"):
        grant_intake(cur, "nobody_at_all")
