from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from airflow.utils.types import DagRunType

from htcondor_operator.campaign_dags import make_approval_dag, make_repro_dags
from htcondor_operator.timetables import ObservationDays

DAGS = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
FIRST = pendulum.datetime(2026, 1, 1)


def test_only_a_backfill_gets_days() -> None:
    days = ObservationDays()
    scheduler = TimeRestriction(FIRST, None, catchup=False)
    assert days.next_dagrun_info(last_automated_data_interval=None, restriction=scheduler) is None
    backfill = TimeRestriction(FIRST, FIRST.add(days=1), catchup=True)
    info = days.next_dagrun_info(last_automated_data_interval=None, restriction=backfill)
    assert info is not None
    assert info.data_interval == (FIRST, FIRST.add(days=1))
    assert days.periodic
    assert ObservationDays.deserialize(days.serialize()) == days


def test_a_dag_per_instrument_for_people_and_backfills() -> None:
    dags = make_repro_dags()
    assert set(dags) == {"repro_acs", "repro_wf3", "repro_stis", "repro_cos"}
    for dag in dags.values():
        assert dag.allowed_run_types == {DagRunType.BACKFILL_JOB, DagRunType.MANUAL}
        assert not dag.catchup
        assert dag.start_date < datetime(1991, 1, 1, tzinfo=UTC)
        select, wait = dag.get_task("select"), dag.get_task("wait")
        assert wait.start_from_trigger
        assert wait.upstream_task_ids == {select.task_id}


def test_a_question_and_two_answers() -> None:
    dag = make_approval_dag()
    assert dag.get_task("ask").downstream_task_ids == {"fill"}
    assert dag.get_task("drop").trigger_rule == "all_skipped"


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_airflow_looks_into_every_dag_file(path: Path) -> None:
    # It passes over files that do not have both words ([core] dag_discovery_safe_mode).
    text = path.read_text().lower()
    assert "dag" in text
    assert "airflow" in text
