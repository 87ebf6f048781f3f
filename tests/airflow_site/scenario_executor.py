from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from airflow import settings
from sqlalchemy import text

from htcondor_operator.executors import turns

DONE = "2026-01-02 03:04:15+00:00"


@pytest.fixture
def live(site):
    """A run whose DAGMan is in the queue."""
    site.trigger({"dataset": "drill001", "priority": 5})
    site.loop()
    site.gateway_renders()
    site.attempt_becomes("live")
    site.loop()
    return site


@pytest.fixture
def failed(live):
    """A run in which B has failed: A and C are done, D and E were never run."""
    live.nodes_become("done", "A", "C")
    live.nodes_become("failed", "B", exit_code=28)
    live.loop()
    live.nodes_become("futile", "D", "E")
    live.attempt_becomes("failed")
    live.loop()
    return live


def test_launch_is_requested_once_and_waits(site):
    site.trigger({"dataset": "drill001", "priority": 5})
    site.loop(6)
    (attempt,) = site.attempts()
    assert (attempt["kind"], attempt["state"]) == ("first", "wanted")
    assert site.tasks()["launch"] == "running"
    assert site.task("A")["state"] is None


def test_nodes_are_mirrored_with_true_times(live):
    assert live.tasks()["launch"] == "success"
    live.nodes_become("running", "A")
    live.loop(1)
    task = live.task("A")
    assert (task["state"], task["hostname"], task["try_number"]) == ("running", "host7", 1)
    live.nodes_become("done", "A")
    live.loop(1)
    task = live.task("A")
    assert task["state"] == "success"
    assert str(task["end_date"]) == DONE
    assert task["duration"] == 10
    live.nodes_become("done", "B", "C", "D", "E")
    live.attempt_becomes("done")
    live.loop()
    assert set(live.tasks().values()) == {"success"}
    assert live.dag_run_state() == "success"


def test_a_job_that_waits_long_is_not_requeued(live):
    live.nodes_become("idle", "A")
    live.loop()
    assert live.tasks()["A"] == "queued"
    live.sql("UPDATE task_instance SET queued_dttm = now() - interval '2 days'")
    with live.create_session() as session:
        assert list(live.runner._get_tis_stuck_in_queued(session)) == []


def test_ready_nodes_are_queued_without_the_scheduler(live):
    live.nodes_become("done", "A")
    live.executor.sync()
    assert {name: live.tasks()[name] for name in "BCDE"} == {
        "B": "queued",
        "C": "queued",
        "D": None,
        "E": None,
    }
    assert live.task("B")["try_number"] == 1
    live.nodes_become("done", "B")
    live.executor.sync()
    assert live.tasks()["D"] is None  # waits for C
    live.nodes_become("done", "C")
    live.executor.sync()
    assert (live.tasks()["D"], live.tasks()["E"]) == ("queued", None)
    live.nodes_become("done", "D", "E")
    live.attempt_becomes("done")
    live.loop()
    assert live.dag_run_state() == "success"
    assert {live.task(name)["try_number"] for name in "ABCDE"} == {1}


def decision(site):
    """Set when the scheduler last looked at the run; let the executor have its turn."""
    site.sql("UPDATE dag_run SET last_scheduling_decision = now() WHERE run_id = %(run_id)s")
    site.executor.sync()
    (row,) = site.sql("SELECT last_scheduling_decision FROM dag_run WHERE run_id = %(run_id)s")
    return row["last_scheduling_decision"]


def test_the_scheduler_is_called_where_it_has_something_to_decide(live):
    live.nodes_become("running", "A")
    assert decision(live) is not None
    live.nodes_become("done", "A")
    live.nodes_become("failed", "B", exit_code=1)
    assert decision(live) is None
    live.loop()
    live.nodes_become("running", "C")
    assert decision(live) is not None
    live.nodes_become("done", "C")
    live.attempt_becomes("failed")
    assert decision(live) is None


