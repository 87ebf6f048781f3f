"""The side through Airflow: runs triggered by its REST API, and what its tables tell afterwards."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from htcondor_operator.bench.figures import NodeKey
from htcondor_operator.launcher.api import Api

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

CALLERS = 4
"""Concurrent REST calls, as of a few operators' scripts."""


def trigger(api: Api, dag: str, datasets: Collection[str]) -> None:
    """Make one DagRun per dataset."""
    api.call("GET", f"/dags/{dag}")  # logs in, once for all callers
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda name: api.trigger(dag, run_id(name), {"dataset": name}), datasets))


def run_id(dataset: str) -> str:
    """Return the id of a dataset's DagRun."""
    return f"bench__{dataset}"


def unfinished(cur: Cursor, dag: str, datasets: Collection[str]) -> int:
    """Return how many of the datasets' DagRuns have not ended."""
    cur.execute(
        """
        SELECT count(*) FROM dag_run WHERE dag_id = %(dag)s AND run_id = ANY(%(runs)s)
           AND state IN ('success', 'failed')
        """,
        {"dag": dag, "runs": [run_id(name) for name in datasets]},
    )
    row = cur.fetchone()
    return len(datasets) - int(row[0] if row else 0)


def good_nodes(cur: Cursor, dag: str, datasets: Collection[str]) -> set[NodeKey]:
    """Return the nodes that are done on the blackboard and successful in Airflow."""
    cur.execute(
        """
        SELECT r.dataset, n.node
        FROM owl_run r
        JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
        JOIN task_instance ti ON ti.dag_id = r.dag_id AND ti.run_id = r.run_id
                             AND ti.task_id = n.task_id
        WHERE r.dag_id = %(dag)s AND r.run_id = ANY(%(runs)s)
          AND n.state = 'done' AND ti.state = 'success'
        """,
        {"dag": dag, "runs": [run_id(name) for name in datasets]},
    )
    return {NodeKey(*row) for row in cur.fetchall()}


def has_commit_times(cur: Cursor) -> bool:
    """Whether the server knows when a row became visible (``track_commit_timestamp``)."""
    cur.execute("SHOW track_commit_timestamp")
    row = cur.fetchone()
    return row is not None and row[0] == "on"


def mirror_lags(cur: Cursor, dag: str, datasets: Collection[str], *, exact: bool) -> list[float]:
    """Return the seconds from every event to its row on the blackboard.

    `exact` takes the moment of the commit, else that of the transaction's beginning counts.
    """
    seen = "pg_xact_commit_timestamp(e.xmin)" if exact else "e.recorded_at"
    cur.execute(
        f"""
        SELECT extract(epoch FROM {seen} - e.event_at)::float8
        FROM owl_event e JOIN owl_run r USING (run_key)
        WHERE r.dag_id = %(dag)s AND r.run_id = ANY(%(runs)s)
        """,  # noqa: S608 - one of two constants
        {"dag": dag, "runs": [run_id(name) for name in datasets]},
    )
    return [max(0.0, row[0]) for row in cur.fetchall()]


def task_instance_lags(
    cur: Cursor, dag: str, datasets: Collection[str], *, exact: bool
) -> list[float]:
    """Return the seconds from every node's end to its task instance's success."""
    seen = "pg_xact_commit_timestamp(ti.xmin)" if exact else "ti.updated_at"
    cur.execute(
        f"""
        SELECT extract(epoch FROM {seen} - n.ended_at)::float8
        FROM owl_run r
        JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
        JOIN task_instance ti ON ti.id = n.ti_id
        WHERE r.dag_id = %(dag)s AND r.run_id = ANY(%(runs)s)
          AND n.state = 'done' AND ti.state = 'success'
        """,  # noqa: S608 - one of two constants
        {"dag": dag, "runs": [run_id(name) for name in datasets]},
    )
    return [max(0.0, row[0]) for row in cur.fetchall()]
