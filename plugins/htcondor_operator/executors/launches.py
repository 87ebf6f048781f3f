"""Turns queued launch task instances into requests, in the scheduler's process, by SQL alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from htcondor_operator import vocabulary
from htcondor_operator.blackboard import runs
from htcondor_operator.executors import task_mirror
from htcondor_operator.vocabulary import AttemptKind, ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

LAUNCH_OPERATOR = "HTCondorDagOperator"


@dataclass(frozen=True)
class LaunchRequest:
    """A launch as it comes from Airflow, checked at the border."""

    workflow: str
    dataset: str
    priority: int
    params: Mapping[str, Any] = field(default_factory=dict)


def read_conf(workflow: object, defaults: Mapping[str, Any], conf: object) -> LaunchRequest:
    """Check a DAG run's conf; raise :class:`OwlError` that names the field, the value and the fix.

    Parameters
    ----------
    workflow
        Name of the template.
    defaults
        Values of parameters that the conf does not give.
    conf
        The DAG run's conf.
    """
    if conf is not None and not isinstance(conf, Mapping):
        raise OwlError(ErrorKind.BAD_CONF, f"conf {conf!r} is not an object; give {{'dataset': …}}")
    values = {**defaults, **(conf or {})}
    name = vocabulary.workflow_name(workflow)
    if values.get("dataset") in {None, ""}:
        raise OwlError(
            ErrorKind.BAD_CONF, "dataset is missing from the run's conf; give the dataset's name"
        )
    dataset = vocabulary.dataset_name(values.pop("dataset"))
    priority = vocabulary.priority(values.pop("priority", None) or 0)
    return LaunchRequest(name, dataset, priority, values)


@dataclass(frozen=True)
class QueuedLaunch:
    """A queued launch task instance and its run's conf."""

    ti_id: str
    dag_id: str
    run_id: str
    task_id: str
    executor_config: Mapping[str, Any]
    conf: object


def new_launches(session: Any, executor: str) -> list[QueuedLaunch]:
    """Return the queued launches of DAG runs that the blackboard does not know yet."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import and_, exists, select

    from htcondor_operator.blackboard.run_tables import owl_run

    known = exists().where(
        owl_run.c.dag_id == TaskInstance.dag_id, owl_run.c.run_id == TaskInstance.run_id
    )
    rows = session.execute(
        select(
            TaskInstance.id,
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
            TaskInstance.executor_config,
            DagRun.conf,
        )
        .join(
            DagRun,
            and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id),
        )
        .where(
            TaskInstance.state == "queued",
            TaskInstance.executor == executor,
            TaskInstance.operator == LAUNCH_OPERATOR,
            # dag.test() runs its tasks itself.
            DagRun.triggered_by.is_distinct_from(DagRunTriggeredByType.TEST),
            ~known,
        )
    ).all()
    return [QueuedLaunch(str(row[0]), row[1], row[2], row[3], row[4] or {}, row[5]) for row in rows]


def request_launch(cur: Cursor, launch: QueuedLaunch) -> None:
    """Ask for the first attempt of a new run, or record why it cannot be."""
    owl = launch.executor_config.get("owl", {})
    try:
        request = read_conf(owl.get("workflow", launch.dag_id), owl.get("params", {}), launch.conf)
    except OwlError as error:
        conf = launch.conf if isinstance(launch.conf, Mapping) else {}
        run_key = runs.ensure_run(
            cur,
            dag_id=launch.dag_id,
            run_id=launch.run_id,
            workflow=launch.dag_id,
            dataset=ascii(conf.get("dataset", ""))[:63],
            launch_task_id=launch.task_id,
        )
        runs.refuse_run(cur, run_key, error.kind, error.message)
    else:
        run_key = runs.ensure_run(
            cur,
            dag_id=launch.dag_id,
            run_id=launch.run_id,
            workflow=request.workflow,
            dataset=request.dataset,
            launch_task_id=launch.task_id,
            priority=request.priority,
            params=request.params,
        )
        runs.request_attempt(cur, run_key, kind=AttemptKind.FIRST)
    cur.execute(
        "UPDATE owl_run SET launch_ti_id = %(ti)s::uuid, mirrored = true WHERE run_key = %(run)s",
        {"ti": launch.ti_id, "run": run_key},
    )


def start_bound_launches(cur: Cursor, executor: str) -> int:
    """Start the queued launches that answer to a run's latest attempt."""
    cur.execute(
        """
        SELECT ti.id::text FROM task_instance ti JOIN owl_run r ON r.launch_ti_id = ti.id
        WHERE ti.state = 'queued' AND r.mirrored AND ti.executor = %(executor)s
        """,
        {"executor": executor},
    )
    waiting = [row[0] for row in cur.fetchall()]
    return task_mirror.start_launches(cur, waiting) if waiting else 0