def test_runs_that_wait_in_the_triggerer_have_no_turn_until_something_happens(live):
    def turn():
        with live.create_session() as session:
            return turns.ordinary_runs(session.connection().connection.cursor())

    mine = (live.dag_id, live.run_id)
    live.sql("UPDATE owl_run SET mirrored = false")
    live.sql("UPDATE dag_run SET last_scheduling_decision = now()")
    live.sql("UPDATE task_instance SET state = 'deferred', updated_at = now() - interval '1 hour'")
    assert mine not in turn()
    live.sql("UPDATE task_instance SET updated_at = now() + interval '1 s' WHERE task_id = 'A'")
    assert mine in turn()
    live.sql(
        """UPDATE task_instance SET updated_at = now() - interval '1 hour', state =
               CASE task_id WHEN 'B' THEN 'running' ELSE 'deferred' END"""
    )
    assert mine in turn()
    live.sql("UPDATE task_instance SET state = NULL")
    assert mine in turn()


def test_days_of_a_backfill_have_their_turn_beside_all_the_pollers(site):
    """Airflow takes all other running runs before those of a backfill."""
    site.dag_id = "repro_wf3"
    from airflow.models.backfill import ReprocessBehavior, _create_backfill

    _create_backfill(
        dag_id="repro_wf3",
        from_date=datetime(2026, 1, 1, tzinfo=UTC),
        to_date=datetime(2026, 1, 3, tzinfo=UTC),
        max_active_runs=2,
        reverse=False,
        dag_run_conf={},
        triggering_user_name="test",
        reprocess_behavior=ReprocessBehavior.NONE,
    )
    site.loop(3)
    states = site.sql(
        """SELECT ti.state FROM task_instance ti JOIN dag_run d USING (dag_id, run_id)
           WHERE d.dag_id = 'repro_wf3' AND d.state = 'running' AND ti.task_id = 'select'"""
    )
    assert len(states) == 2
    assert {row["state"] for row in states} <= {"scheduled", "queued"}
    (others,) = site.sql(
        """SELECT count(*) AS n FROM dag_run WHERE state = 'running' AND backfill_id IS NULL"""
    )
    assert others["n"] > turns.ROTATION, "nothing was ahead of them"


def test_failure_goes_through_airflow(failed):
    assert failed.tasks() == {
        "launch": "success",
        "A": "success",
        "B": "failed",
        "C": "success",
        "D": "upstream_failed",
        "E": "upstream_failed",
    }
    assert failed.dag_run_state() == "failed"
    assert str(failed.task("B")["end_date"]) == DONE
    # The callback is what alerts people.
    assert [request.ti.task_id for request in failed.sent] == ["B"]
    assert "28" in failed.sent[0].msg


def rescued(site, *reruns):
    """Let the rescue run to its end and check that nothing else ran."""
    attempts = site.attempts()
    assert len(attempts) == 2
    rows = site.nodes()
    assert {name for name, row in rows.items() if row["carried_from"] is None} == set(reruns)
    site.attempt_becomes("live")
    site.loop()
    site.nodes_become("done", *reruns)
    site.attempt_becomes("done")
    site.loop(6)
    assert set(site.tasks().values()) == {"success"}
    assert site.dag_run_state() == "success"
    assert len(site.attempts()) == 2


def test_clear_with_downstream(failed):
    failed.clear("B", downstream=True)
    failed.loop()
    rescued(failed, "B", "D", "E")


def test_clear_without_downstream(failed):
    failed.clear("B")
    failed.loop()
    rescued(failed, "B", "D", "E")


def test_clear_of_a_node_that_succeeded(failed):
    failed.clear("C")
    failed.loop()
    # B failed and is not done: DAGMan runs it as well.
    rescued(failed, "B", "C", "D", "E")


def test_clear_of_several_is_one_rescue(live):
    live.nodes_become("done", "A")
    live.nodes_become("failed", "B", "C", exit_code=1)
    live.nodes_become("futile", "D", "E")
    live.attempt_becomes("failed")
    live.loop()
    live.clear("B", "C")
    live.loop()
    rescued(live, "B", "C", "D", "E")


