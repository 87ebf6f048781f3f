"""Events in, node states out: what the mirror daemon and ``owl dag fold`` both believe.

The state machine of one job is :data:`TABLE`. Folding is idempotent: an event that was folded
before, or that is older than what is known, changes no state, so that a log can be read again
from any earlier place. Knowledge is kept per proc, because one DAGMan node may be a cluster of
several procs; :func:`node_state` sums them up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from htcondor_operator.dagman.events import EventType, JobEvent, parse_usage
from htcondor_operator.dagman.executions import began, over
from htcondor_operator.dagman.node_try import NodeTry, ProcState
from htcondor_operator.vocabulary import NodeState, Source

Outcome = NodeState | Callable[[JobEvent], NodeState]


def _submitted(event: JobEvent) -> NodeState:
    # A job submitted on hold gets no held event: only its ad says so (seen in 25.14.1).
    return NodeState.HELD if event.number("HoldReasonCode") else NodeState.IDLE


def _terminated(event: JobEvent) -> NodeState:
    good = event.flag("TerminatedNormally") and event.whole("ReturnValue") == 0
    return NodeState.DONE if good else NodeState.FAILED


TABLE: Mapping[int, Outcome] = MappingProxyType(
    {
        EventType.SUBMIT: _submitted,
        EventType.EXECUTE: NodeState.RUNNING,
        EventType.EVICTED: NodeState.IDLE,
        EventType.TERMINATED: _terminated,
        EventType.SHADOW_EXCEPTION: NodeState.IDLE,
        EventType.ABORTED: NodeState.REMOVED,
        EventType.SUSPENDED: NodeState.RUNNING,
        EventType.UNSUSPENDED: NodeState.RUNNING,
        EventType.HELD: NodeState.HELD,
        EventType.RELEASED: NodeState.IDLE,
        # The job goes on where it was; only the way to it is lost.
        EventType.DISCONNECTED: NodeState.RUNNING,
        EventType.RECONNECTED: NodeState.RUNNING,
        EventType.RECONNECT_FAILED: NodeState.IDLE,
        EventType.STATUS_UNKNOWN: NodeState.UNKNOWN,
        EventType.DATAFLOW_JOB_SKIPPED: NodeState.DONE,
    }
)
"""State of a job after an event. Events that are not here change facts, never the state.

Executable error (002) is not here: HTCondor always writes an abort or a hold after it.
"""

# Of two events in the same millisecond the later step of a job's life wins.
_RANK = {
    EventType.SUBMIT: 0,
    EventType.RELEASED: 1,
    EventType.EXECUTE: 2,
    EventType.DISCONNECTED: 3,
    EventType.RECONNECTED: 4,
    EventType.SUSPENDED: 3,
    EventType.UNSUSPENDED: 4,
    EventType.SHADOW_EXCEPTION: 5,
    EventType.RECONNECT_FAILED: 5,
    EventType.EVICTED: 6,
    EventType.HELD: 7,
    EventType.DATAFLOW_JOB_SKIPPED: 8,
    EventType.ABORTED: 9,
    EventType.TERMINATED: 9,
}

# What the shadow may still report while the schedd has already written that the job is held.
_AFTERMATH = frozenset(
    {
        EventType.EVICTED,
        EventType.SHADOW_EXCEPTION,
        EventType.DISCONNECTED,
        EventType.RECONNECT_FAILED,
        EventType.SUSPENDED,
        EventType.UNSUSPENDED,
    }
)

# The least rank that explains a state of which only the time is known.
STATE_RANK = {
    NodeState.RUNNING: 2,
    NodeState.HELD: 7,
    NodeState.DONE: 9,
    NodeState.FAILED: 9,
    NodeState.REMOVED: 9,
}

PRE_RUNNING, POST_RUNNING = "PRE script running", "POST script running"
"""Reasons of a node that runs, but whose job does not: a script of DAGMan's does."""

TRANSFERS = {
    1: "waiting to transfer input",
    2: "transferring input",
    3: None,
    4: "waiting to transfer output",
    5: "transferring output",
    6: None,
}


def fold(known: NodeTry, event: JobEvent) -> None:
    """Let `event` of a job of this try change what is `known`."""
    if event.type == EventType.POST_SCRIPT_TERMINATED:
        _post_script(known, event)
        return
    if event.type == EventType.PRE_SKIP:
        _skipped(known, event)
        return
    if known.cluster is not None and event.cluster != known.cluster:
        if event.cluster < known.cluster:
            return  # An older cluster of the same try: DAGMan submitted it again since.
        _start_over(known)
    known.cluster = event.cluster
    _fold_facts(known, event)
    if event.proc >= 0:
        _fold_state(known, event)
    if known.verdict is None:
        known.source = Source.EVENT_LOG


# Removed together with DAGMan, not by somebody who meant this one job.
_WITH_DAGMAN = re.compile(
    r"DAG (?:Removed|Abort)|removed scheduler job|DAGManJobId|Was STATUS_", re.IGNORECASE
)


