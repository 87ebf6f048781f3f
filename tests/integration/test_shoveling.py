"""The shoveler's transaction on a real PostgreSQL with Airflow's real tables."""

from __future__ import annotations

from contextlib import closing

import pytest

from htcondor_operator.blackboard import claim_rows
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.outcome_rows import sweep_outcomes
from htcondor_operator.blackboard.queue_entries import NewEntry, WhenOpen, add_entries
from htcondor_operator.blackboard.setting_rows import set_setting
from htcondor_operator.queue.shoveler.policy import Policy
from htcondor_operator.queue.shoveler.policy_values import SETTING, to_json
from htcondor_operator.queue.shoveler.shoveling import look, shovel_batch
from htcondor_operator.vocabulary import EntryState
from tests.integration.airflow_tables import add_dag

pytestmark = pytest.mark.database


@pytest.fixture
def db(airflow_database):
    with closing(connect_url(airflow_database, application="test")) as connection:
        with connection, connection.cursor() as cur:
            for dag in ("acs", "wf3"):
                add_dag(cur, dag)
        yield connection


def fill(db, *entries, **kwargs):
    with db, db.cursor() as cur:
        return add_entries(cur, [NewEntry(**entry) for entry in entries], **kwargs)


def many(n, type_="acs", start=0, **more):
    return [{"fileset": f"{type_}{start + k:05}", "type": type_, **more} for k in range(n)]


def batch(db, **policy):
    with db, db.cursor() as cur:
        return shovel_batch(cur, Policy(**policy) if policy else None)


def rows(db, text, *values):
    with db, db.cursor() as cur:
        cur.execute(text, values)
        return cur.fetchall()


def test_an_entry_becomes_a_dag_run_and_history(db):
    fill(
        db,
        {
            "fileset": "j8cw03hvq",
            "type": "acs",
            "priority": 7,
            "instrument": "ACS",
            "payload": {"members": ["a", "b"]},
            "requested_by": "DP_ACS",
            "campaign": "night7",
        },
    )
    ((number,),) = rows(db, "SELECT id FROM owl_queue")
    assert batch(db).shoveled == 1
    ((run_id, state, run_type, conf, user, version),) = rows(
        db,
        """SELECT r.run_id, r.state, run_type, conf, triggering_user_name, version_number
           FROM dag_run r JOIN dag_version v ON v.id = r.created_dag_version_id""",
    )
    assert run_id == f"dpq__j8cw03hvq__{number}"
    assert (state, run_type, user, version) == ("queued", "manual", "DP_ACS", 2)
    assert conf == {"dataset": "j8cw03hvq", "priority": 7, "members": ["a", "b"]}
    assert rows(db, "SELECT count(*) FROM owl_queue") == [(0,)]
    assert rows(
        db, "SELECT id, dag_id, run_id, outcome, campaign, instrument FROM owl_queue_history"
    ) == [(number, "acs", run_id, "shoveled", "night7", "ACS")]


def test_runs_start_in_the_order_of_the_queue(db):
    fill(db, *many(3), *many(3, start=10, priority=5))
    batch(db)
    order = rows(db, "SELECT run_id FROM dag_run WHERE run_after <= now() ORDER BY run_after")
    assert [run_id[5:13] for (run_id,) in order] == [
        *(f"acs{n:05}" for n in (10, 11, 12, 0, 1, 2)),
    ]


def test_only_what_waits_is_shoveled(db):
    fill(
        db,
        {"fileset": "held", "type": "acs", "state": EntryState.HELD},
        {"fileset": "paused", "type": "acs", "state": EntryState.PAUSED},
        {"fileset": "waits", "type": "acs"},
    )
    with db, db.cursor() as cur:
        cur.execute(
            "INSERT INTO owl_queue (fileset, type, state)"
            " VALUES ('x', 'collecting_asn_sci', 'informational')"
        )
    assert batch(db).shoveled == 1
    assert batch(db).shoveled == 0
    assert rows(db, "SELECT fileset FROM owl_queue_history") == [("waits",)]


