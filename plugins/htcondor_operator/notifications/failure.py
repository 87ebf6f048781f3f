"""``HTCondorFailureNotifier``: says which dataset failed where, why, and where to read on."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2
from airflow.sdk import BaseNotifier

from htcondor_operator.blackboard.connection import connect
from htcondor_operator.exit_codes import describe_exit, describe_signal
from htcondor_operator.hooks.htcondor import HTCondorHook
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ERROR_SENTENCES, ErrorKind, OwlError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from psycopg2.extensions import connection as PgConnection
    from psycopg2.extensions import cursor as Cursor

log = logging.getLogger("htcondor_operator.failure")


@dataclass(frozen=True)
class Failure:
    """What the blackboard knows about a failed task."""

    dag_id: str
    run_id: str
    task_id: str
    workflow: str | None = None
    dataset: str | None = None
    attempt: int | None = None
    cluster: int | None = None
    run_dir: str | None = None
    error_kind: str | None = None
    error_message: str | None = None
    node: str | None = None
    state: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    hold_reason: str | None = None
    host: str | None = None
    out_path: str | None = None
    err_path: str | None = None
    log_path: str | None = None

    @property
    def exit(self) -> tuple[str, str]:
        """Name and sentence of how it ended."""
        if self.exit_signal:
            return describe_signal(self.exit_signal)
        if self.exit_code:
            return describe_exit(self.exit_code)
        if self.error_kind:
            sentence = ERROR_SENTENCES.get(ErrorKind(self.error_kind), "")
            return self.error_kind, f"{self.error_message or ''} {sentence}".strip()
        return self.state or "unknown", self.reason or "The blackboard does not say why."

    @property
    def subject(self) -> str:
        """One line."""
        name = self.exit[0]
        where = f"{self.node or self.task_id} failed"
        return f"{self.dataset or self.run_id}: {where} ({name}) in {self.workflow or self.dag_id}"

    @property
    def text(self) -> str:
        """The whole message."""
        name, sentence = self.exit
        lines = (
            ("dataset", self.dataset),
            ("node", self.node),
            ("exit code", self.exit_code),
            ("signal", self.exit_signal),
            ("meaning", f"{name}: {sentence}"),
            ("reason", self.reason),
            ("hold reason", self.hold_reason),
            ("host", self.host),
            ("output", self.out_path),
            ("error", self.err_path),
            ("job log", self.log_path),
            ("run folder", self.run_dir),
            ("attempt", self.attempt and f"{self.attempt} (DAGMan cluster {self.cluster})"),
            ("Airflow", f"{self.dag_id} / {self.run_id} / {self.task_id}"),
        )
        return "\n".join([self.subject, *(f"  {key}: {v}" for key, v in lines if v is not None)])


_LOOK = """
SELECT r.workflow, r.dataset, a.attempt, a.cluster, r.run_dir, a.error_kind, a.error_message,
       n.node, n.state, n.reason, n.exit_code, n.exit_signal, n.hold_reason, n.host,
       n.out_path, n.err_path, n.log_path
FROM owl_run r
LEFT JOIN owl_node n ON n.run_key = r.run_key AND n.task_id = %(task_id)s
                    AND (n.attempt = r.latest_attempt OR n.ti_id = %(ti_id)s::uuid)
LEFT JOIN owl_attempt a ON a.run_key = r.run_key
                       AND a.attempt = coalesce(n.attempt,
                             -- A launch fails by an attempt that was refused.
                             (SELECT max(x.attempt) FROM owl_attempt x
                              WHERE x.run_key = r.run_key AND x.error_kind IS NOT NULL),
                             r.latest_attempt)
WHERE r.dag_id = %(dag_id)s AND r.run_id = %(run_id)s
ORDER BY (n.ti_id = %(ti_id)s::uuid) IS TRUE DESC,
         n.state IN ('failed', 'removed') DESC NULLS LAST,
         n.attempt DESC NULLS LAST, n.try DESC NULLS LAST LIMIT 1
"""


def load_failure(
    cursor: Cursor, dag_id: str, run_id: str, task_id: str, ti_id: str | None = None
) -> Failure:
    """Ask the blackboard about a failed task, a launch as well as a node.

    Parameters
    ----------
    ti_id
        The task instance that failed: callbacks come late, and a rescue may have begun meanwhile.
        Without it the latest attempt is meant.
    """
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "ti_id": ti_id}
    cursor.execute(_LOOK, names)
    row = cursor.fetchone()
    columns = [column.name for column in cursor.description or ()]
    known: dict[str, Any] = dict(zip(columns, row or (), strict=False))
    return Failure(dag_id, run_id, task_id, **known)


class HTCondorFailureNotifier(BaseNotifier):
    """Tell of a failed launch or node: dataset, node, meaning of the exit code, log files.

    Use it as ``on_failure_callback``. The message goes to the log, and to whatever notifier the
    site has: ``HTCondorFailureNotifier(then=SlackNotifier(text="{{ htcondor.text }}"))``.

    Parameters
    ----------
    then
        Any notifier or callback; its context has the :class:`Failure` as ``htcondor``.
    htcondor_conn_id
        Connection of type ``htcondor``; by default the process's ``OWL_DATABASE_URL``.
    """

    template_fields = ()

    def __init__(
        self, *, then: Any = None, htcondor_conn_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.then = then
        self.htcondor_conn_id = htcondor_conn_id

    def notify(self, context: Context) -> None:
        """Build the message and pass it on."""
        failure = self.failure(context)
        log.error("%s", failure.text)
        if self.then is not None:
            self.then({**context, "htcondor": failure})

    def failure(self, context: Context) -> Failure:
        """Return what is known; a blackboard that does not answer must not hide the failure."""
        ti = context["ti"]
        try:
            with closing(self._connect()) as connection, connection.cursor() as cursor:
                which = getattr(ti, "id", None)
                return load_failure(
                    cursor, ti.dag_id, ti.run_id, ti.task_id, None if which is None else str(which)
                )
        except (psycopg2.Error, OwlError) as error:
            reason = f"the blackboard does not answer: {str(error).strip()}"
            return Failure(ti.dag_id, ti.run_id, ti.task_id, reason=reason)

    def _connect(self) -> PgConnection:
        if self.htcondor_conn_id is not None:
            return HTCondorHook(self.htcondor_conn_id).get_conn()
        return connect(Settings.from_environment(), application="notifier")
