"""A clear that OWL makes for an operator: the same one that Airflow's UI would make.

It goes through Airflow's own models, so that the grid, its history of tries and its audit log are
true; the executor then answers it like any other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

from htcondor_operator.vocabulary import ErrorKind, OwlError

EVENT = "owl_rescue"


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


def clear(dag_id: str, run_id: str, tasks: Collection[str] | None, *, by: str) -> int:
    """Clear task instances of one DagRun and tell Airflow's audit log who did.

    Parameters
    ----------
    tasks
        Their ids; None for all.

    Returns
    -------
    int
        How many were cleared.

    Raises
    ------
    OwlError
        Airflow does not know the DagRun.
    """
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        dag_run = session.scalar(
            select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        )
        dag = DBDagBag().get_dag_for_run(dag_run, session=session) if dag_run else None
        if dag_run is None or dag is None:
            raise OwlError(
                ErrorKind.BAD_CONF,
                f"This Airflow has no DagRun {run_id!r} of DAG {dag_id!r}: is its database the "
                "blackboard's?",
            )
        session.add(
            Log(
                event=EVENT,
                owner=by,
                owner_display_name=by,
                dag_id=dag_id,
                run_id=run_id,
                extra=json.dumps({"task_ids": None if tasks is None else list(tasks)}),
            )
        )
        cleared = dag.clear(
            run_id=run_id,
            task_ids=None if tasks is None else list(tasks),
            session=session,
        )
        return int(cleared)
