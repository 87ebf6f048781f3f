"""Asks the schedd now and then, and corrects what the event log did not tell.

Events have precedence. A difference counts only when it was seen in two answers in a row, because
an answer may be older or newer than the last event read. A question without an answer means
nothing at all: a job is not failed because nobody could say where it is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from htcondor_operator.blackboard.queue_check import Believed
from htcondor_operator.condor.bindings import (
    Bindings,
    BindingsError,
    ScheddSilent,
    history_before,
)
from htcondor_operator.vocabulary import NodeState, Source

log = logging.getLogger(__name__)

Ad = Mapping[str, Any]
Job = tuple[int, int]

_QUEUE = "JobUniverse == 7 || DAGManJobId isnt undefined"
_PROJECTION = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "JobUniverse",
    "EnteredCurrentStatus",
    "HoldReason",
    "HoldReasonCode",
    "HoldReasonSubCode",
    "OwlRun",
    "OwlAttempt",
    "DAGManJobId",
    "Iwd",
)
_HISTORY = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "ExitCode",
    "ExitBySignal",
    "ExitSignal",
    "RemoveReason",
    "EnteredCurrentStatus",
    "CompletionDate",
)
_HISTORY_AT_ONCE = 200
_HISTORY_MARGIN_SECONDS = 3600

_STATUS = {
    1: NodeState.IDLE,
    2: NodeState.RUNNING,
    5: NodeState.HELD,
    6: NodeState.RUNNING,
    7: NodeState.RUNNING,
}
_REMOVED, _COMPLETED = 3, 4


@dataclass(frozen=True)
class Answer:
    """What the schedd said: its queue, and the history of jobs that were asked for by name."""

    asked_at: float
    queue: Mapping[Job, Ad]
    history: Mapping[Job, Ad] = field(default_factory=dict)
    history_asked: frozenset[Job] = frozenset()


class Inquirer(threading.Thread):
    """Puts questions to the schedd in a thread of its own; the mirror never waits for it.

    The bindings themselves run in a process that is killed when it does not answer in time.
    """

    def __init__(self, bindings: Bindings, interval: float) -> None:
        super().__init__(name="inquirer", daemon=True)
        self._bindings = bindings
        self._interval = interval
        self._missing: Mapping[Job, float] = {}
        self._answer: Answer | None = None
        self._stopped = threading.Event()
        self.error: str | None = None

    def ask_about(self, jobs: Mapping[Job, float]) -> None:
        """Let the next question be about the history of `jobs`, too, since the given times."""
        self._missing = jobs

    def take(self) -> Answer | None:
        """Return an answer that was not taken before."""
        answer, self._answer = self._answer, None
        return answer

    def stop(self) -> None:
        """End the thread and the worker."""
        self._stopped.set()
        self._bindings.close()

    def run(self) -> None:
        """Ask until stopped."""
        while not self._stopped.wait(self._interval):
            try:
                self._answer = self._ask()
                self.error = None
            except (ScheddSilent, BindingsError) as error:
                self.error = str(error)
                log.warning("no reconciliation: %s", error)

    def _ask(self) -> Answer:
        asked_at = time.time()
        ads = self._bindings.query(_QUEUE, _PROJECTION)
        queue = {(int(ad["ClusterId"]), int(ad["ProcId"])): ad for ad in ads}
        wanted = self._missing
        missing = frozenset(sorted(wanted.keys() - queue.keys())[:_HISTORY_AT_ONCE])
        if not missing:
            return Answer(asked_at, queue)
        oldest = min(wanted[job] for job in missing) - _HISTORY_MARGIN_SECONDS
        try:
            return Answer(asked_at, queue, self._history(missing, oldest), missing)
        except (ScheddSilent, BindingsError) as error:
            # A long history may take longer than is waited for: the queue's answer counts still.
            log.warning("no answer from the history about %d jobs: %s", len(missing), error)
            return Answer(asked_at, queue)

    def _history(self, jobs: Collection[Job], oldest: float) -> dict[Job, Ad]:
        condition = " || ".join(f"(ClusterId == {c} && ProcId == {p})" for c, p in jobs)
        found = self._bindings.history(
            condition, _HISTORY, match=len(jobs), since=history_before(oldest)
        )
        return {(int(ad["ClusterId"]), int(ad["ProcId"])): ad for ad in found}


@dataclass(frozen=True)
class Findings:
    """Differences between belief and answer that are certain enough to be acted on."""

    corrections: list[tuple[Believed, dict[str, object]]]
    ended_dagmans: list[tuple[Believed, Ad | None]]
    missing: Mapping[Job, float]


class Comparison:
    """Compares answers with beliefs; remembers what the previous answer differed in."""

    def __init__(self) -> None:
        self._suspects: dict[Job, tuple[str, object]] = {}

    def compare(self, believed: Sequence[Believed], answer: Answer) -> Findings:
        """Return what two answers in a row agree on against the blackboard."""
        before, self._suspects = self._suspects, {}
        corrections: list[tuple[Believed, dict[str, object]]] = []
        ended: list[tuple[Believed, Ad | None]] = []
        missing: dict[Job, float] = {}
        for job in believed:
            name = (job.cluster, job.proc)
            if _is_newer(job, answer):
                continue
            ad = answer.queue.get(name)
            difference = _difference(job, ad)
            if difference is None:
                continue
            self._suspects[name] = difference
            if ad is None:
                missing[name] = job.event_at.timestamp() if job.event_at else 0.0
            if before.get(name) != difference:
                continue
            if ad is not None:
                corrections.append((job, _from_queue(ad)))
            elif name in answer.history_asked and job.node is None:
                ended.append((job, answer.history.get(name)))
            elif name in answer.history_asked:
                corrections.append((job, _from_history(answer.history.get(name))))
        return Findings(corrections, ended, missing)


def _is_newer(job: Believed, answer: Answer) -> bool:
    return job.event_at is not None and job.event_at.timestamp() >= answer.asked_at


def _difference(job: Believed, ad: Ad | None) -> tuple[str, object] | None:
    """Return what differs and since when, in a form that two answers can be compared by."""
    if ad is None:
        # What is lost already needs no second search.
        return None if job.state == NodeState.UNKNOWN else ("absent", None)
    if job.node is None:
        return None
    state = _STATUS.get(int(ad.get("JobStatus", 0)))
    if state is None or state == job.state:
        return None
    return (state, ad.get("EnteredCurrentStatus"))


def _from_queue(ad: Ad) -> dict[str, object]:
    held = ad.get("JobStatus") == 5
    return {
        "state": _STATUS[int(ad["JobStatus"])].value,
        "source": Source.SCHEDD.value,
        "reason": ad.get("HoldReason") if held else None,
        "hold_code": ad.get("HoldReasonCode") if held else None,
        "hold_subcode": ad.get("HoldReasonSubCode") if held else None,
        "hold_reason": ad.get("HoldReason") if held else None,
        "event_at": _moment(ad.get("EnteredCurrentStatus")),
    }


def _from_history(ad: Ad | None) -> dict[str, object]:
    if ad is None:
        return {
            "state": NodeState.UNKNOWN.value,
            "source": Source.SCHEDD.value,
            "reason": "the job is neither in the queue nor in the schedd's history",
        }
    state, reason = end_of(ad)
    signalled = ad.get("ExitBySignal") is True
    return {
        "state": state.value,
        "source": Source.HISTORY.value,
        "reason": reason,
        "exit_code": None if signalled else ad.get("ExitCode"),
        "exit_signal": ad.get("ExitSignal") if signalled else None,
        "ended_at": end_moment(ad),
    }


def end_of(ad: Ad) -> tuple[NodeState, str | None]:
    """Return how a job of the history ended, and why."""
    if ad.get("JobStatus") == _REMOVED:
        return NodeState.REMOVED, str(ad.get("RemoveReason") or "removed from the queue")
    if ad.get("JobStatus") == _COMPLETED:
        if ad.get("ExitBySignal") is True:
            return NodeState.FAILED, f"killed by signal {ad.get('ExitSignal')}"
        code = ad.get("ExitCode")
        return (NodeState.DONE, None) if code == 0 else (NodeState.FAILED, f"exit code {code}")
    return NodeState.UNKNOWN, f"left the queue with status {ad.get('JobStatus')}"


def end_moment(ad: Ad) -> str | None:
    """Return when a job of the history ended."""
    return _moment(ad.get("CompletionDate") or ad.get("EnteredCurrentStatus"))


def _moment(seconds: object) -> str | None:
    if isinstance(seconds, int | float) and seconds > 0:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    return None
