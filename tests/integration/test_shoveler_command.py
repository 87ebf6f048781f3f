"""``owl shoveler`` against a real database with Airflow's tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries
from htcondor_operator.queue.shoveler.shoveling import shovel_batch
from tests.integration.airflow_tables import ROOT, add_dag

pytestmark = pytest.mark.database

_OWL = "from htcondor_operator.cli import main; main()"


@pytest.fixture
def owl(airflow_database):
    def run(*words, ok=True):
        done = subprocess.run(
            [sys.executable, "-c", _OWL, "shoveler", *words],
            env={
                **os.environ,
                "OWL_DATABASE_URL": airflow_database,
                "PYTHONPATH": str(ROOT / "plugins"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    return run


@pytest.fixture
def filled(airflow_database):
    connection = connect_url(airflow_database, application="test")
    with closing(connection), connection, connection.cursor() as cur:
        add_dag(cur, "acs")
        add_dag(cur, "wf3", paused=True)
        add_entries(cur, [NewEntry(f"a{n}", "acs", priority=3) for n in range(5)])
        add_entries(cur, [NewEntry(f"w{n}", "wf3") for n in range(4)])
    return airflow_database


def test_values_are_changed_live_and_audited(owl, filled):
    assert "max_running" in owl("show")
    said = owl("set", "max_running=3", "type.acs.cap=2", "--reason", "night shift", "--by", "ann")
    assert said.splitlines() == ["max_running: 500 -> 3", "type.acs.cap: none -> 2"]
    connection = connect_url(filled, application="test")
    with closing(connection), connection, connection.cursor() as cur:
        assert shovel_batch(cur).shoveled == 2
    owl("set", "type.acs.cap=none", "--reason", "over", "--by", "bob")
    owl("stop", "--reason", "disk is full", "--by", "ann")
    assert "Nothing changes" in owl("stop", "--reason", "again")
    owl("start", "--by", "bob")
    policy = json.loads(owl("show", "--json"))["policy"]
    assert (policy["stop"], policy["max_running"], policy["type_caps"]) == (False, 3, {})
    rows = json.loads(owl("audit", "--json"))
    assert [(row["who"], row["reason"]) for row in rows] == [
        ("bob", None),
        ("ann", "disk is full"),
        ("bob", "over"),
        ("ann", "night shift"),
    ]
    assert rows[3]["before"] is None
    assert rows[3]["after"]["type_caps"] == {"acs": 2}
    assert "stop: no -> yes" in owl("audit")


def test_why(owl, filled):
    found = json.loads(owl("why", "--json"))
    assert [(r["type"], r["waiting"], r["next"], r["why"]) for r in found["types"]] == [
        ("acs", 5, 5, ""),
        ("wf3", 4, 0, "its DAG is paused in Airflow."),
    ]
    owl("set", "batch=2", "--reason", "test")
    words = owl("why")
    assert "a batch has 2 entries at the most (batch)." in words
    assert "The shoveler has never worked" in words
    assert "Idle jobs in the pool: not known." in words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["set", "max_running=x", "--reason", "r"], "Policy max_running 'x' is not right: give a"),
        (["set", "speed=3", "--reason", "r"], "there is no such key; known are max_running"),
        (["set", "batch=2", "--reason", " "], "--reason ' ' is empty"),
        (["set", "batch=2"], "Missing option '--reason'"),
        (["stop"], "Missing option '--reason'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(owl, words, message):
    assert message in owl(*words, ok=False)
    assert json.loads(owl("audit", "--json")) == []


def test_one_bad_value_keeps_the_good_ones_out(owl):
    owl("set", "batch=7", "max_running=-1", "--reason", "r", ok=False)
    assert json.loads(owl("show", "--json"))["policy"]["batch"] == 100
