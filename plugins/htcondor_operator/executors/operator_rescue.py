"""A rescue of one failed run for campaigns and policies: what ``owl rescue DATASET`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htcondor_operator.blackboard.rescue_preview import preview
from htcondor_operator.executors import operator_clear
from htcondor_operator.vocabulary import OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

    from htcondor_operator.blackboard.campaign_truth import FailedMember


def rescue(
    connection: PgConnection, run: FailedMember, *, by: str, dry_run: bool = False
) -> str | None:
    """Ask for a failed run's rescue; return why it cannot be, or None.

    Parameters
    ----------
    connection
        Not in autocommit: the look at the run is a transaction of its own.
    run
        A run that has failed; one that was never launched is launched again.
    """
    try:
        tasks = None
        if run.run_key is not None:
            with connection, connection.cursor() as cursor:
                tasks = preview(cursor, run.run_key).tasks
        if not dry_run:
            operator_clear.clear(run.dag_id, run.run_id, tasks, by=by)
    except OwlError as error:
        return error.message
    return None
