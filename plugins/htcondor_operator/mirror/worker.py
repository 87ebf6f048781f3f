"""One mirror at work: one schedd's event log, one database connection, one lease.

Everything that a batch of events changes, and how far the log was read, is one transaction. When
the database is away or the lease is lost, this object is thrown away and a new one goes on from
the last committed place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard import attempt_rows, cursor, queue_check
from htcondor_operator.blackboard.attempt_rows import AttemptKey, AttemptNews
from htcondor_operator.blackboard.cursor import Lag
from htcondor_operator.blackboard.row_locks import lock_with_runs
from htcondor_operator.dagman.events import JobEvent, parse_time
from htcondor_operator.mirror.apply import Applier
from htcondor_operator.mirror.event_log import Batch, EventLogReader
from htcondor_operator.mirror.reconcile import (
    Ad,
    Answer,
    Comparison,
    Findings,
    Inquirer,
    end_moment,
)
from htcondor_operator.mirror.settle import LiveSettler, settle
from htcondor_operator.vocabulary import AttemptState, ErrorKind

log = logging.getLogger(__name__)

BATCH_EVENTS = 2000
_LEASE_RENEWAL_SECONDS = 5.0
_SETTLE_SECONDS = 2.0


@dataclass
class Figures:
    """What a mirror tells about itself."""

    events: int = 0
    ours: int = 0
    batches: int = 0
    seconds: float = 0.0
    corrections: int = 0
    gaps: int = 0
    damaged: int = 0
    lag_p50_s: float | None = None
    lag_p99_s: float | None = None
    at_end: bool = False
    reconciled_at: str | None = None
    schedd_error: str | None = None


@dataclass
class Worker:
    """Applies a log to the blackboard, batch by batch.

    Parameters
    ----------
    connection
        Not in autocommit mode.
    schedd
        The schedd's name, which is also the name of the lease.
    path
        Its event log.
    holder
        Who holds the lease.
    """

    connection: Connection
    schedd: str
    path: Path
    holder: str
    inquirer: Inquirer | None = None
    figures: Figures = field(default_factory=Figures)

    def __post_init__(self) -> None:
        with self.connection, self.connection.cursor() as cur:
            position = cursor.load_position(cur, self.schedd)
        self._reader = EventLogReader(self.path, position)
        self._saved = position
        self._applier = Applier(self.schedd)
        self._comparison = Comparison()
        self._renewed = 0.0
        self._settler = LiveSettler()
        self._settled = 0.0

    def close(self) -> None:
        """Close the log; the connection belongs to the caller."""
        self._reader.close()

    def step(self) -> bool:
        """Apply what is new; return whether there is more at once."""
        answer = self.inquirer.take() if self.inquirer else None
        batch = self._reader.read(BATCH_EVENTS)
        if batch is not None and (batch.events or batch.position != self._saved):
            self._apply(batch)
        elif time.monotonic() - self._renewed > _LEASE_RENEWAL_SECONDS:
            self._renew()
        self._figure(batch)
        if self.figures.at_end and time.monotonic() - self._settled > _SETTLE_SECONDS:
            self._settle_live()
        if answer is not None and self.figures.at_end:
            self._reconcile(answer)
        return batch is not None and not batch.at_end

    def _apply(self, batch: Batch) -> None:
        began = time.perf_counter()
        with self.connection, self.connection.cursor() as cur:
            ours = self._applier.apply(cur, batch.events) if batch.events else 0
            lag = _lag(batch.events)
            cursor.save_position(
                cur,
                self.schedd,
                self.holder,
                batch.position,
                events=len(batch.events),
                event_at=max((event.time for event in batch.events), default=None),
                lag=lag,
            )
        self._saved, self._renewed = batch.position, time.monotonic()
        self.figures.events += len(batch.events)
        self.figures.ours += ours
        self.figures.batches += 1
        self.figures.seconds += time.perf_counter() - began
        if lag is not None:
            self.figures.lag_p50_s, self.figures.lag_p99_s = lag.p50, lag.p99

    def _settle_live(self) -> None:
        with self.connection, self.connection.cursor() as cur:
            live = queue_check.live_attempts(cur, self.schedd)
            if live and self._settler.settle(cur, live):
                attempt_rows.follow_runs(cur, {key.run_key for key in live})
                cur.execute("NOTIFY owl_node")
        self._settled = time.monotonic()

    def _renew(self) -> None:
        with self.connection, self.connection.cursor() as cur:
            rival = cursor.take_lease(cur, self.schedd, str(self.path), self.holder)
        if rival is not None:
            raise cursor.LeaseLost(f"{rival} reads the log of schedd {self.schedd} now")
        self._renewed = time.monotonic()

    def _figure(self, batch: Batch | None) -> None:
        self.figures.at_end = batch is None or batch.at_end
        self.figures.gaps, self.figures.damaged = self._reader.gaps, self._reader.damaged
        if self.inquirer is not None:
            self.figures.schedd_error = self.inquirer.error

    # ------------------------------------------------------- reconciliation

    def _reconcile(self, answer: Answer) -> None:
        with self.connection, self.connection.cursor() as cur:
            if queue_check.unrecorded_attempts(cur):
                attempt_rows.claim_clusters(cur, self.schedd, _claims(answer))
            believed = queue_check.believed_jobs(cur, self.schedd)
            findings = self._comparison.compare(believed, answer)
            ends = _ends(findings)
            lock_with_runs(cur, ends)
            changed = queue_check.correct(cur, findings.corrections)
            ended = attempt_rows.save_attempts(cur, ends)
            settle(cur, ended | set(queue_check.unsettled_attempts(cur, self.schedd)))
            if attempt_rows.follow_runs(cur) or changed or ended:
                cur.execute("NOTIFY owl_node")
        if self.inquirer is not None:
            self.inquirer.ask_about(findings.missing)
        for job, change in findings.corrections:
            log.warning("corrected %s: %s -> %s", job.node, job.state, change)
        self.figures.corrections += changed + len(ended)
        self.figures.reconciled_at = datetime.now(UTC).isoformat(timespec="seconds")


def _lag(events: Sequence[JobEvent]) -> Lag | None:
    if not events:
        return None
    now = time.time()
    ages = sorted(max(0.0, now - event.time.timestamp()) for event in events)
    return Lag(ages[len(ages) // 2], ages[min(len(ages) - 1, int(len(ages) * 0.99))])


def _claims(answer: Answer) -> dict[int, tuple[AttemptKey, str]]:
    return {
        job[0]: (AttemptKey(int(ad["OwlRun"]), int(ad["OwlAttempt"])), str(ad.get("Iwd") or ""))
        for job, ad in answer.queue.items()
        if ad.get("JobUniverse") == 7
        and "DAGManJobId" not in ad
        and isinstance(ad.get("OwlRun"), int)
        and isinstance(ad.get("OwlAttempt"), int)
    }


def _ends(findings: Findings) -> dict[AttemptKey, AttemptNews]:
    return {job.attempt: _end(job.cluster, ad) for job, ad in findings.ended_dagmans}


def _end(cluster: int, ad: Ad | None) -> AttemptNews:
    """Return the news about a DAGMan that left the queue without an event."""
    if ad is None:
        return AttemptNews(
            state=AttemptState.FAILED,
            ended_at=datetime.now(UTC),
            error_kind=ErrorKind.DAGMAN_DIED,
            error_message=f"DAGMan's job {cluster} is neither in the schedd's queue nor in its"
            " history (asked twice). Clear what is not done to go on.",
        )
    moment = end_moment(ad)
    ended_at = parse_time(moment) if moment else datetime.now(UTC)
    if ad.get("JobStatus") == 3:
        return AttemptNews(
            state=AttemptState.REMOVED,
            ended_at=ended_at,
            error_kind=ErrorKind.NODE_REMOVED,
            error_message=f"DAGMan was removed: {ad.get('RemoveReason') or 'no reason given'}",
        )
    code = ad.get("ExitCode")
    return AttemptNews(
        state=AttemptState.DONE if code == 0 else AttemptState.FAILED,
        ended_at=ended_at,
        exit_code=code if isinstance(code, int) else None,
    )
