"""Pause a DAG as Airflow's own page does it."""

from __future__ import annotations

from htcondor_operator.vocabulary import ErrorKind, OwlError

EVENT = "owl_pause"


def pause(dag_id: str, *, paused: bool, by: str) -> None:
    """Pause or unpause a DAG, and tell Airflow's audit log who did.

    Raises
    ------
    OwlError
        Airflow has no such DAG (its file may have an import error).
    """
    from airflow.models.dag import DagModel
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    with create_session() as session:
        model = session.get(DagModel, dag_id)
        if model is None:
            raise OwlError(ErrorKind.BAD_CONF, f"Airflow has no DAG {dag_id!r}; is it imported?")
        model.is_paused = paused
        session.add(
            Log(
                event=EVENT,
                owner=by,
                owner_display_name=by,
                dag_id=dag_id,
                extra=f'{{"is_paused": {str(paused).lower()}}}',
            )
        )