def test_a_clear_that_cannot_be_answered_does_not_end_the_scheduler(failed):
    (row,) = failed.sql("SELECT graph FROM owl_run WHERE run_id = %(run_id)s")
    change = "UPDATE owl_run SET graph = %(graph)s WHERE run_id = %(run_id)s"
    failed.sql(change, graph='{"nodes": 5}')
    failed.clear("B", downstream=True)
    failed.loop()
    assert len(failed.attempts()) == 1
    failed.sql(change, graph=json.dumps(row["graph"]))
    failed.loop()
    rescued(failed, "B", "D", "E")


def test_what_somebody_else_writes_is_not_waited_for(failed):
    failed.clear("B")
    with settings.engine.begin() as other:
        # As a second clear does between its statements; the executor has to reset D for B's sake.
        other.execute(text("SELECT 1 FROM task_instance WHERE task_id = 'D' FOR UPDATE"))
        failed.executor._beat_at = 0.0
        failed.loop(2)
        assert len(failed.attempts()) == 1
        assert failed.sql("SELECT 1 FROM owl_daemon WHERE name = 'executor' AND state = 'running'")
    failed.loop()
    rescued(failed, "B", "D", "E")


def test_clears_one_after_the_other_are_folded(failed):
    failed.clear("B")
    failed.loop()
    failed.clear("C")
    failed.loop()
    rescued(failed, "B", "C", "D", "E")


def fail_the_dag_run(site):
    """What the scheduler writes when it ends a run at the moment of a clear."""
    site.sql(
        """UPDATE dag_run SET state = 'failed', end_date = now() - interval '2 minutes'
           WHERE run_id = %(run_id)s"""
    )


def test_a_clear_while_the_scheduler_ends_the_run_is_not_lost(failed):
    failed.clear("B")
    failed.loop()
    failed.clear("C")
    fail_the_dag_run(failed)
    failed.loop()
    rescued(failed, "B", "C", "D", "E")


def test_the_only_clear_while_the_scheduler_ends_the_run_is_found_later(failed):
    failed.clear("B")
    fail_the_dag_run(failed)
    failed.executor._full_at = 0.0
    failed.loop()
    rescued(failed, "B", "D", "E")


def test_a_run_that_was_ended_too_early_ends_well(failed):
    failed.clear("B")
    failed.loop()
    failed.attempt_becomes("live")
    failed.loop()
    fail_the_dag_run(failed)
    failed.nodes_become("done", "B", "D", "E")
    failed.attempt_becomes("done")
    failed.loop(6)
    assert set(failed.tasks().values()) == {"success"}
    assert failed.dag_run_state() == "success"


def test_a_run_that_was_marked_as_failed_stays_so(live):
    live.nodes_become("done", "A", "B", "C", "D", "E")
    live.attempt_becomes("done")
    live.loop(6)
    live.sql("UPDATE dag_run SET state = 'failed', end_date = now() WHERE run_id = %(run_id)s")
    live.loop()
    assert live.dag_run_state() == "failed"


