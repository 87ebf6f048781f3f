"""Ends DAG runs that have nothing in HTCondor, through Airflow's own code."""

from __future__ import annotations

import json
from collections.abc import Collection

EVENT = "owl_cancel"


def stop(runs: Collection[tuple[str, str]], *, by: str, success: bool = False) -> int:
    """Mark DAG runs as failed (or successful), as the UI does, and tell Airflow's audit log.

    Parameters
    ----------
    runs
        (DAG id, run id); those that Airflow does not know or that are over are left alone.

    Returns
    -------
    int
        How many were ended.
    """
    from airflow.api.common.mark_tasks import (
        set_dag_run_state_to_failed,
        set_dag_run_state_to_success,
    )
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    ended = 0
    bag = DBDagBag()
    for dag_id, run_id in runs:
        with create_session() as session:
            dag_run = session.scalar(
                select(DagRun).where(
                    DagRun.dag_id == dag_id,
                    DagRun.run_id == run_id,
                    DagRun.state.in_(("queued", "running")),
                )
            )
            dag = bag.get_dag_for_run(dag_run, session=session) if dag_run else None
            if dag is None:
                continue
            session.add(
                Log(
                    event=EVENT,
                    owner=by,
                    owner_display_name=by,
                    dag_id=dag_id,
                    run_id=run_id,
                    extra=json.dumps({}),
                )
            )
            mark = set_dag_run_state_to_success if success else set_dag_run_state_to_failed
            mark(dag=dag, run_id=run_id, commit=True, session=session)
            ended += 1
    return ended
