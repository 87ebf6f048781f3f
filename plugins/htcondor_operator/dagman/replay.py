"""Replays DAGMan's debug log: after its last line, every node is where DAGMan saw it last.

DAGMan's own decisions (scripts, retries, submissions that failed, the end) are here; what jobs did
goes through :mod:`~htcondor_operator.dagman.folding`, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from htcondor_operator.dagman.events import EventType, Fact, JobEvent
from htcondor_operator.dagman.folding import POST_RUNNING, PRE_RUNNING, fold
from htcondor_operator.dagman.node_try import NodeTry
from htcondor_operator.dagman.sources.dagman_out import Kind, Note
from htcondor_operator.vocabulary import NodeState

_EVENTS = {
    "ULOG_SUBMIT": EventType.SUBMIT,
    "ULOG_EXECUTE": EventType.EXECUTE,
    "ULOG_EXECUTABLE_ERROR": EventType.EXECUTABLE_ERROR,
    "ULOG_JOB_EVICTED": EventType.EVICTED,
    "ULOG_SHADOW_EXCEPTION": EventType.SHADOW_EXCEPTION,
    "ULOG_JOB_ABORTED": EventType.ABORTED,
    "ULOG_JOB_SUSPENDED": EventType.SUSPENDED,
    "ULOG_JOB_UNSUSPENDED": EventType.UNSUSPENDED,
    "ULOG_JOB_HELD": EventType.HELD,
    "ULOG_JOB_RELEASED": EventType.RELEASED,
    "ULOG_JOB_DISCONNECTED": EventType.DISCONNECTED,
    "ULOG_JOB_RECONNECTED": EventType.RECONNECTED,
    "ULOG_JOB_RECONNECT_FAILED": EventType.RECONNECT_FAILED,
    "ULOG_CLUSTER_SUBMIT": EventType.CLUSTER_SUBMIT,
    "ULOG_PRESKIP": EventType.PRE_SKIP,
}
# A termination is folded when the next line says how it ended.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Replay:
    """What a ``.dagman.out`` says at its end, or at any line before it."""

    nodes: dict[str, NodeTry] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    started: datetime | None = None
    """Start of the last DAGMan in the log."""
    last: datetime | None = None
    ended: bool = False
    exit_code: int | None = None
    removing: bool = False
    status: int | None = None
    total: int | None = None
    counts: tuple[int, ...] = ()
    before: set[str] = field(default_factory=set)
    """Nodes that were done when the last DAGMan started (it read a rescue DAG)."""
    _done_then: set[str] = field(default_factory=set)
    _carried_then: set[str] = field(default_factory=set)
    _submitting: str | None = None
    _latest: str | None = None
    _dumped: str | None = None

    def run(self, notes: Iterable[Note]) -> Replay:
        """Replay all `notes`; return this object."""
        for note in notes:
            self.last = note.time or self.last
            self._step(note)
        return self

    def _step(self, note: Note) -> None:
        handler = _HANDLERS.get(note.kind)
        if handler is not None:
            handler(self, note)
        elif note.kind in _SETTLING:
            self._settle(note)

    def node(self, name: str) -> NodeTry:
        """Return what is known of a node."""
        return self.nodes.setdefault(name, NodeTry(name))

    # -------------------------------------------------------------- DAGMan

    def _start(self, note: Note) -> None:
        done = {name for name, node in self.nodes.items() if node.state is NodeState.DONE}
        self._done_then, self._carried_then = done | self.before, self.before
        self.nodes, self.before = {}, set()
        self.started, self.ended, self.exit_code = note.time or self.last, False, None
        self.removing, self.status, self.counts = False, None, ()

    def _rescue(self, _note: Note) -> None:
        self.before = set(self._done_then)

    def _recover(self, _note: Note) -> None:
        # DAGMan reads the nodes log from its start again and says everything once more.
        self.before |= self._carried_then

    def _number(self, note: Note) -> None:
        match note.kind:
            case Kind.COUNT:
                self.total = note.number
            case Kind.STATUS:
                self.status = note.number
            case Kind.TABLE:
                self.counts = note.numbers

    def _exit(self, note: Note) -> None:
        self.ended, self.exit_code = True, note.number

    def _remove(self, _note: Note) -> None:
        self.removing = True

    def _service(self, note: Note) -> None:
        self.services.add(str(note.node))
        self.node(str(note.node))

    # ---------------------------------------------------------------- jobs

    def _event(self, note: Note) -> None:
        assert note.node is not None
        assert note.job is not None
        self._latest = note.node
        number = _EVENTS.get(note.word)
        if number is not None:
            self._fold(note, number, {})

    def _fold(self, note: Note, number: EventType, facts: dict[str, Fact]) -> None:
        assert note.node is not None
        assert note.job is not None
        node = self.node(note.node)
        cluster, proc, _ = note.job
        time = note.time or self.last or _LONG_AGO
        before = node.procs.get(proc)
        if before is not None and node.cluster == cluster and before.at > time:
            time = before.at  # The order of the lines is the order of the events.
        fold(node, JobEvent(cluster, proc, number, time, note.node, None, node.retry, facts))

    def _job_end(self, note: Note) -> None:
        facts: dict[str, Fact] = {"TerminatedNormally": note.kind is not Kind.JOB_SIGNALLED}
        name = "TerminatedBySignal" if note.kind is Kind.JOB_SIGNALLED else "ReturnValue"
        facts[name] = note.number or 0
        self._fold(note, EventType.TERMINATED, facts)

    def _hold_reason(self, note: Note) -> None:
        node = self.nodes.get(self._latest or "")
        if node is not None and node.state is NodeState.HELD:
            node.hold_reason = node.reason = note.word

    # ---------------------------------------------------------- submission

    def _submit(self, note: Note) -> None:
        self._submitting = note.node
        assert note.node is not None
        node = self.node(note.node)
        if node.cluster is not None and node.state.is_final:
            self._new_try(node, node.retry + 1)

    def _new_try(self, node: NodeTry, retry: int) -> None:
        self.nodes[node.node] = NodeTry(node.node, retry)

    def _assigned(self, note: Note) -> None:
        assert note.job is not None
        node = self.nodes.get(self._submitting or "")
        if node is None or node.cluster == note.job[0] != 0:
            return
        node.cluster, node.proc = note.job[0], note.job[1]
        node.state, node.reason = NodeState.SUBMITTED, None
        node.submitted_at = note.time

    def _submit_retry(self, note: Note) -> None:
        if node := self.nodes.get(self._submitting or ""):
            node.state = NodeState.READY
            node.reason = f"submission failed (try {note.word}), DAGMan tries again"

    def _submit_failed(self, note: Note) -> None:
        if node := self.nodes.get(self._submitting or ""):
            node.state, node.ended_at = NodeState.FAILED, note.time
            node.reason = f"could not be submitted in {note.number} tries"

    # ------------------------------------------------------------- scripts

    def _settle(self, note: Note) -> None:
        assert note.node is not None
        state, reason, verdict = _SETTLING[note.kind]
        node = self.node(note.node)
        node.state, node.reason = state, reason or note.word or None
        node.verdict = state if verdict else None
        if note.kind in _ENDS:
            node.ended_at = note.time
            if reason is None and note.word:
                node.reason = f"{_ENDS[note.kind]} script {note.word}"

    def _retry(self, note: Note) -> None:
        assert note.node is not None
        node = self.node(note.node)
        if (note.number or 0) <= node.retry and node.retry > 0:
            return
        self._new_try(node, note.number or 0)
        self.nodes[note.node].state = NodeState.READY
        self.nodes[note.node].reason = f"try {note.number or 0} of it failed: to be tried again"

    def _no_retry(self, note: Note) -> None:
        assert note.node is not None
        node = self.node(note.node)
        if not node.state.is_final:
            node.state = NodeState.FAILED

    # ---------------------------------------------- the list of failed nodes

    def _dump(self, note: Note) -> None:
        match note.kind:
            case Kind.DUMP_NODE:
                self._dumped = note.node
            case Kind.DUMP_END:
                self._dumped = None
            case Kind.DUMP_STATUS if self._dumped and note.word == "STATUS_ERROR":
                node = self.node(self._dumped)
                if node.state is not NodeState.REMOVED:
                    node.state = node.verdict = NodeState.FAILED
            case Kind.DUMP_ERROR if self._dumped:
                self.node(self._dumped).reason = note.word


_HANDLERS: dict[Kind, Callable[[Replay, Note], None]] = {
    Kind.START: Replay._start,
    Kind.RESCUE: Replay._rescue,
    Kind.RECOVERY: Replay._recover,
    Kind.COUNT: Replay._number,
    Kind.STATUS: Replay._number,
    Kind.TABLE: Replay._number,
    Kind.EXIT: Replay._exit,
    Kind.REMOVING: Replay._remove,
    Kind.SERVICE: Replay._service,
    Kind.EVENT: Replay._event,
    Kind.HOLD_REASON: Replay._hold_reason,
    Kind.JOB_DONE: Replay._job_end,
    Kind.JOB_FAILED: Replay._job_end,
    Kind.JOB_SIGNALLED: Replay._job_end,
    Kind.SUBMITTING: Replay._submit,
    Kind.ASSIGNED: Replay._assigned,
    Kind.SUBMIT_RETRY: Replay._submit_retry,
    Kind.SUBMIT_FAILED: Replay._submit_failed,
    Kind.RETRY: Replay._retry,
    Kind.NO_RETRY: Replay._no_retry,
    Kind.DUMP_NODE: Replay._dump,
    Kind.DUMP_STATUS: Replay._dump,
    Kind.DUMP_ERROR: Replay._dump,
    Kind.DUMP_END: Replay._dump,
}

# State, reason (None: what the line says), and whether jobs cannot overrule it.
_SETTLING: dict[Kind, tuple[NodeState, str | None, bool]] = {
    Kind.PRE_RUNNING: (NodeState.RUNNING, PRE_RUNNING, False),
    Kind.PRE_DONE: (NodeState.READY, "PRE script done", False),
    Kind.PRE_FAILED: (NodeState.FAILED, None, False),
    Kind.SKIPPED: (NodeState.DONE, "skipped: its PRE script ended with the PRE_SKIP code", True),
    Kind.POST_RUNNING: (NodeState.RUNNING, POST_RUNNING, False),
    Kind.POST_DONE: (NodeState.DONE, None, True),
    Kind.POST_FAILED: (NodeState.FAILED, None, True),
}
_ENDS = {Kind.PRE_FAILED: "PRE", Kind.SKIPPED: "PRE", Kind.POST_DONE: "POST"} | {
    Kind.POST_FAILED: "POST"
}
