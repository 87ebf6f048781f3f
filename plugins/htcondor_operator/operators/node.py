"""``HTCondorNodeOperator``: one DAGMan node as an Airflow task."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from htcondor_operator.blackboard import rescues, runs
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.dagman.attempt_plan import Action
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import AttemptState, NodeState

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg2.extensions import cursor as Cursor


class HTCondorNodeOperator(BaseOperator):
    """Stand for a node of the workflow that the launch task of the same DAG run submitted.

    Under the HTCondorExecutor this task never runs: the executor mirrors the node. Under any
    other executor, and in ``dag.test()``, :meth:`execute` waits for the node and ends as it does;
    a task instance that was cleared after its node had run asks for the rescue.

    Parameters
    ----------
    node
        Name of the DAGMan node.
    poll_s
        Seconds between looks at the blackboard.
    """

    ui_color = "#e8f0d8"

    def __init__(self, *, node: str, poll_s: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.poll_s = poll_s

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for the node.

        Raises
        ------
        AirflowFailException
            The node failed, was removed, or its DAGMan ended without running it.
        """
        dag_run = context["dag_run"]
        settings = Settings.from_environment()
        with closing(connect(settings, application="owl node")) as connection:
            with connection, connection.cursor() as cur:
                run_key = self._run_key(cur, str(dag_run.dag_id), str(dag_run.run_id))
                self._bind(cur, run_key, str(context["ti"].id))
            while True:
                with connection, connection.cursor() as cur:
                    row = self._look(cur, run_key)
                if self._has_ended(row):
                    return {key: row[key] for key in ("attempt", "cluster", "host", "exit_code")}
                time.sleep(self.poll_s)

    def _run_key(self, cur: Cursor, dag_id: str, run_id: str) -> int:
        cur.execute(
            "SELECT run_key FROM owl_run WHERE dag_id = %(dag)s AND run_id = %(run)s",
            {"dag": dag_id, "run": run_id},
        )
        row = cur.fetchone()
        if row is None:
            raise AirflowFailException(
                f"node {self.node}: nothing was launched for run {run_id}; clear the launch task"
            )
        return int(row[0])

    def _bind(self, cur: Cursor, run_key: int, ti_id: str) -> None:
        run = runs.lock_runs(cur, [run_key])[run_key]
        nodes = runs.load_nodes(cur, run_key, run.attempt)
        row = nodes.get(self.node)
        if row is None or row.ti_id == ti_id:
            return
        if row.ti_id is not None and run.graph is not None:
            plan = rescues.plan(cur, run, nodes, {self.node})
            if plan.action in {Action.NEW, Action.WIDEN}:
                identities = {n: r.ti_id for n, r in nodes.items() if r.ti_id and n in plan.done}
                rescues.write(
                    cur,
                    run,
                    plan,
                    nodes,
                    identities={**identities, self.node: ti_id},
                    reason=f"node {self.node} was run again in Airflow",
                )
                return
        rescues.rebind(cur, run, {self.node: ti_id})

    def _look(self, cur: Cursor, run_key: int) -> dict[str, Any]:
        cur.execute(
            """
            SELECT a.attempt, a.state AS attempt_state, a.error_message, n.state, n.reason,
                   n.exit_code, n.cluster, n.host, n.out_path, n.err_path, n.hold_reason,
                   n.try, n.retries
            FROM owl_run r
            JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
            LEFT JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = a.attempt
                                AND n.node = %(node)s
            WHERE r.run_key = %(run)s ORDER BY n.try DESC LIMIT 1
            """,
            {"node": self.node, "run": run_key},
        )
        return named_rows(cur)[0]

    def _has_ended(self, row: dict[str, Any]) -> bool:
        over = AttemptState(row["attempt_state"]).is_final
        state = NodeState(row["state"] or NodeState.UNKNOWN)
        if state is NodeState.DONE:
            return True
        if state in {NodeState.FAILED, NodeState.REMOVED} and (
            over or row["try"] >= row["retries"]
        ):
            raise AirflowFailException(
                f"node {self.node} {state.value}: {row['reason'] or ''} exit code "
                f"{row['exit_code']} on {row['host']}; output {row['out_path']}, "
                f"error {row['err_path']}"
            )
        if over:
            raise AirflowFailException(
                f"node {self.node} is {state.value} and DAGMan has ended "
                f"({row['attempt_state']}): {row['error_message'] or 'an earlier node failed'}"
            )
        return False