def test_an_entry_waits_for_the_earlier_run_and_does_not_keep_others_out(db):
    fill(db, *many(5, priority=9))
    assert batch(db).shoveled == 5
    fill(db, *many(5, priority=9), *many(4, "wf3"), when_open=WhenOpen.WAIT)
    assert batch(db, batch=3).plan.by_type() == {"wf3": 3}
    decided = batch(db).plan
    assert decided.by_type() == {"wf3": 1}
    assert decided.waits == {"acs": "5 entries wait for the earlier runs of the same filesets."}
    with db, db.cursor() as cur:
        cur.execute("UPDATE dag_run SET state = 'failed', end_date = now() WHERE dag_id = 'acs'")
        assert sweep_outcomes(cur) == {"done": 0, "failed": 5, "removed": 0, "again": 0}
    assert batch(db).shoveled == 5


def by_hand(db, dataset, state, owl_state="running"):
    """A run that somebody triggered, as Airflow and the blackboard show it."""
    rows(
        db,
        """INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, log_template_id,
                                 clear_number, context_carrier, span_status)
           VALUES ('acs', 'hand_' || %s, 'manual', %s, now(), (SELECT max(id) FROM log_template),
                   0, '{}', 'not_started') RETURNING 1""",
        dataset,
        state,
    )
    rows(
        db,
        """INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state)
           VALUES ('acs', 'hand_' || %s, 'acs', %s, %s) RETURNING 1""",
        dataset,
        dataset,
        owl_state,
    )


def test_an_entry_waits_for_a_run_that_somebody_triggered(db):
    by_hand(db, "acs00000", "running")
    refused = fill(db, *many(2)).refused
    assert [fileset for fileset, _ in refused] == ["acs00000"]
    assert "hand_acs00000" in refused[0][1]
    fill(db, *many(1), when_open=WhenOpen.WAIT)
    assert batch(db).shoveled == 1
    assert rows(db, "SELECT fileset FROM owl_queue") == [("acs00000",)]
    rows(db, "UPDATE dag_run SET state = 'success' WHERE run_id LIKE 'hand%%' RETURNING 1")
    assert batch(db).shoveled == 1


def test_an_entry_waits_for_a_rescue_that_the_history_does_not_know_of(db):
    by_hand(db, "acs00000", "queued", "failed")
    fill(db, *many(1))
    assert batch(db).shoveled == 0


def test_outcomes_follow_airflow(db):
    fill(db, *many(4))
    batch(db)

    def airflow_says(dataset, state):
        with db, db.cursor() as cur:
            cur.execute(
                "UPDATE dag_run SET state = %s, end_date = now() WHERE conf ->> 'dataset' = %s",
                (state, dataset),
            )

    def sweep():
        with db, db.cursor() as cur:
            return {name: n for name, n in sweep_outcomes(cur).items() if n}

    assert sweep() == {}
    airflow_says("acs00000", "success")
    airflow_says("acs00001", "failed")
    airflow_says("acs00002", "running")
    rows(db, "DELETE FROM dag_run WHERE conf ->> 'dataset' = 'acs00003' RETURNING 1")
    assert sweep() == {"done": 1, "failed": 1, "removed": 1}
    assert sweep() == {}
    # A rescue: the run is queued again.
    airflow_says("acs00001", "queued")
    assert sweep() == {"again": 1}
    assert rows(
        db, "SELECT fileset, outcome, ended_at IS NULL FROM owl_queue_history ORDER BY 1"
    ) == [
        ("acs00000", "done", False),
        ("acs00001", "shoveled", True),
        ("acs00002", "shoveled", True),
        ("acs00003", "removed", False),
    ]
    airflow_says("acs00001", "success")
    assert sweep() == {"done": 1}