def test_clear_of_a_running_node_spares_its_sibling(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop(1)
    live.clear("B")
    assert live.tasks()["B"] == "restarting"
    live.loop()
    rows = live.nodes()
    assert rows["C"]["spared"]
    assert rows["A"]["carried_from"] == 1
    assert len(live.attempts()) == 2
    # C ends in the predecessor; the gateway carries it over.
    live.sql(
        """UPDATE owl_node n SET state = 'done', ended_at = now(), updated_at = now() FROM owl_run r
           WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'C'"""
    )
    live.sql(
        """UPDATE owl_node n SET carried_from = 1, spared = false FROM owl_run r
           WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'C'
             AND n.attempt = 2"""
    )
    live.loop()
    assert live.tasks()["C"] == "success"
    rescued(live, "B", "D", "E")


def test_spared_node_that_fails_gets_another_try(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop(1)
    live.clear("B")
    live.loop()
    live.sql(
        """UPDATE owl_node n SET state = 'failed', exit_code = 3, ended_at = now(),
                  updated_at = now()
           FROM owl_run r WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s
            AND n.node = 'C' AND n.attempt = 1"""
    )
    live.loop(2)
    assert live.tasks()["C"] == "failed"
    assert live.tasks()["D"] == "upstream_failed"
    # The gateway settles what was spared: C did not come to a good end.
    live.sql(
        """UPDATE owl_node n SET spared = false, updated_at = now() FROM owl_run r
           WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'C'
             AND n.attempt = 2"""
    )
    live.loop(2)
    assert not {"failed", "upstream_failed"} & set(live.tasks().values())
    # What waits for DAGMan must not look like the end of the run.
    live.attempt_becomes("live")
    live.nodes_become("done", "B", "C")
    live.loop()
    assert live.dag_run_state() == "running"
    rescued(live, "B", "C", "D", "E")
    assert live.task("C")["try_number"] == 2


@pytest.mark.parametrize("retried", [False, True])
def test_spared_node_that_ran_again_while_nobody_looked_is_shown_once(live, retried):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop(1)
    live.clear("B")
    live.loop()
    # The scheduler rests: C fails, is taken into the next attempt, and comes to a good end there.
    live.sql(
        """UPDATE owl_node n SET state = 'failed', exit_code = 3, ended_at = now()
           FROM owl_run r WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s
            AND n.node = 'C' AND n.attempt = 1"""
    )
    live.attempt_becomes("live")
    live.sql(
        """UPDATE owl_node n SET spared = false FROM owl_run r
           WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'C'
             AND n.attempt = 2"""
    )
    live.nodes_become("done", "B", "C")
    live.sql(
        """UPDATE owl_node n SET cluster = 8 FROM owl_run r
           WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'C'
             AND n.attempt = 2"""
    )
    if retried:
        live.sql(
            """INSERT INTO owl_node (run_key, attempt, node, try, task_id, state, cluster, proc,
                                     ti_id, started_at, ended_at)
               SELECT n.run_key, 2, 'C', 1, 'C', 'done', 9, 0, n.ti_id, n.started_at, n.ended_at
               FROM owl_node n JOIN owl_run r USING (run_key)
               WHERE r.run_id = %(run_id)s AND n.node = 'C' AND n.attempt = 2"""
        )
        live.sql(
            """UPDATE owl_node n SET state = 'failed', exit_code = 3 FROM owl_run r
               WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'C'
                 AND n.attempt = 2 AND n.try = 0"""
        )
    live.loop(1)
    assert live.tasks()["C"] == "success"
    tries = live.task("C")["try_number"]
    live.loop(2)
    assert live.tasks()["C"] == "success"
    assert live.task("C")["try_number"] == tries


def test_clear_of_the_whole_run_is_a_fresh_attempt(failed):
    failed.clear()
    failed.loop()
    assert failed.attempts()[1]["kind"] == "fresh"
    assert failed.attempts()[0]["state"] == "failed"
    rescued(failed, "A", "B", "C", "D", "E")


def test_mark_success_lets_dagman_go_on_after_it(failed):
    failed.mark_success("B")
    failed.loop()
    assert failed.nodes()["B"]["carried_from"] == 1
    assert "marked as successful" in failed.nodes()["B"]["reason"]
    rescued(failed, "D", "E")


def test_mark_success_of_the_last_node_needs_no_attempt(live):
    live.nodes_become("done", "A", "B", "C", "D")
    live.nodes_become("failed", "E", exit_code=1)
    live.attempt_becomes("failed")
    live.loop()
    live.mark_success("E")
    live.executor._full_at = 0.0
    live.loop()
    assert len(live.attempts()) == 1
    # Airflow itself leaves such a run's own state alone.
    assert live.tasks()["E"] == "success"
    (run,) = live.sql("SELECT state FROM owl_run WHERE run_id = %(run_id)s")
    assert run["state"] == "done"


def test_clear_of_what_has_not_started_attaches(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop(2)
    live.clear("E")
    live.loop()
    assert len(live.attempts()) == 1
    live.nodes_become("done", "B", "C", "D", "E")
    live.attempt_becomes("done")
    live.loop()
    assert live.dag_run_state() == "success"


def test_clear_of_what_has_not_started_does_not_wait_for_the_scheduler(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop(2)
    live.clear("E")
    live.executor._cleared_at = 0.0
    live.executor.sync()
    # The scheduler has not looked at the run yet, and E starts.
    live.nodes_become("done", "B", "C", "D")
    live.nodes_become("running", "E")
    live.loop()
    assert len(live.attempts()) == 1
    assert live.tasks()["E"] == "running"
    live.nodes_become("done", "E")
    live.attempt_becomes("done")
    live.loop()
    assert live.dag_run_state() == "success"


def test_a_run_that_cannot_be_read_does_not_keep_the_scheduler_from_looking(live):
    live.nodes_become("running", "A")
    live.loop(2)
    live.clear("E")
    live.sql("""UPDATE owl_run SET graph = '{"nodes": 1}' WHERE run_id = %(run_id)s""")
    live.executor._cleared_at = 0.0
    assert decision(live) is None


def test_clear_of_what_runs_waits_for_its_answer(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop(2)
    live.clear("C", "E")
    live.executor._cleared_at = 0.0
    live.executor.sync()
    live.loop()
    assert [a["state"] for a in live.attempts()] == ["live", "wanted"]


def test_refused_submission_fails_the_launch_with_its_reason(site):
    site.trigger({"dataset": "drill001"})
    site.loop()
    site.attempt_becomes("refused", error_kind="disk_full", error_message="no space on /data")
    site.loop()
    assert site.tasks()["launch"] == "failed"
    assert "no space on /data" in site.sent[0].msg
    # After the cause is mended, a clear of the launch is a new attempt.
    site.clear("launch", downstream=True)
    site.loop()
    assert [a["state"] for a in site.attempts()] == ["refused", "wanted"]


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"dataset": "../etc/passwd"}, "dataset"),
        ({"dataset": "a b"}, "'a b'"),
        ({"dataset": "ok", "priority": "high"}, "'high'"),
    ],
)
def test_bad_conf_is_refused_and_named(site, conf, said):
    # Airflow's own check of params refuses most of this; the executor does not rely on it.
    site.trigger({"dataset": "good"})
    site.sql(
        "UPDATE dag_run SET conf = %(conf)s WHERE run_id = %(run_id)s",
        conf=json.dumps(conf),
    )
    site.loop()
    assert site.tasks()["launch"] == "failed"
    assert said in site.sent[0].msg
    (attempt,) = site.attempts()
    assert attempt["state"] == "refused"
    assert said in attempt["error_message"]


def test_a_try_that_dagman_repeats_is_not_a_failure(live):
    live.sql(
        """UPDATE owl_node n SET retries = 1 FROM owl_run r
           WHERE r.run_key = n.run_key AND r.run_id = %(run_id)s AND n.node = 'A'"""
    )
    live.nodes_become("failed", "A", exit_code=1)
    live.loop(2)
    assert live.tasks()["A"] != "failed"
    live.sql(
        """INSERT INTO owl_node (run_key, attempt, node, try, task_id, ti_id, retries, state,
                                 started_at, ended_at)
           SELECT n.run_key, n.attempt, n.node, 1, n.task_id, n.ti_id, 1, 'failed', now(), now()
           FROM owl_node n JOIN owl_run r USING (run_key)
           WHERE r.run_id = %(run_id)s AND n.node = 'A'"""
    )
    live.loop(2)
    assert live.tasks()["A"] == "failed"


def commands(site):
    return site.sql(
        """SELECT c.verb, c.node FROM owl_command c JOIN owl_run r USING (run_key)
           WHERE r.run_id = %(run_id)s ORDER BY c.id"""
    )


def test_a_running_task_that_is_marked_failed_loses_its_job(live):
    live.nodes_become("running", "A")
    live.loop(2)
    assert commands(live) == []
    live.mark("A", "failed")
    live.executor._marks_at = 0.0
    live.loop(2)
    assert commands(live) == [{"verb": "remove", "node": "A"}]
    live.executor._marks_at = 0.0
    live.loop(1)
    assert len(commands(live)) == 1


def test_a_run_that_is_marked_failed_loses_its_dagman(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B")
    live.loop(2)
    live.mark_run_failed()
    live.executor._marks_at = 0.0
    live.loop(2)
    assert commands(live) == [{"verb": "remove", "node": None}]


def test_a_normal_failure_removes_nothing(failed):
    failed.executor._marks_at = 0.0
    failed.loop(2)
    assert commands(failed) == []


def test_a_dead_dagman_fails_what_waits(live):
    live.nodes_become("done", "A")
    live.nodes_become("running", "B", "C")
    live.loop()
    live.attempt_becomes("failed", error_message="condor_dagman was killed by signal 9")
    live.loop()
    tasks = live.tasks()
    assert (tasks["B"], tasks["C"]) == ("failed", "failed")
    assert "signal 9" in live.sent[0].msg
    assert live.dag_run_state() == "failed"


def test_unused_slots_are_skipped_and_children_are_not(site):
    site.trigger({"dataset": "drill001"})
    site.loop()
    site.gateway_renders(("A", "B", "D", "E"))
    site.attempt_becomes("live")
    site.loop()
    assert site.tasks()["C"] == "skipped"
    site.nodes_become("done", "A", "B", "D", "E")
    site.attempt_becomes("done")
    site.loop(6)
    assert site.dag_run_state() == "success"
    assert site.tasks()["E"] == "success"


def test_a_run_that_ends_while_no_scheduler_is_there(site):
    site.trigger({"dataset": "drill001"})
    site.loop()
    site.gateway_renders()
    site.attempt_becomes("live")
    site.nodes_become("done", *"ABCDE")
    site.attempt_becomes("done")
    site.loop(6)
    assert set(site.tasks().values()) == {"success"}
    assert site.dag_run_state() == "success"


def test_a_scheduler_that_died_changes_nothing(live):
    from airflow.utils.state import JobState

    live.nodes_become("running", "A")
    live.loop(1)
    with live.create_session() as session:
        live.runner.job.state = JobState.FAILED
        session.merge(live.runner.job)
    successor = type(live)()
    successor.run_id, successor.dag_id = live.run_id, live.dag_id
    successor.runner.adopt_or_reset_orphaned_tasks()
    successor.loop(2)
    assert successor.task("A")["state"] == "running"
    assert len(successor.attempts()) == 1
    successor.nodes_become("done", "A")
    successor.loop(1)
    assert successor.tasks()["A"] == "success"


def test_a_sync_that_fails_says_so_on_the_blackboard(live):
    def beat():
        (row,) = live.sql("SELECT state, detail FROM owl_daemon WHERE name = 'executor'")
        return row

    live.executor._beat_at = 0.0
    live.loop(1)
    assert beat()["state"] == "running"
    live.sql("ALTER TABLE owl_run RENAME COLUMN mirrored TO lost")
    try:
        live.loop(1)
        assert beat()["state"] == "failing"
        assert "mirrored" in beat()["detail"]["error"]
    finally:
        live.sql("ALTER TABLE owl_run RENAME COLUMN lost TO mirrored")
    live.executor._beat_at = 0.0
    live.loop(1)
    assert beat()["state"] == "running"


def test_a_run_of_dag_test_is_left_to_it(site):
    site.trigger({"dataset": "drill001"}, triggered_by="TEST")
    site.loop(1)
    # The scheduler was faster: what it queued is given back, and it gets nothing of it again.
    site.sql(
        """UPDATE task_instance SET state = 'queued', queued_dttm = now() - interval '10 minutes'
           WHERE run_id = %(run_id)s AND task_id = 'launch'"""
    )
    site.loop(4)
    assert site.tasks()["launch"] == "scheduled"
    assert site.attempts() == []
