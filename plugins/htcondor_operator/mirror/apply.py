"""A batch of events becomes rows: load what it touches, fold in memory, write it back at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import attempt_rows, journal, node_rows
from htcondor_operator.blackboard.attempt_rows import AttemptKey, AttemptNews
from htcondor_operator.blackboard.journal import Entry
from htcondor_operator.blackboard.node_rows import TryKey
from htcondor_operator.blackboard.row_locks import lock_with_runs
from htcondor_operator.dagman.events import EventType, JobEvent
from htcondor_operator.dagman.folding import await_post_script, fold
from htcondor_operator.dagman.node_try import NodeTry
from htcondor_operator.mirror.dag_files import dag_facts
from htcondor_operator.mirror.settle import settle
from htcondor_operator.vocabulary import AttemptState, ErrorKind

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_SCHEDULER_UNIVERSE = 7
# How long a cluster that is not ours is not asked for again.
_FOREIGN_SECONDS = 60.0
_KNOWN_JOBS = 200_000


class Applier:
    """Applies batches for one schedd; remembers whose cluster is whose between them.

    Jobs of DAGs that OWL did not submit are left out entirely, the journal included: on a shared
    schedd they are the great majority, and the log itself keeps them.
    """

    def __init__(self, schedd: str) -> None:
        self.schedd = schedd
        self._attempts: dict[int, AttemptKey] = {}
        self._foreign: dict[int, float] = {}
        self._jobs: dict[int, TryKey] = {}
        self._with_post: dict[AttemptKey, frozenset[str]] = {}

    def forget(self) -> None:
        """Drop what is remembered, after a transaction that did not commit."""
        self._attempts.clear()
        self._foreign.clear()
        self._jobs.clear()

    def apply(self, cur: Cursor, events: Sequence[JobEvent]) -> int:
        """Write what `events` say, in the caller's transaction; return how many were ours."""
        self._claim(cur, events)
        self._resolve(cur, events)
        entries: list[Entry] = []
        news: dict[AttemptKey, AttemptNews] = {}
        tries: dict[TryKey, list[JobEvent]] = {}
        for event in events:
            if (attempt := self._attempts.get(event.cluster)) is not None and not event.dagman:
                tell_attempt(news.setdefault(attempt, AttemptNews()), event)
                entries.append(Entry(event, *attempt, None))
            elif (key := self._try_of(event)) is not None:
                tries.setdefault(key, []).append(event)
                entries.append(Entry(event, key.run_key, key.attempt, key.node))
        if not entries:
            return 0
        # Before the nodes, as everybody else.
        lock_with_runs(cur, news)
        self._fold(cur, tries)
        ended = attempt_rows.save_attempts(cur, news)
        settle(cur, ended)
        journal.append(cur, self.schedd, entries)
        attempt_rows.follow_runs(cur, {entry.run_key for entry in entries})
        cur.execute("NOTIFY owl_node")
        return len(entries)

    def _claim(self, cur: Cursor, events: Iterable[JobEvent]) -> None:
        """Find DAGMan jobs of ours: they name their attempt (the gateway may have died since)."""
        claims: dict[int, tuple[AttemptKey, str]] = {}
        for event in events:
            run, attempt = event.whole("OwlRun"), event.whole("OwlAttempt")
            if (
                event.whole("JobUniverse") == _SCHEDULER_UNIVERSE
                and event.dagman is None
                and run is not None
                and attempt is not None
                and event.cluster not in self._attempts
            ):
                claims[event.cluster] = (AttemptKey(run, attempt), event.text("Iwd") or "")
                self._foreign.pop(event.cluster, None)
        if claims:
            attempt_rows.claim_clusters(cur, self.schedd, claims)

    def _resolve(self, cur: Cursor, events: Iterable[JobEvent]) -> None:
        now = time.monotonic()
        wanted = {
            cluster
            for event in events
            for cluster in (event.dagman or event.cluster,)
            if cluster not in self._attempts
            and event.cluster not in self._jobs
            and self._foreign.get(cluster, 0.0) < now
        }
        if not wanted:
            return
        found = attempt_rows.find_attempts(cur, self.schedd, wanted)
        self._attempts.update(found)
        for file in node_rows.dag_files(cur, set(found.values())):
            if with_post := dag_facts(file.dag_file).with_post:
                self._with_post[file.key] = with_post
        self._foreign.update(dict.fromkeys(wanted - found.keys(), now + _FOREIGN_SECONDS))
        orphans = {e.cluster for e in events if not e.dagman and e.cluster in wanted - found.keys()}
        # An event without the job's ad (seen when HTCondor had none at hand): its row knows.
        self._jobs.update(node_rows.find_jobs(cur, self.schedd, orphans))
        if len(self._jobs) > _KNOWN_JOBS or len(self._foreign) > _KNOWN_JOBS:
            self.forget_old()

    def forget_old(self) -> None:
        """Keep the memory small; what is still needed is found in the database again."""
        self._jobs.clear()
        self._foreign.clear()

    def _try_of(self, event: JobEvent) -> TryKey | None:
        attempt = self._attempts.get(event.dagman) if event.dagman else None
        if attempt is None or event.node is None:
            return self._jobs.get(event.cluster)
        key = TryKey(attempt.run_key, attempt.attempt, event.node, event.retry)
        self._jobs[event.cluster] = key
        return key

    def _fold(self, cur: Cursor, tries: dict[TryKey, list[JobEvent]]) -> None:
        known = node_rows.load_tries(cur, tries)
        now = datetime.now(UTC)
        for key, events in tries.items():
            one = known.setdefault(key, NodeTry(key.node, key.retry))
            for event in events:
                before = one.event_at
                fold(one, event)
                if one.event_at is not None and one.event_at != before:
                    one.lag_s = max(0.0, (now - one.event_at).total_seconds())
            if key.node in self._with_post.get(AttemptKey(key.run_key, key.attempt), ()):
                await_post_script(one)
        node_rows.save_tries(cur, known)
        node_rows.end_earlier_tries(cur, [key for key in tries if key.retry > 0])


def tell_attempt(news: AttemptNews, event: JobEvent) -> None:
    """Let an event of the DAGMan job itself change the news about its attempt."""
    match event.type:
        case EventType.SUBMIT:
            news.submitted_at = event.time
            if event.number("HoldReasonCode"):
                news.held = _held(event)
        case EventType.EXECUTE:
            news.started_at = news.started_at or event.time
            news.held, news.released = None, True
        case EventType.HELD:
            news.held, news.released = _held(event), False
        case EventType.RELEASED:
            news.held, news.released = None, True
        case EventType.TERMINATED:
            code = event.whole("ReturnValue")
            news.state = AttemptState.DONE if code == 0 else AttemptState.FAILED
            news.ended_at, news.exit_code = event.time, code
            news.exit_signal = event.whole("TerminatedBySignal")
            news.held = None
        case EventType.ABORTED:
            news.state, news.ended_at, news.held = AttemptState.REMOVED, event.time, None
            news.error_kind = ErrorKind.NODE_REMOVED
            news.error_message = f"DAGMan was removed: {event.text('Reason') or 'no reason given'}"


def _held(event: JobEvent) -> str:
    return f"DAGMan's own job is held: {event.text('HoldReason') or 'no reason given'}"