def test_caps_and_obstacles_are_read_from_the_database(db):
    with db, db.cursor() as cur:
        add_dag(cur, "resting", paused=True)
        add_dag(cur, "narrow", max_active_runs=2)
    fill(
        db,
        *many(9, "acs", instrument="ACS"),
        *many(9, "wf3", instrument="WF3"),
        *many(3, "resting"),
        *many(3, "narrow"),
        *many(3, "unknown"),
    )
    decided = batch(db, type_caps={"acs": 4}, instrument_caps={"WF3": 2}).plan
    assert decided.by_type() == {"acs": 4, "wf3": 2, "narrow": 2}
    decided = batch(db, type_caps={"acs": 4}, instrument_caps={"WF3": 2}).plan
    assert decided.total == 0
    assert decided.waits == {
        "acs": "it has 4 DAG runs, 4 are allowed (type.acs.cap).",
        "narrow": "it has 2 DAG runs, its DAG runs 2 at a time (max_active_runs).",
        "resting": "its DAG is paused in Airflow.",
        "unknown": "its DAG is not known to Airflow: no template of this name makes one.",
        "wf3": "WF3 has 2 DAG runs, 2 are allowed (instrument.WF3.cap).",
    }


def test_total_counts_manual_runs_but_not_queued_runs_of_a_paused_dag(db):
    with db, db.cursor() as cur:
        add_dag(cur, "resting", paused=True)
    fill(db, *many(6, instrument="ACS"), *many(4, "resting", instrument="ACS"))
    with db, db.cursor() as cur:
        cur.execute("UPDATE dag SET is_paused = false WHERE dag_id = 'resting'")
    assert batch(db, max_running=8).shoveled == 8
    with db, db.cursor() as cur:
        cur.execute("UPDATE dag SET is_paused = true WHERE dag_id = 'resting'")
        cells, load = look(cur, Policy())
    assert load.running == {"acs": 4}
    assert load.not_started == 4
    assert load.instruments == {"ACS": 4}
    assert load.recent == {"acs": 4, "resting": 4}
    assert sum(cell.waiting for cell in cells) == 2
    assert batch(db, max_running=5).shoveled == 1


def test_live_policy_and_rate(db):
    fill(db, *many(10))
    with db, db.cursor() as cur:
        set_setting(cur, SETTING, to_json(Policy(stop=True)), "ops", "test")
    assert batch(db).shoveled == 0
    with db, db.cursor() as cur:
        set_setting(cur, SETTING, {"starts_per_minute": 4}, "ops", "test")
    assert batch(db).shoveled == 4
    decided = batch(db)
    assert decided.shoveled == 0
    assert "4 DAG runs were made in the last minute" in decided.plan.waits["acs"]


@pytest.mark.parametrize(("age", "shoveled"), [(5, 3), (300, 10)])
def test_pool_pressure_counts_as_long_as_it_is_fresh(db, age, shoveled):
    fill(db, *many(10))
    with db, db.cursor() as cur:
        cur.execute(
            """INSERT INTO owl_daemon (name, host, pid, state, detail)
               VALUES ('gateway', 'here', 1, 'running', jsonb_build_object('pool',
                 jsonb_build_object('idle', 97, 'running', 3,
                                    'at', now() - make_interval(secs => %s))))""",
            (age,),
        )
    assert batch(db, idle_jobs=100).shoveled == shoveled


def test_one_shovels_at_a_time_and_locked_entries_are_passed_over(db, airflow_database):
    fill(db, *many(10))
    other = connect_url(airflow_database, application="other")
    with closing(other), other.cursor() as cur:
        cur.execute("SELECT 1 FROM owl_queue WHERE fileset = 'acs00000' FOR UPDATE")
        assert batch(db, batch=3).shoveled == 3
        assert rows(db, "SELECT min(fileset) FROM owl_queue_history") == [("acs00001",)]
        assert claim_rows.lock_shoveling(cur)
        assert batch(db).busy
        other.rollback()
        assert batch(db).shoveled == 7


def test_a_run_that_is_there_already_is_not_made_again(db):
    fill(db, *many(2))
    with db, db.cursor() as cur:
        cur.execute(
            """INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, clear_number,
                                    span_status)
               SELECT type, 'dpq__' || fileset || '__' || id, 'manual', 'success', now(), 0, 'x'
               FROM owl_queue WHERE fileset = 'acs00000'"""
        )
    assert batch(db).shoveled == 2
    assert rows(db, "SELECT count(*) FROM dag_run") == [(2,)]
    assert rows(db, "SELECT count(*) FROM owl_queue") == [(0,)]