def removed_with_dagman(known: NodeTry) -> bool:
    """Whether a node's job was removed only because its DAGMan was going."""
    return known.state is NodeState.REMOVED and bool(_WITH_DAGMAN.search(known.reason or ""))


def await_post_script(known: NodeTry) -> None:
    """Keep a node with a POST script open when its job has ended: the script decides."""
    ended = known.state in {NodeState.DONE, NodeState.FAILED, NodeState.REMOVED}
    if ended and known.verdict is None and not removed_with_dagman(known):
        known.state, known.reason = NodeState.RUNNING, POST_RUNNING


def _start_over(known: NodeTry) -> None:
    fresh = NodeTry(known.node, known.retry)
    for name in NodeTry.__slots__:
        setattr(known, name, getattr(fresh, name))


def _post_script(known: NodeTry, event: JobEvent) -> None:
    known.verdict = known.state = _terminated(event)
    code = event.whole("ReturnValue")
    known.reason = None if known.state is NodeState.DONE else f"POST script ended with {code}"
    known.source, known.event_at, known.ended_at = Source.EVENT_LOG, event.time, event.time


def _skipped(known: NodeTry, event: JobEvent) -> None:
    known.verdict = known.state = NodeState.DONE
    known.reason = "skipped: its PRE script ended with the PRE_SKIP code"
    known.source, known.event_at, known.ended_at = Source.EVENT_LOG, event.time, event.time


def _fold_state(known: NodeTry, event: JobEvent) -> None:
    outcome = TABLE.get(event.type)
    before = known.procs.get(event.proc)
    if outcome is None:
        _remark(known, event, before)
        return
    state = outcome if isinstance(outcome, NodeState) else outcome(event)
    rank = _RANK.get(EventType(event.type), 5)
    if before is not None:
        if before.order >= (event.time, rank):
            return
        # The first end is the end: an abort after a termination is a known double report.
        if before.state.is_final and event.type != EventType.TERMINATED:
            return
        if before.state is NodeState.HELD and event.type in _AFTERMATH:
            return
    known.procs[event.proc] = ProcState(state, event.time, rank)
    known.event_at = max(proc.at for proc in known.procs.values())
    if known.verdict is None:
        _tell(known, event, state)
        known.state = node_state(known.procs)


def node_state(procs: Mapping[int, ProcState]) -> NodeState:
    """Sum up the procs of a cluster: a node ends when all of them have ended."""
    states = {proc.state for proc in procs.values()}
    for state in (
        NodeState.RUNNING,
        NodeState.HELD,
        NodeState.IDLE,
        NodeState.SUBMITTED,
        NodeState.UNKNOWN,
        NodeState.FAILED,
        NodeState.REMOVED,
    ):
        if state in states:
            return state
    return NodeState.DONE


def _remark(known: NodeTry, event: JobEvent, before: ProcState | None) -> None:
    """Take the reason of an event that leaves the state alone, unless newer news are known."""
    if before is None or event.time < before.at or before.state.is_final:
        return
    if event.type == EventType.FILE_TRANSFER and before.state is not NodeState.HELD:
        known.reason = TRANSFERS.get(event.whole("Type") or 0)
    elif event.type == EventType.EXECUTABLE_ERROR:
        known.reason = "the executable cannot be run"


def _tell(known: NodeTry, event: JobEvent, state: NodeState) -> None:
    """Keep reason, times and end that belong to a change of state."""
    known.reason = _reason(event, state)
    if state is not NodeState.HELD:
        known.hold_code = known.hold_subcode = known.hold_reason = None
    if state is NodeState.HELD:
        known.hold_code = event.whole("HoldReasonCode")
        known.hold_subcode = event.whole("HoldReasonSubCode")
        known.hold_reason = event.text("HoldReason")
    if event.type == EventType.EXECUTE:
        # The first start: a job that was held or evicted in between has run since then.
        known.started_at = min(known.started_at or event.time, event.time)
        known.executions = began(known.executions, event.proc, event.time, known.host)
        if known.submitted_at is not None and known.idle_s is None:
            known.idle_s = max(0.0, (event.time - known.submitted_at).total_seconds())
        if event.number("NumShadowStarts") is None:
            known.starts += 1
    elif state is not NodeState.RUNNING and known.executions:
        known.executions = over(known.executions, event.proc, event.time)
    if event.type == EventType.TERMINATED:
        _end(known, event, state)
    known.ended_at = event.time if state.is_final else None
    if known.proc is None or state in {NodeState.FAILED, NodeState.REMOVED}:
        known.proc = event.proc


def _end(known: NodeTry, event: JobEvent, state: NodeState) -> None:
    if state is NodeState.DONE and known.exit_code not in {None, 0}:
        return  # Another proc of this cluster failed: its exit code is the one to show.
    known.exit_code = event.whole("ReturnValue") if event.flag("TerminatedNormally") else None
    known.exit_signal = event.whole("TerminatedBySignal")


