"""``HTCondorExecutor``: mirrors DAGMan's nodes and hands launches over, without worker processes.

It is stateless: everything it does in :meth:`HTCondorExecutor.sync` follows from the blackboard
and Airflow's tables, so a scheduler may die at any point and a second one may stand by.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.executors.base_executor import BaseExecutor
from airflow.models.taskinstancekey import TaskInstanceKey
from psycopg2.errors import LockNotAvailable

from htcondor_operator.blackboard import daemons
from htcondor_operator.executors import clears, launches, marks, task_mirror, turns, waiting

if TYPE_CHECKING:
    from airflow.executors.workloads import ExecuteTask
    from airflow.models.taskinstance import TaskInstance
    from psycopg2.extensions import cursor as Cursor
    from sqlalchemy.orm import Session

LOCK = 7305_2026
"""Advisory lock: only one scheduler mirrors at a time."""

LOCK_MS = 400
"""Less than PostgreSQL waits before it looks for a deadlock (1 s): in one with Airflow's own clear,
which locks nothing before it writes, the person wins and the executor tries again."""

OVERLAP = timedelta(seconds=20)
"""Rows are stamped when their transaction begins, so late commits are looked for again."""

RECENT = timedelta(minutes=5)
FULL_PASS_S = 60.0
CLEARED_PASS_S = 2.0
ABANDONED_AFTER_S = 10.0
MARKS_EVERY_S = 3.0
BEAT_EVERY_S = 5.0
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
        self._beat_at = 0.0
        self._cleared_at = 0.0
        self._cleared: set[turns.RunKey] = set()
        # What depends on their failed nodes is the scheduler's to decide.
        self._failed: set[turns.RunKey] = set()

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

        Every step is a transaction of its own, which does not wait long for anybody's lock: a
        clear in the API server costs one step of one loop. Nothing is raised: the scheduler would
        end with it, and with it all other DAGs of the site (seen in Airflow 3.3.2).
        """
        from airflow.utils.session import create_session
        from sqlalchemy.exc import DBAPIError

        started = datetime.now(UTC)
        full = time.monotonic() - self._full_at > FULL_PASS_S
        since = datetime(1970, 1, 1, tzinfo=UTC) if full else (self._seen or started) - OVERLAP
        steps: tuple[Callable[[Session, Cursor], None], ...] = (
            self._launch,
            lambda _session, cur: self._reopen(cur, since, full=full),
            lambda session, cur: self._answer_clears(session, cur, full=full),
            lambda session, cur: self._mirror(session, cur, since),
            lambda _session, cur: self._end_marked(cur),
            lambda _session, cur: self._wake(cur),
            self._attach,
        )
        problems: list[str] = []
        busy = False
        for step in steps:
            try:
                with create_session() as session:
                    cur = session.connection().connection.cursor()
                    cur.execute("SET LOCAL lock_timeout = %s", (LOCK_MS,))
                    cur.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,))
                    if not cur.fetchone()[0]:
                        return
                    step(session, cur)
            except Exception as error:
                if _is_locked(error):
                    busy = True
                    self.log.info("somebody else writes there; again in the next loop: %s", error)
                    continue
                problems.append(str(error).strip())
                if isinstance(error, DBAPIError) or getattr(error, "pgcode", None):
                    self.log.warning("sync is tried again in the next loop: %s", error)
                else:
                    self.log.exception("sync is tried again in the next loop")
        if not problems and not busy:
            self._seen = started
            if full:
                self._full_at = time.monotonic()
        self._beat(problems)

    def _beat(self, problems: list[str]) -> None:
        """Say on the blackboard how the mirroring goes: ``owl status`` and the hook ask there."""
        from airflow.utils.session import create_session

        if not problems and time.monotonic() - self._beat_at < BEAT_EVERY_S:
            return
        self._beat_at = time.monotonic()
        try:
            with create_session() as session:
                daemons.beat(
                    session.connection().connection.cursor(),
                    name="executor",
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    state="failing" if problems else "running",
                    detail={"error": problems[0][:500]} if problems else {},
                )
        except Exception as error:
            self.log.warning("no heartbeat: %s", error)

    def _launch(self, session: Session, cur: Cursor) -> None:
        waiting.leave_to_dag_test(cur, self.alias)
        waiting.detach_queued(cur, self.alias)
        for launch in launches.new_launches(session, self.alias):
            launches.request_launch(cur, launch)
        launches.start_bound_launches(cur, self.alias)

    def _reopen(self, cur: Cursor, since: datetime, *, full: bool) -> None:
        recent = max(since, datetime.now(UTC) - RECENT)
        reopened = turns.reopen_early_ends(cur, recent, all_failed=full)
        if reopened:
            self.log.warning("%s DAG runs had ended before their DAGMan: opened again", reopened)

    def _answer_clears(self, session: Session, cur: Cursor, *, full: bool) -> None:
        for run_key in clears.runs_with_clears(cur, self.alias, all_marks=full):
            try:
                with session.begin_nested():
                    action = clears.answer(session, cur, run_key)
            except Exception:  # one bad run must not stop the others
                self.log.exception("the clear of run %s is answered in the next loop", run_key)
            else:
                self.log.info("run %s was cleared: %s", run_key, action)

    def _end_marked(self, cur: Cursor) -> None:
        if time.monotonic() - self._marks_at > MARKS_EVERY_S:
            self._marks_at = time.monotonic()
            marks.end_marked_jobs(cur)

    def _wake(self, cur: Cursor) -> None:
        """Have the scheduler look where it has something to decide (see ``wake_runs``)."""
        wanted = self._failed | turns.ended_runs(cur) | turns.ordinary_runs(cur)
        if time.monotonic() - self._cleared_at > CLEARED_PASS_S:
            self._cleared = turns.cleared_runs(cur)
            wanted |= self._cleared
            self._cleared_at = time.monotonic()
        if wanted:
            turns.wake_runs(cur, sorted(wanted))
        turns.set_turns(turns.waiting_runs(cur))
        self._failed = set()

    def _attach(self, session: Session, cur: Cursor) -> None:
        """Answer clears of what has not started: it may start before the scheduler looks."""
        cleared, self._cleared = self._cleared, set()
        for dag_run in sorted(cleared):
            try:
                with session.begin_nested():
                    attached = clears.attach_unstarted(cur, dag_run)
            except Exception:  # one bad run must not stop the others
                self.log.exception("the clear of %s is answered by way of the scheduler", dag_run)
            else:
                if attached:
                    self.log.info("%s was cleared before its nodes started: attach", dag_run)

    def _mirror(self, session: Session, cur: Cursor, since: datetime) -> None:
        mine = self.alias
        job_id = int(self.job_id) if self.job_id is not None else None
        task_mirror.bind_new_rows(cur, mine)
        clears.free_spared(session, cur, since)
        task_mirror.skip_absent(cur)
        task_mirror.finish_launches(cur)
        task_mirror.mirror_running(cur, mine, since)
        task_mirror.mirror_requeued(cur, mine, since)
        task_mirror.mirror_success(cur, mine, since)
        waiting.mirror_queued(cur, mine, since)
        # Without the full pass over all history: what it misses, the scheduler finds.
        waiting.mirror_ready(cur, mine, max(since, datetime.now(UTC) - RECENT))
        failures = task_mirror.claim_failed(cur, mine, since, job_id)
        failures += task_mirror.claim_abandoned(cur, mine, job_id, ABANDONED_AFTER_S)
        failures += task_mirror.claim_refused_launches(cur, job_id)
        failures += task_mirror.claim_foreign(cur, mine, job_id, OPERATORS)
        task_mirror.true_times_of_failures(cur, mine, since)
        for failure in failures:
            self._failed.add((failure.dag_id, failure.run_id))
            key = TaskInstanceKey(
                failure.dag_id,
                failure.task_id,
                failure.run_id,
                failure.try_number,
                failure.map_index,
            )
            self.fail(key, info=failure.message)


def _is_locked(error: Exception) -> bool:
    """Whether a statement gave up because of another transaction's lock."""
    return isinstance(getattr(error, "orig", error), LockNotAvailable)
