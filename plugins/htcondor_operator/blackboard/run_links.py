"""What there is to see of a run or of a try of a task: links lead there, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class RunSights:
    """What there is of a run.

    Parameters
    ----------
    workflow
        Its workflow.
    dag_file
        DAGMan's input file, once it has been written.
    products
        Whether the archive has something of this run.
    errors
        Whether a latest run of its workflow has failed, was removed, or is held.
    """

    workflow: str
    dag_file: str | None
    products: bool
    errors: bool


@dataclass(frozen=True)
class NodeTry:
    """A try of a node that has a log."""

    node: str
    attempt: int
    number: int


def run_sights(cur: Cursor, dag_id: str, run_id: str) -> RunSights | None:
    """Return what there is to see; None when the DAG run is not OWL's, or not yet."""
    cur.execute(
        """
        SELECT r.workflow, r.dag_file,
               EXISTS (SELECT 1 FROM owl_product p WHERE p.run_key = r.run_key) AS products,
               EXISTS (SELECT 1 FROM owl_flow_tally t
                        WHERE t.latest AND t.dag_id = r.dag_id AND t.workflow = r.workflow
                          AND t.status IN ('failed', 'held', 'removed') AND t.n > 0) AS errors
          FROM owl_run r WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s
        """,
        {"dag": dag_id, "run": run_id},
    )
    rows = named_rows(cur)
    return RunSights(**rows[0]) if rows else None


def node_try(
    cur: Cursor, dag_id: str, run_id: str, task_id: str, *, map_index: int, try_number: int
) -> NodeTry | None:
    """Return which try of which node a try of a task showed; None when it left no log.

    Airflow's numbers of tries and DAGMan's attempts count different things: what they have in
    common is the identity of the task instance, which Airflow keeps of older tries, too.
    """
    cur.execute(
        """
        WITH shown AS (
            SELECT id FROM task_instance
             WHERE dag_id = %(dag)s AND run_id = %(run)s AND task_id = %(task)s
               AND map_index = %(map)s AND try_number = %(try)s
            UNION ALL
            SELECT task_instance_id FROM task_instance_history
             WHERE dag_id = %(dag)s AND run_id = %(run)s AND task_id = %(task)s
               AND map_index = %(map)s AND try_number = %(try)s)
        SELECT n.node, n.attempt, n.try AS number
          FROM owl_node n JOIN shown ON n.ti_id = shown.id
         WHERE n.submitted_at IS NOT NULL AND n.carried_from IS NULL
           AND coalesce(n.out_path, n.err_path, n.log_path) IS NOT NULL
         ORDER BY n.attempt DESC, n.try DESC LIMIT 1
        """,
        {"dag": dag_id, "run": run_id, "task": task_id, "map": map_index, "try": try_number},
    )
    rows = named_rows(cur)
    return NodeTry(**rows[0]) if rows else None