def _reason(event: JobEvent, state: NodeState) -> str | None:
    reason: str | None = None
    match event.type:
        case EventType.TERMINATED:
            if state is NodeState.FAILED:
                signal = event.whole("TerminatedBySignal")
                code = event.whole("ReturnValue")
                reason = f"exit code {code}" if signal is None else f"killed by signal {signal}"
        case EventType.ABORTED:
            reason = event.text("Reason") or "removed from the queue"
        case EventType.HELD | EventType.SUBMIT:
            reason = event.text("HoldReason")
        case EventType.EVICTED:
            reason = event.text("Reason") or "evicted"
        case EventType.SHADOW_EXCEPTION:
            reason = event.text("Message") or "the shadow died"
        case EventType.SUSPENDED:
            reason = "suspended"
        case EventType.DISCONNECTED:
            reason = event.text("DisconnectReason") or "disconnected from the execute machine"
        case EventType.RECONNECT_FAILED:
            reason = event.text("Reason") or "could not reconnect to the execute machine"
        case EventType.STATUS_UNKNOWN:
            reason = "HTCondor does not know the job's status"
        case EventType.DATAFLOW_JOB_SKIPPED:
            reason = event.text("Reason") or "skipped: its output is newer than its input"
    return reason


def _fold_facts(known: NodeTry, event: JobEvent) -> None:
    """Keep facts that stay true whatever the order of the events: identity, paths, maxima."""
    if event.type in {EventType.SUBMIT, EventType.CLUSTER_SUBMIT} and (
        known.submitted_at is None or event.time < known.submitted_at
    ):
        known.submitted_at = event.time
    if known.event_at is None or event.time >= known.event_at:
        known.owner = event.text("Owner") or known.owner
        known.memory_request_mb = event.number("RequestMemory") or known.memory_request_mb
        if (priority := event.whole("JobPrio")) is not None:
            known.priority = priority
        _fold_place(known, event)
        _fold_paths(known, event)
    known.starts = max(known.starts, event.whole("NumShadowStarts") or 0)
    _fold_usage(known, event)
    if event.type == EventType.GENERIC:
        _fold_telemetry(known, event)


def _fold_place(known: NodeTry, event: JobEvent) -> None:
    where = event.text("SlotName") or event.text("RemoteHost") or event.text("LastRemoteHost")
    if where is None and event.type == EventType.EXECUTE:
        known.host = _address(event.text("ExecuteHost")) or known.host
    if where is None:
        return
    parts = where.split("@")  # slot1_1@machine, slot1@glidein_7@machine
    known.host = parts[-1] or known.host
    known.slot = parts[0] if len(parts) > 1 else known.slot


def _address(sinful: str | None) -> str | None:
    """Return the name in ``<10.0.0.33:9618?addrs=...&alias=test02&...>``, else its address."""
    if sinful is None:
        return None
    _, _, tail = sinful.partition("alias=")
    if tail:
        return tail.split("&")[0].strip("<>")
    return sinful.strip("<>").split("?")[0] or None


def _fold_usage(known: NodeTry, event: JobEvent) -> None:
    usage = parse_usage(event.text("TotalRemoteUsage") or event.text("RunRemoteUsage"))
    user = max(event.number("RemoteUserCpu") or 0.0, usage[0] if usage else 0.0)
    system = max(event.number("RemoteSysCpu") or 0.0, usage[1] if usage else 0.0)
    if user or usage:
        known.cpu_user_s = max(known.cpu_user_s or 0.0, user)
    if system or usage:
        known.cpu_system_s = max(known.cpu_system_s or 0.0, system)
    resident = (event.number("ResidentSetSize") or 0.0) / 1024
    peak = max(event.number("MemoryUsage") or 0.0, resident)
    if peak:
        known.memory_peak_mb = max(known.memory_peak_mb or 0.0, peak)
    if disk := event.number("DiskUsage"):
        known.disk_mb = max(known.disk_mb or 0.0, disk / 1024)


def _fold_paths(known: NodeTry, event: JobEvent) -> None:
    base = event.text("Iwd")
    known.out_path = _path(base, event.text("Out")) or known.out_path
    known.err_path = _path(base, event.text("Err")) or known.err_path
    known.log_path = _path(base, event.text("UserLog")) or known.log_path


def _path(base: str | None, name: str | None) -> str | None:
    if name is None or name == "/dev/null":
        return None
    return name if base is None or name.startswith("/") else f"{base}/{name}"


def _fold_telemetry(known: NodeTry, event: JobEvent) -> None:
    """Merge the JSON object that a starter hook sent by ``condor_chirp ulog``."""
    try:
        words = json.loads(event.text("Info") or "")
    except ValueError:
        return
    if not isinstance(words, dict):
        return
    said, before = event.time.isoformat(), known.telemetry or {}
    newer = str(before.get("at", "")) <= said
    known.telemetry = {**before, **words, "at": said} if newer else {**words, **before}
