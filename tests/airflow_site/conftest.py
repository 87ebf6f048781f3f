"""Airflow's real scheduler code and database in one process, without HTCondor.

Run by tests/integration/test_executor.py in a process of its own, because Airflow reads its
configuration when it is imported. What HTCondor and the daemons would write into the blackboard,
the scenarios write themselves: they are about the executor.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

DAG_ID = "drill"
NODES = ("A", "B", "C", "D", "E")
WEB = "http://testserver"
EDGES = [["A", "B"], ["A", "C"], ["B", "D"], ["C", "D"], ["D", "E"]]


@pytest.fixture(scope="session")
def bundle() -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    folder = Path(__file__).resolve().parents[2] / "dags"
    DagBundlesManager().sync_bundles_to_db()
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        Pool.create_or_update_pool("htcondor", 100_000, "", False, session=session)


@pytest.fixture(scope="session")
def web(bundle: None) -> Iterator[Any]:
    """Airflow's web application with the DAGs of this repository."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    from htcondor_operator.console import database

    # A machine that rests is not a question that takes too long.
    database.STATEMENT_SECONDS = 120
    with TestClient(create_app(apps="core"), base_url=WEB, raise_server_exceptions=False) as client:
        yield client


class Site:
    """One DAG run, a scheduler, and the blackboard."""

    def __init__(self) -> None:
        from airflow.executors.executor_loader import ExecutorLoader
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.utils.session import create_session

        self.create_session = create_session
        executors = ExecutorLoader.init_executors()
        self.runner = SchedulerJobRunner(job=Job(), executors=executors)
        with create_session() as session:
            session.add(self.runner.job)
            session.flush()
            session.expunge(self.runner.job)
        self.executor = next(e for e in executors if type(e).__name__ == "HTCondorExecutor")
        self.executor.job_id = self.runner.job.id
        self.sent: list[Any] = []
        self.executor.send_callback = self.sent.append
        self.run_id = f"scenario_{uuid.uuid4().hex[:8]}"

    def trigger(
        self, conf: dict[str, Any] | None, dag_id: str = DAG_ID, triggered_by: str = "CLI"
    ) -> None:
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        self.dag_id = dag_id
        with self.create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
            dag.create_dagrun(
                run_id=self.run_id,
                run_after=datetime.now(UTC),
                conf=conf,
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType[triggered_by],
                state=DagRunState.QUEUED,
                session=session,
            )

    def loop(self, times: int = 4) -> None:
        """Run the scheduler's loop as it runs itself, that often."""
        for _ in range(times):
            with self.create_session() as session:
                self.runner._start_queued_dagruns(session)
            with self.create_session() as session:
                self.runner._do_scheduling(session)
            self.executor.heartbeat()
            with self.create_session() as session:
                self.runner._process_executor_events(self.executor, session)

    def sql(self, text: str, **values: Any) -> list[dict[str, Any]]:
        with self.create_session() as session:
            cur = session.connection().connection.cursor()
            cur.execute(text, {**values, "run_id": self.run_id, "dag_id": self.dag_id})
            if cur.description is None:
                return []
            names = [column.name for column in cur.description]
            return [dict(zip(names, row, strict=True)) for row in cur.fetchall()]

    def tasks(self) -> dict[str, str | None]:
        rows = self.sql(
            "SELECT task_id, state FROM task_instance WHERE run_id = %(run_id)s ORDER BY task_id"
        )
        return {row["task_id"]: row["state"] for row in rows}

    def task(self, name: str) -> dict[str, Any]:
        (row,) = self.sql(
            "SELECT * FROM task_instance WHERE run_id = %(run_id)s AND task_id = %(task)s",
            task=name,
        )
        return row

    def dag_run_state(self) -> str:
        (row,) = self.sql("SELECT state FROM dag_run WHERE run_id = %(run_id)s")
        return str(row["state"])

    def attempts(self) -> list[dict[str, Any]]:
        return self.sql(
            """SELECT a.* FROM owl_attempt a JOIN owl_run r USING (run_key)
               WHERE r.run_id = %(run_id)s ORDER BY attempt"""
        )

    def nodes(self) -> dict[str, dict[str, Any]]:
        rows = self.sql(
            """SELECT n.* FROM owl_node n JOIN owl_run r
               ON r.run_key = n.run_key AND r.latest_attempt = n.attempt
               WHERE r.run_id = %(run_id)s ORDER BY node"""
        )
        return {row["node"]: row for row in rows}

    # What the gateway and the mirror write.

    def gateway_renders(self, nodes: tuple[str, ...] = NODES) -> None:
        import json

        graph = {"nodes": list(nodes), "edges": [e for e in EDGES if set(e) <= set(nodes)]}
        self.sql(
            "UPDATE owl_run SET graph = %(graph)s WHERE run_id = %(run_id)s",
            graph=json.dumps(graph),
        )
        for node in nodes:
            self.sql(
                """INSERT INTO owl_node (run_key, attempt, node, task_id)
                   SELECT run_key, latest_attempt, %(node)s, %(node)s FROM owl_run
                   WHERE run_id = %(run_id)s""",
                node=node,
            )

    def attempt_becomes(self, state: str, **columns: Any) -> None:
        ended = "now() - interval '1 minute'" if state in {"done", "failed"} else "NULL"
        extra = "".join(f", {name} = %({name})s" for name in columns)
        self.sql(
            f"""UPDATE owl_attempt a SET state = %(state)s, cluster = 100 + a.attempt,
                ended_at = {ended}{extra}
                FROM owl_run r WHERE r.run_key = a.run_key AND r.latest_attempt = a.attempt
                  AND r.run_id = %(run_id)s""",
            state=state,
            **columns,
        )
        run_state = {"live": "running", "refused": "failed"}.get(state, state)
        self.sql(
            """UPDATE owl_run SET state = %(state)s, updated_at = now(),
               ended_at = CASE WHEN %(state)s IN ('done', 'failed') THEN now() END
               WHERE run_id = %(run_id)s""",
            state=run_state,
        )

    def nodes_become(self, state: str, *names: str, exit_code: int | None = None) -> None:
        self.sql(
            """UPDATE owl_node n SET state = %(state)s, exit_code = %(code)s, host = 'host7',
                 cluster = 7, owner = 'someone', updated_at = now(),
                 submitted_at = '2026-01-02 03:04:00+00',
                 started_at = CASE WHEN %(state)s <> 'idle'
                              THEN timestamptz '2026-01-02 03:04:05+00' END,
                 ended_at = CASE WHEN %(state)s IN ('done', 'failed', 'removed')
                            THEN timestamptz '2026-01-02 03:04:15+00' END
               FROM owl_run r WHERE r.run_key = n.run_key AND r.latest_attempt = n.attempt
                 AND n.carried_from IS NULL AND r.run_id = %(run_id)s AND node = ANY(%(names)s)""",
            state=state,
            names=list(names),
            code=exit_code,
        )

    # What an operator does.

    def clear(self, *names: str, downstream: bool = False) -> None:
        from airflow.models.dagbag import DBDagBag

        with self.create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(self.dag_id, session=session)
            if downstream:
                dag = dag.partial_subset(
                    task_ids=set(names), include_downstream=True, include_upstream=False
                )
                dag.clear(run_id=self.run_id, session=session)
            else:
                dag.clear(run_id=self.run_id, task_ids=list(names) or None, session=session)

    def mark_success(self, name: str) -> None:
        self.mark(name, "success")

    def mark_run_failed(self) -> None:
        from airflow.api.common.mark_tasks import set_dag_run_state_to_failed
        from airflow.models.dagbag import DBDagBag

        with self.create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(self.dag_id, session=session)
            set_dag_run_state_to_failed(dag=dag, run_id=self.run_id, commit=True, session=session)

    def mark(self, name: str, state: str) -> None:
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.state import TaskInstanceState

        with self.create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(self.dag_id, session=session)
            dag.set_task_instance_state(
                task_id=name,
                run_id=self.run_id,
                state=TaskInstanceState(state),
                session=session,
            )


@pytest.fixture
def site(bundle: None) -> Site:
    return Site()
