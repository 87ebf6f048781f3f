"""A clear that OWL makes for an operator: the same one that Airflow's UI would make.

It goes through Airflow's own models, so that the grid, its history of tries and its audit log are
true; the executor then answers it like any other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

EVENT = "owl_rescue"
LOCK_MS = 900


def check_airflow() -> None:
    """Refuse to go on where Airflow would make up a database of its own.

    Raises
    ------
    OwlError
        With what is missing.
    """
    configured = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in os.environ
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    if not configured and not (home / "airflow.cfg").is_file():
        raise OwlError(
            ErrorKind.BAD_CONF,
            "Airflow is not in reach: neither AIRFLOW__DATABASE__SQL_ALCHEMY_CONN is set nor is "
            f"there {home / 'airflow.cfg'}. Call it as `./owl rescue`, or on Airflow's machine "
            "with its environment.",
        )
    try:
        import airflow  # noqa: F401
    except ImportError as error:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"Airflow cannot be imported ({error}): call it in Airflow's Python environment.",
        ) from error


def waiting_tasks(cur: Cursor, dag_id: str, run_id: str) -> set[str]:
    """Return the tasks of a run that were cleared and whose clear was not answered yet."""
    cur.execute(
        """
        SELECT ti.task_id FROM task_instance ti
        JOIN owl_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id AND r.mirrored
        LEFT JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
                            AND n.task_id = ti.task_id AND n.try = 0
        WHERE ti.dag_id = %(dag)s AND ti.run_id = %(run)s AND ti.map_index = -1
          AND (ti.state IS NULL OR ti.state IN ('scheduled', 'queued', 'restarting'))
          AND ((ti.task_id = r.launch_task_id AND r.launch_ti_id <> ti.id) OR n.ti_id <> ti.id)
        """,
        {"dag": dag_id, "run": run_id},
    )
    return {row[0] for row in cur.fetchall()}


@dataclass(frozen=True)
class LockedRun:
    """A DAG run that nobody else changes until the transaction ends.

    Parameters
    ----------
    cursor
        Of the transaction: what is written with it is there if, and only if, the clear is.
    """

    dag_id: str
    run_id: str
    cursor: Cursor
    state: str
    _dag: Any
    _session: Any

    def clear(self, tasks: Collection[str] | None, *, by: str, reason: str | None = None) -> int:
        """Clear task instances, tell Airflow's audit log who did, and return how many they are.

        Parameters
        ----------
        tasks
            Their ids; None for all.
        """
        from airflow.models.log import Log

        names = None if tasks is None else sorted(tasks)
        self._session.add(
            Log(
                event=EVENT,
                owner=by,
                owner_display_name=by,
                dag_id=self.dag_id,
                run_id=self.run_id,
                extra=json.dumps({"task_ids": names, "reason": reason}),
            )
        )
        return int(self._dag.clear(run_id=self.run_id, task_ids=names, session=self._session))


@contextmanager
def locked(dag_id: str, run_id: str) -> Iterator[LockedRun]:
    """Lock a DAG run and its task instances, in the scheduler's order, and commit at the end.

    Airflow's clear takes no lock: two at once give a task instance two histories with one key.

    Raises
    ------
    OwlError
        Airflow does not know the DAG run.
    """
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select, text

    with create_session() as session:
        # Less than PostgreSQL waits before it looks for a deadlock: in one, the daemons win.
        session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_MS}ms'"))
        dag_run = session.scalar(
            select(DagRun)
            .where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            .with_for_update(of=DagRun)
        )
        dag = DBDagBag().get_dag_for_run(dag_run, session=session) if dag_run else None
        if dag_run is None or dag is None:
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"This Airflow has no DagRun {run_id!r} of DAG {dag_id!r}: is its database the "
                "blackboard's?",
            )
        session.execute(
            select(TaskInstance.id)
            .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
            .order_by(TaskInstance.id)
            .with_for_update(of=TaskInstance)
        )
        cursor = session.connection().connection.cursor()
        yield LockedRun(dag_id, run_id, cursor, str(dag_run.state), dag, session)
