"""``HTCondorExecutor``: mirrors DAGMan's nodes and hands launches over, without worker processes.

It is stateless: everything it does in :meth:`HTCondorExecutor.sync` follows from the blackboard
and Airflow's tables, so a scheduler may die at any point and a second one may stand by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.executors.base_executor import BaseExecutor
from airflow.models.taskinstancekey import TaskInstanceKey

from htcondor_operator.executors import clears, launches, marks, task_mirror

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecuteTask
    from airflow.models.taskinstance import TaskInstance
    from psycopg2.extensions import cursor as Cursor
    from sqlalchemy.orm import Session

LOCK = 7305_2026
"""Advisory lock: only one scheduler mirrors at a time."""

OVERLAP = timedelta(seconds=20)
"""Rows are stamped when their transaction begins, so late commits are looked for again."""

FULL_PASS_S = 60.0
CLEARED_PASS_S = 2.0
ABANDONED_AFTER_S = 10.0
MARKS_EVERY_S = 3.0
OPERATORS = frozenset({launches.LAUNCH_OPERATOR, "HTCondorNodeOperator"})


class HTCondorExecutor(BaseExecutor):
    """Executor for the launch and node tasks of OWL's DAGs."""

    supports_ad_hoc_ti_run = False
    serve_logs = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen: datetime | None = None
        self._full_at = 0.0
        self._marks_at = 0.0
        self._cleared_at = 0.0

    @property
    def alias(self) -> str:
        """Name under which Airflow writes this executor into task instances."""
        if self.name is not None:
            return str(self.name.alias or self.name.module_path)
        return "HTCondorExecutor"

    @property
    def slots_occupied(self) -> int:
        """None: a node occupies a slot of the pool, not one of Airflow's."""
        return 0

    @property
    def slots_available(self) -> int:
        """Return how many tasks may be queued in one scheduler loop."""
        return int(self.parallelism)

    def queue_workload(self, workload: ExecuteTask, session: Session) -> None:
        """Take notice of nothing: :meth:`sync` finds queued task instances in the database."""

    def trigger_tasks(self, open_slots: int) -> None:
        """Start nothing: HTCondor does."""

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:  # noqa: ARG002
        """Adopt all: the blackboard knows what they do."""
        return []

    def get_task_log(self, ti: TaskInstance, try_number: int) -> tuple[list[str], list[str]]:  # noqa: ARG002
        """Name the source of a running node's log, which is read as remote log (task_logs.py).

        Without a source Airflow would ask the execute machine for a log server.
        """
        return ["HTCondor job"], []

    def end(self) -> None:
        """Return at once: nothing runs here."""

    def terminate(self) -> None:
        """Return at once: nothing runs here."""

    def sync(self) -> None:
        """Mirror the blackboard, hand launches over and answer clears.

        Every step is a transaction of its own, so that a deadlock with a clear in the API
        server costs one step of one loop.
        """
        from airflow.utils.session import create_session
        from sqlalchemy.exc import DBAPIError

        started = datetime.now(UTC)
        full = time.monotonic() - self._full_at > FULL_PASS_S
        since = datetime(1970, 1, 1, tzinfo=UTC) if full else (self._seen or started) - OVERLAP
        steps: tuple[Callable[[Session, Cursor], None], ...] = (
            self._launch,
            lambda session, cur: self._answer_clears(session, cur, full=full),
            lambda session, cur: self._mirror(session, cur, since),
            lambda _session, cur: self._end_marked(cur),
            lambda _session, cur: self._wake(cur),
        )
        complete = True
        for step in steps:
            try:
                with create_session() as session:
                    cur = session.connection().connection.cursor()
                    cur.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,))
                    if not cur.fetchone()[0]:
                        return
                    step(session, cur)
            except DBAPIError as error:
                complete = False
                self.log.warning("sync is tried again in the next loop: %s", error)
            except Exception as error:
                if getattr(error, "pgcode", None) is None:
                    raise
                complete = False
                self.log.warning("sync is tried again in the next loop: %s", error)
        if complete:
            self._seen = started
            if full:
                self._full_at = time.monotonic()

    def _launch(self, session: Session, cur: Cursor) -> None:
        task_mirror.detach_queued(cur, self.alias)
        for launch in launches.new_launches(session, self.alias):
            launches.request_launch(cur, launch)
        launches.start_bound_launches(cur, self.alias)

    def _answer_clears(self, session: Session, cur: Cursor, *, full: bool) -> None:
        for run_key in clears.runs_with_clears(cur, self.alias, all_marks=full):
            action = clears.answer(session, cur, run_key)
            self.log.info("run %s was cleared: %s", run_key, action)

    def _end_marked(self, cur: Cursor) -> None:
        if time.monotonic() - self._marks_at > MARKS_EVERY_S:
            self._marks_at = time.monotonic()
            marks.end_marked_jobs(cur)

    def _wake(self, cur: Cursor) -> None:
        now = time.monotonic()
        cleared = now - self._cleared_at > CLEARED_PASS_S
        if found := task_mirror.runs_to_look_at(cur, cleared=cleared):
            task_mirror.wake_runs(cur, sorted(found))
        if cleared:
            self._cleared_at = now

    def _mirror(self, session: Session, cur: Cursor, since: datetime) -> None:
        mine = self.alias
        job_id = int(self.job_id) if self.job_id is not None else None
        task_mirror.bind_new_rows(cur, mine)
        clears.free_spared(session, cur, since)
        task_mirror.skip_absent(cur)
        task_mirror.finish_launches(cur)
        task_mirror.mirror_queued(cur, mine, since)
        task_mirror.mirror_running(cur, mine, since)
        task_mirror.mirror_requeued(cur, mine, since)
        task_mirror.mirror_success(cur, mine, since)
        failures = task_mirror.claim_failed(cur, mine, since, job_id)
        failures += task_mirror.claim_abandoned(cur, mine, job_id, ABANDONED_AFTER_S)
        failures += task_mirror.claim_refused_launches(cur, job_id)
        failures += task_mirror.claim_foreign(cur, mine, job_id, OPERATORS)
        task_mirror.true_times_of_failures(cur, mine, since)
        for failure in failures:
            key = TaskInstanceKey(
                failure.dag_id,
                failure.task_id,
                failure.run_id,
                failure.try_number,
                failure.map_index,
            )
            self.fail(key, info=failure.message)
