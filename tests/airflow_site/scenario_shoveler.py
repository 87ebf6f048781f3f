"""What the shoveler writes into Airflow's tables, against Airflow itself.

Run by tests/integration/test_shoveler_contract.py in a process of its own. It fails when an
upgrade of Airflow brings a column that Airflow fills and the shoveler does not know.
"""

from __future__ import annotations

from htcondor_operator.blackboard.outcome_rows import sweep_outcomes
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries
from htcondor_operator.queue.shoveler.policy import Policy
from htcondor_operator.queue.shoveler.shoveling import shovel_batch

EACH_ITS_OWN = {
    "id",
    "run_id",
    "conf",
    "queued_at",
    "run_after",
    "created_at",
    "updated_at",
    "context_carrier",
    "triggering_user_name",
}
"""Columns that differ from run to run; whether they are filled must still agree."""

OURS = {"triggered_by": "OPERATOR"}
"""What the shoveler writes otherwise than the REST API."""

DATASET = "drill003"


def shovel(site, dataset=DATASET, **more):
    site.dag_id = "drill"
    with site.create_session() as session:
        cur = session.connection().connection.cursor()
        add_entries(cur, [NewEntry(dataset, "drill", requested_by="tester", **more)])
        assert shovel_batch(cur, Policy()).shoveled == 1
    (row,) = site.sql("SELECT run_id FROM owl_queue_history ORDER BY id DESC LIMIT 1")
    site.run_id = row["run_id"]


def sweep(site):
    with site.create_session() as session:
        return sweep_outcomes(session.connection().connection.cursor())


def dag_run(site):
    (row,) = site.sql("SELECT * FROM dag_run WHERE run_id = %(run_id)s")
    return row


def test_every_column_is_as_airflow_fills_it(site):
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    conf = {"dataset": DATASET, "priority": 3}
    site.dag_id = "drill"
    with site.create_session() as session:
        trigger_dag(
            "drill",
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name="tester",
            run_id=site.run_id,
            conf=conf,
            session=session,
        )
    theirs = dag_run(site)
    shovel(site, priority=3)
    ours = dag_run(site)
    assert set(ours) == set(theirs)
    for column, value in theirs.items():
        if column in EACH_ITS_OWN:
            assert (ours[column] is None) == (value is None), column
            assert type(ours[column]) is type(value), column
        else:
            assert ours[column] == OURS.get(column, value), column
    assert ours["conf"] == conf
    assert ours["run_after"] - ours["queued_at"] < theirs["created_at"].resolution * 1000
    carriers = [run["context_carrier"] for run in (ours, theirs)]
    shapes = [(list(carrier), carrier["__type"], sorted(carrier["__var"])) for carrier in carriers]
    assert shapes[0] == shapes[1]
    parts = [carrier["__var"]["traceparent"].split("-") for carrier in carriers]
    assert [len(p) for p in parts[0]] == [len(p) for p in parts[1]]
    assert (parts[0][0], parts[0][3]) == (parts[1][0], parts[1][3])


def test_airflow_reads_it_as_one_of_its_own(site):
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select

    shovel(site, "drill004")
    with site.create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.run_id == site.run_id))
        assert run.run_type == DagRunType.MANUAL
        assert run.triggered_by is DagRunTriggeredByType.OPERATOR
        assert run.conf == {"dataset": "drill004", "priority": 0}
        assert run.context_carrier["traceparent"].startswith("00-")
        assert run.created_dag_version.dag_id == "drill"
        assert DagRunType.from_run_id(run.run_id) == DagRunType.MANUAL
        assert DagRun.validate_run_id(run, "run_id", site.run_id) == site.run_id


def test_the_scheduler_makes_the_tasks_and_the_run_comes_to_its_end(site):
    shovel(site, "drill005")
    assert site.tasks() == {}
    site.loop()
    assert set(site.tasks()) == {"launch", "A", "B", "C", "D", "E"}
    assert dag_run(site)["state"] == "running"
    (run,) = site.sql("SELECT dataset, priority, params FROM owl_run WHERE run_id = %(run_id)s")
    assert run["dataset"] == "drill005"
    assert sweep(site)["done"] == 0
    site.gateway_renders()
    site.attempt_becomes("live")
    site.loop()
    site.nodes_become("done", "A", "B", "C", "D", "E")
    site.attempt_becomes("done")
    site.loop(6)
    assert site.dag_run_state() == "success"
    assert sweep(site)["done"] == 1
    # A clear lets the run go again, and the history with it.
    site.clear("D", downstream=True)
    assert sweep(site)["again"] == 1


def test_a_stale_dag_is_not_shoveled(site):
    site.dag_id = "drill"
    site.sql("UPDATE dag SET is_stale = true WHERE dag_id = 'drill'")
    try:
        with site.create_session() as session:
            cur = session.connection().connection.cursor()
            add_entries(cur, [NewEntry("drill009", "drill")])
            waits = shovel_batch(cur, Policy()).plan.waits
        assert waits["drill"].startswith("its DAG is gone from the DAG files")
    finally:
        site.sql("UPDATE dag SET is_stale = false WHERE dag_id = 'drill'")
        site.sql("DELETE FROM owl_queue")
