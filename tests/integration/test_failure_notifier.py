from __future__ import annotations

import logging
from contextlib import closing
from types import SimpleNamespace

import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.notifications.failure import HTCondorFailureNotifier

pytestmark = pytest.mark.database


@pytest.fixture
def failed_run(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OWL_DATABASE_URL", database)
    with closing(connect_url(database, application="test")) as connection, connection:
        connection.cursor().execute(
            """
            INSERT INTO owl_run (dag_id, run_id, workflow, dataset, latest_attempt, run_dir)
            VALUES ('w', 'r', 'w', 'idkv02010', 2, '/runs/1');
            INSERT INTO owl_attempt (run_key, attempt, kind, state, cluster, error_kind,
                                     error_message)
            SELECT run_key, 1, 'first', 'failed', 5, NULL, NULL FROM owl_run
            UNION ALL
            SELECT run_key, 2, 'rescue', 'failed', 9, 'disk_full', '/runs is full.' FROM owl_run;
            INSERT INTO owl_node (run_key, attempt, node, try, task_id, state, exit_code, err_path)
            SELECT run_key, k, 'CA@1', t, 'CA_1', 'failed', 100 * k + t, '/e' || k || t
            FROM owl_run, generate_series(1, 2) k, generate_series(0, 1) t;
            """
        )
    return database


FIRST = "0198a7e2-0000-7000-8000-000000000001"
SECOND = "0198a7e2-0000-7000-8000-000000000002"


def tell(task_id: str, caplog: pytest.LogCaptureFixture, ti_id: str | None = None) -> str:
    ti = SimpleNamespace(dag_id="w", run_id="r", task_id=task_id, id=ti_id)
    caplog.clear()
    with caplog.at_level(logging.ERROR, "htcondor_operator.failure"):
        HTCondorFailureNotifier()({"ti": ti, "dag": None})
    return caplog.messages[-1]


def test_latest_try_of_the_latest_attempt_is_told(
    failed_run: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = tell("CA_1", caplog)
    assert text.startswith("idkv02010: CA@1 failed (exit_201) in w\n")
    assert "error: /e21" in text
    assert "attempt: 2 (DAGMan cluster 9)" in text
    assert "run folder: /runs/1" in text


def test_a_rescue_that_began_meanwhile_does_not_change_what_failed(
    failed_run: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(connect_url(failed_run, application="test")) as connection, connection:
        connection.cursor().execute(
            """
            UPDATE owl_node SET ti_id = CASE attempt WHEN 1 THEN %(first)s::uuid
                                        ELSE %(second)s::uuid END;
            UPDATE owl_node SET state = 'done', exit_code = 0 WHERE attempt = 2
            """,
            {"first": FIRST, "second": SECOND},
        )
    text = tell("CA_1", caplog, FIRST)
    assert text.startswith("idkv02010: CA@1 failed (exit_101) in w\n")
    assert "attempt: 1 (DAGMan cluster 5)" in text
    assert "attempt: 2 (DAGMan cluster 9)" in tell("CA_1", caplog, SECOND)


def test_a_launch_is_told_by_its_attempts_error(
    failed_run: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert "meaning: disk_full: /runs is full. The disk is full." in tell("launch", caplog)
    with closing(connect_url(failed_run, application="test")) as connection, connection:
        connection.cursor().execute(
            """
            INSERT INTO owl_attempt (run_key, attempt, kind, state)
            SELECT run_key, 3, 'rescue', 'wanted' FROM owl_run;
            UPDATE owl_run SET latest_attempt = 3
            """
        )
    assert "meaning: disk_full: /runs is full. The disk is full." in tell("launch", caplog)


def test_an_unknown_run_is_told_as_far_as_it_is_known(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OWL_DATABASE_URL", database)
    assert "Airflow: w / r / CA" in tell("CA", caplog)
