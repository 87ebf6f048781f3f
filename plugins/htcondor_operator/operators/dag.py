"""``HTCondorDagOperator``: submits one DAGMan workflow and knows it again after any restart."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from htcondor_operator import vocabulary
from htcondor_operator.blackboard import rescues, runs
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.dagman.attempt_plan import Action
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import (
    ERROR_SENTENCES,
    AttemptKind,
    AttemptState,
    ErrorKind,
    OwlError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg2.extensions import cursor as Cursor

LIVE_STATES = frozenset({AttemptState.LIVE, AttemptState.DONE, AttemptState.FAILED})


class HTCondorDagOperator(BaseOperator):
    """Launch a DAGMan workflow: from a template or from any ``.dag`` file.

    The same DAG run is submitted once, however often the task is retried: a retry attaches to
    what is in the queue, and rescues what has failed. Under
    :class:`~htcondor_operator.executors.htcondor.HTCondorExecutor` the launch costs no worker
    process; under any other executor, and in ``dag.test()``, :meth:`execute` does the same.

    Parameters
    ----------
    workflow
        Name of a template (the folder's name). Either this or `dag_file`.
    dag_file
        Absolute path of a DAGMan file on the access point.
    dataset
        Name of the dataset; by default the DAG run's conf says it.
    params_defaults
        Values of template parameters that the conf does not give.
    wait_for_completion
        Wait for DAGMan's end and fail with it; otherwise the task ends once DAGMan is in the queue.
    poll_s
        Seconds between looks at the blackboard.
    """

    template_fields: Sequence[str] = ("workflow", "dag_file", "dataset", "params_defaults")
    ui_color = "#d9e6f2"

    def __init__(
        self,
        *,
        workflow: str | None = None,
        dag_file: str | None = None,
        dataset: str | None = None,
        params_defaults: Mapping[str, Any] | None = None,
        wait_for_completion: bool = False,
        poll_s: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workflow = workflow
        self.dag_file = dag_file
        self.dataset = dataset
        self.params_defaults = dict(params_defaults or {})
        self.wait_for_completion = wait_for_completion
        self.poll_s = poll_s

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask the gateway for the run and wait until DAGMan has it.

        Raises
        ------
        AirflowFailException
            The request or the submission was refused: field, value and fix are in the message.
        """
        try:
            return self._launch(context)
        except OwlError as error:
            raise AirflowFailException(f"{error.kind.value}: {error.message}") from error

    def _launch(self, context: Context) -> dict[str, Any]:
        settings = Settings.from_environment()
        with closing(connect(settings, application="owl launch")) as connection:
            with connection, connection.cursor() as cur:
                run_key = self._ensure_run(cur, context)
                self._ensure_attempt(cur, run_key, str(context["ti"].id))
            while True:
                with connection, connection.cursor() as cur:
                    state = self._attempt(cur, run_key)
                if self._is_enough(state):
                    return {key: state[key] for key in ("run_key", "attempt", "cluster")}
                time.sleep(self.poll_s)

    def _ensure_run(self, cur: Cursor, context: Context) -> int:
        dag_run = context["dag_run"]
        params = {**self.params_defaults, **(dag_run.conf or {})}
        dataset = vocabulary.dataset_name(self.dataset or params.get("dataset"))
        if (self.workflow is None) == (self.dag_file is None):
            raise OwlError(ErrorKind.BAD_CONF, "give either workflow or dag_file, not both or none")
        if self.dag_file is not None:
            params = {"dag_file": self.dag_file}
        own = {k: v for k, v in params.items() if k not in {"dataset", "priority"}}
        return runs.ensure_run(
            cur,
            dag_id=str(dag_run.dag_id),
            run_id=str(dag_run.run_id),
            workflow=vocabulary.workflow_name(self.workflow or "dag_file"),
            dataset=dataset,
            launch_task_id=self.task_id,
            priority=vocabulary.priority(params.get("priority") or 0),
            params=own,
        )

    @staticmethod
    def _ensure_attempt(cur: Cursor, run_key: int, ti_id: str) -> None:
        run = runs.lock_runs(cur, [run_key])[run_key]
        if run.attempt_state is None:
            runs.request_attempt(cur, run_key, kind=AttemptKind.FIRST)
        elif run.attempt_state.is_final and run.launch_ti_id != ti_id:
            if run.graph is None:
                runs.request_attempt(cur, run_key, kind=AttemptKind.FRESH)
            else:
                nodes = runs.load_nodes(cur, run_key, run.attempt)
                plan = rescues.plan(cur, run, nodes, ())
                if plan.action is Action.NEW:
                    rescues.write(cur, run, plan, nodes, identities={}, reason="launch retried")
        cur.execute(
            "UPDATE owl_run SET launch_ti_id = %(ti)s::uuid WHERE run_key = %(run)s",
            {"ti": ti_id, "run": run_key},
        )

    @staticmethod
    def _attempt(cur: Cursor, run_key: int) -> dict[str, Any]:
        cur.execute(
            """
            SELECT r.run_key, a.attempt, a.state, a.cluster, a.error_kind, a.error_message,
                   r.dag_file
            FROM owl_run r JOIN owl_attempt a
              ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
            WHERE r.run_key = %(run)s
            """,
            {"run": run_key},
        )
        return named_rows(cur)[0]

    def _is_enough(self, state: Mapping[str, Any]) -> bool:
        attempt_state = AttemptState(state["state"])
        if attempt_state is AttemptState.REFUSED:
            kind = ErrorKind(state["error_kind"] or ErrorKind.INTERNAL)
            raise AirflowFailException(
                f"{kind.value}: {state['error_message']} {ERROR_SENTENCES[kind]}"
            )
        if not self.wait_for_completion:
            return attempt_state in LIVE_STATES or attempt_state.is_final
        if attempt_state in {AttemptState.FAILED, AttemptState.REMOVED}:
            raise AirflowFailException(
                f"DAGMan {state['cluster']} of attempt {state['attempt']} ended: "
                f"{attempt_state.value}; {state['dag_file']}.dagman.out says why"
            )
        return attempt_state.is_final
