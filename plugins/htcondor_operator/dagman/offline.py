"""The final state of every node from the files that a site has, any of them.

Precedence, node by node (``docs/fold.md`` has the reasons):

1. The node status file, when DAGMan wrote it at its end and nothing newer is known. Only
   "removed" is kept against its "error", and ``Was STATUS_...`` means removed.
2. Events against DAGMan's log: the higher cluster wins. For the same cluster, DAGMan's decision
   (script, retry, failure) wins over the job's state, the nodes log over DAGMan's view of a job.
3. A node status file that is not the last word: its DONE, ERROR and FUTILE are final all the
   same; the rest only where no other file knows the node.
4. The rescue file, then ``DONE`` in the DAG file, where nothing ran.
5. What follows: below a failed node everything is futile (WEAK edges apart); when DAGMan has
   ended, what was still in the queue was removed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from htcondor_operator.dagman.events import EventType
from htcondor_operator.dagman.folding import (
    POST_RUNNING,
    PRE_RUNNING,
    await_post_script,
    fold,
    removed_with_dagman,
)
from htcondor_operator.dagman.model import Dag, NodeType, is_join_node
from htcondor_operator.dagman.node_try import NodeTry
from htcondor_operator.dagman.replay import Replay
from htcondor_operator.dagman.sources.dagman_out import parse_dagman_out
from htcondor_operator.dagman.sources.node_status import (
    NodeStatus,
    Status,
    StatusFile,
    parse_node_status,
)
from htcondor_operator.dagman.sources.nodes_log import NodesLog, parse_nodes_log
from htcondor_operator.dagman.sources.rescue_file import RescueStates, parse_rescue_states
from htcondor_operator.vocabulary import NodeState

_APART = frozenset({NodeType.FINAL, NodeType.SERVICE, NodeType.PROVISIONER})


@dataclass
class Verdict:
    """One node's final state and where it comes from."""

    node: NodeTry
    type: str = NodeType.JOB.value
    source: str = "dag"
    with_dagman: bool = False
    """Whether it ended only because DAGMan did."""


@dataclass
class Outcome:
    """All nodes of a DAG, and DAGMan itself."""

    nodes: dict[str, Verdict]
    dagman_ended: bool
    exit_code: int | None = None
    counts: tuple[int, ...] = ()
    total: int | None = None
    utc: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Files:
    """The texts of the files; None for those that are not there."""

    dag: Dag | None = None
    nodes_log: str | None = None
    node_status: str | None = None
    dagman_out: str | None = None
    rescue: str | None = None
    year: int = 1970


def fold_files(files: Files) -> Outcome:
    """Return the final state of every node."""
    return _Folding(files).outcome()


class _Folding:
    def __init__(self, files: Files) -> None:
        self.dag = files.dag
        self.replay = Replay()
        if files.dagman_out is not None:
            self.replay.run(parse_dagman_out(files.dagman_out))
        year = self.replay.started.year if self.replay.started else files.year
        self.log = parse_nodes_log(files.nodes_log, year) if files.nodes_log else NodesLog()
        self.jobs = _fold_log(self.log)
        self.status = self._status(files.node_status)
        self.rescue = parse_rescue_states(files.rescue) if files.rescue else RescueStates()
        self._has_logs = files.nodes_log is not None or files.dagman_out is not None
        self.warnings: list[str] = []

    def outcome(self) -> Outcome:
        nodes = {name: self._node(name) for name in self._names()}
        ended = self._ended(nodes)
        for verdict in nodes.values():
            verdict.with_dagman = removed_with_dagman(verdict.node)
        if ended:
            _end_with_dagman(nodes)
        self._derive(nodes)
        return Outcome(
            nodes=nodes,
            dagman_ended=ended,
            exit_code=self.replay.exit_code,
            counts=self.replay.counts,
            total=self.replay.total,
            utc=self.log.utc,
            warnings=self.warnings,
        )

    # ------------------------------------------------------------- sources

    def _status(self, text: str | None) -> StatusFile:
        """Return the status file, unless it is older than DAGMan's last start."""
        if text is None:
            return StatusFile()
        status = parse_node_status(text)
        started = self.replay.started
        if started and status.local and status.local < started.replace(microsecond=0):
            return StatusFile()
        return status

    def _names(self) -> list[str]:
        if self.dag is not None:
            self._warn_strangers(self.dag)
            return list(self.dag.nodes)
        seen = dict.fromkeys(
            [
                *self.status.nodes,
                *self.replay.nodes,
                *sorted(self.replay.before),
                *self.jobs,
                *sorted(self.rescue.done | self.rescue.failed),
            ]
        )
        return [name for name in seen if not is_join_node(name)]

    def _warn_strangers(self, dag: Dag) -> None:
        named = {*self.status.nodes, *self.replay.nodes, *self.jobs, *self.rescue.done}
        strangers = sorted(n for n in named - dag.nodes.keys() if not is_join_node(n))
        if strangers:
            self.warnings.append(f"not in the DAG file, left out: {', '.join(strangers[:10])}")

    def _type(self, name: str) -> str:
        if self.dag is not None:
            return self.dag.nodes[name].type.value
        return NodeType.SERVICE.value if name in self.replay.services else NodeType.JOB.value

    # ------------------------------------------------------------ one node

    def _node(self, name: str) -> Verdict:
        chosen, source = self._from_logs(name)
        entry = self.status.nodes.get(name)
        if entry is not None:
            chosen, source = self._with_status(name, entry, chosen, source)
        if chosen is None or chosen.state in {NodeState.UNREADY, NodeState.READY}:
            given = self._carried(name)
            if given is not None:
                chosen, source = given
        if chosen is None and self._type(name) == NodeType.SERVICE and not self._has_logs:
            # DAGMan leaves service nodes out of its node status file and of rescue files.
            chosen = NodeTry(name, state=NodeState.UNKNOWN, reason="only logs know service nodes")
        return Verdict(chosen or NodeTry(name), self._type(name), source)

    def _from_logs(self, name: str) -> tuple[NodeTry | None, str]:
        job, words = self.jobs.get(name), self.replay.nodes.get(name)
        if words is None:
            return (None, "dag") if job is None else (self._scripted(name, job), "nodes_log")
        if job is None or job.cluster is None:
            return words, "dagman_out"
        if (job.cluster or 0) > (words.cluster or 0) and not self._retried(words, job):
            return self._scripted(name, job), "nodes_log"
        if (job.cluster or 0) < (words.cluster or 0) or words.retry > job.retry:
            return words, "dagman_out"
        return _merged(job, words)

    @staticmethod
    def _retried(words: NodeTry, job: NodeTry) -> bool:
        """Whether DAGMan already gave up the cluster that the nodes log knows last."""
        return words.cluster is None and words.retry > job.retry

    def _scripted(self, name: str, job: NodeTry) -> NodeTry:
        """A job's end is not its node's end while the POST script has not spoken."""
        has_post = self.dag is not None and "POST" in self.dag.nodes[name].scripts
        if has_post:
            await_post_script(job)
        return job

    def _with_status(
        self, name: str, entry: NodeStatus, chosen: NodeTry | None, source: str
    ) -> tuple[NodeTry | None, str]:
        said = _state_of(entry)
        known = chosen or NodeTry(name)
        if chosen is not None and self._is_newer(chosen):
            return chosen, source
        final = self.status.is_final or said in _STICKY
        if entry.status in _SCRIPTS and source == "nodes_log" and not known.state.is_queued:
            # The log of the jobs does not know of scripts that are still running.
            known.state, known.reason = said, _SCRIPTS[entry.status]
            return known, "node_status"
        if not final and (chosen is not None or name in self.rescue.done):
            return chosen, source
        if known.state is said or (said is NodeState.FAILED and known.state is NodeState.REMOVED):
            return known, source if chosen is not None else "node_status"
        ended = known.state in {NodeState.DONE, NodeState.FAILED}
        if said is NodeState.REMOVED and ended and "POSTRUN" not in entry.details:
            return known, source
        known.state, known.reason = said, entry.details or None
        known.retry = max(known.retry, entry.retry)
        return known, "node_status"

    def _is_newer(self, known: NodeTry) -> bool:
        """Whether a node's cluster was submitted after the status file was written."""
        at = known.submitted_at or known.event_at
        written = (
            self.status.time if self.log.utc and known.node in self.jobs else self.status.local
        )
        return at is not None and written is not None and at.replace(microsecond=0) > written

    def _carried(self, name: str) -> tuple[NodeTry, str] | None:
        if name in self.rescue.done or name in self.replay.before:
            source = "rescue" if name in self.rescue.done else "dagman_out"
            return NodeTry(name, state=NodeState.DONE, reason="done before"), source
        if self.dag is not None and self.dag.nodes[name].done:
            return NodeTry(name, state=NodeState.DONE, reason="DONE in the DAG file"), "dag"
        if name in self.rescue.failed and name not in self.replay.nodes:
            return NodeTry(name, state=NodeState.FAILED, reason="listed as failed"), "rescue"
        return None

    # ------------------------------------------------------------ the whole

    def _ended(self, nodes: Mapping[str, Verdict]) -> bool:
        """Whether DAGMan has ended (for good: a hold or a crash leaves its jobs alone)."""
        if self.replay.started is not None:
            return self.replay.ended and (self.replay.removing or self.replay.exit_code == 0)
        if self.status.is_final:
            return not any(self._is_newer(verdict.node) for verdict in nodes.values())
        return False

    def _derive(self, nodes: dict[str, Verdict]) -> None:
        if self.dag is None:
            return
        _reached(self.dag, nodes)
        futile = _futile(self.dag, nodes)
        for name in futile:
            nodes[name].node.state = NodeState.FUTILE
            nodes[name].node.reason = "an ancestor failed"
        if self.replay.started is None or self.replay.ended:
            return
        parents: dict[str, list[str]] = {}
        for parent, child in self.dag.edges:
            parents.setdefault(child, []).append(parent)
        for name, verdict in nodes.items():
            ready = all(nodes[p].node.state is NodeState.DONE for p in parents.get(name, ()))
            apart = self.dag.nodes[name].type in _APART
            if verdict.node.state is NodeState.UNREADY and ready and not apart:
                verdict.node.state = NodeState.READY


_SCRIPTS = {Status.PRERUN: PRE_RUNNING, Status.POSTRUN: POST_RUNNING}
_STICKY = frozenset({NodeState.DONE, NodeState.FAILED, NodeState.FUTILE})


def _fold_log(log: NodesLog) -> dict[str, NodeTry]:
    jobs: dict[str, NodeTry] = {}
    for event in log.events:
        if event.node is None:
            continue
        known = jobs.get(event.node)
        if known is None or event.retry > known.retry:
            known = jobs[event.node] = NodeTry(event.node, event.retry)
        if event.retry == known.retry:
            fold(known, event)
        if event.type == EventType.SUBMIT and known.cluster is None:
            known.cluster = event.cluster
    return jobs


def _merged(job: NodeTry, words: NodeTry) -> tuple[NodeTry, str]:
    """Merge two views of one cluster: DAGMan decides about the node, the log knows the job."""
    script = (
        words.cluster == job.cluster
        and words.state is NodeState.RUNNING
        and (words.reason == POST_RUNNING)
    )
    decided = words.verdict is not None or (words.state.is_final and not job.state.is_final)
    if words.verdict is None and words.state is NodeState.FAILED and job.verdict is None:
        decided = decided or job.state is not NodeState.REMOVED
    if (decided or script) and job.verdict is None:
        job.state, job.verdict, job.reason = words.state, words.verdict, words.reason
        job.retry = max(job.retry, words.retry)
        return job, "dagman_out"
    return job, "nodes_log"


_STATE_OF = {
    Status.NOT_READY: NodeState.UNREADY,
    Status.READY: NodeState.READY,
    Status.PRERUN: NodeState.RUNNING,
    Status.POSTRUN: NodeState.RUNNING,
    Status.DONE: NodeState.DONE,
    Status.FUTILE: NodeState.FUTILE,
}


def _state_of(entry: NodeStatus) -> NodeState:
    if entry.status is Status.SUBMITTED:
        if entry.held and entry.held >= entry.queued:
            return NodeState.HELD
        return NodeState.RUNNING if entry.details == "not_idle" else NodeState.IDLE
    if entry.status is Status.ERROR:
        was_queued = entry.details.startswith("Was STATUS_")
        aborted = "JOB_ABORTED" in entry.details
        return NodeState.REMOVED if was_queued or aborted else NodeState.FAILED
    return _STATE_OF[entry.status]


def _end_with_dagman(nodes: Mapping[str, Verdict]) -> None:
    """What was in the queue when DAGMan ended was removed by it, or by the schedd after it."""
    for verdict in nodes.values():
        node = verdict.node
        if node.state.is_queued:
            was = node.state.value
            node.state, verdict.with_dagman = NodeState.REMOVED, True
            node.reason = f"was {was} when DAGMan ended and removed its jobs"
        elif node.state is NodeState.READY and node.reason:
            node.state = NodeState.UNREADY


def _reached(dag: Dag, nodes: Mapping[str, Verdict]) -> None:
    """Above a node that ran everything was done, even if a log of before a rescue is lost."""
    parents: dict[str, list[str]] = {}
    for parent, child in dag.edges:
        if (parent, child) not in dag.weak_edges:
            parents.setdefault(child, []).append(parent)
    todo = [name for name, verdict in nodes.items() if verdict.node.cluster is not None]
    while todo:
        for parent in parents.get(todo.pop(), ()):
            node = nodes[parent].node
            if node.state in {NodeState.UNREADY, NodeState.READY}:
                node.state, node.reason = NodeState.DONE, "a node below it ran"
                todo.append(parent)


def _futile(dag: Dag, nodes: Mapping[str, Verdict]) -> Iterable[str]:
    """Return what can never run: DAGMan's own rule.

    A node that ran and failed spoils its children but for WEAK edges; a node that never ran
    spoils all of them.
    """
    children: dict[str, list[str]] = {}
    for parent, child in dag.edges:
        children.setdefault(parent, []).append(child)
    waiting = {NodeState.UNREADY, NodeState.READY}
    futile: set[str] = set()
    failed = {NodeState.FAILED, NodeState.REMOVED}
    todo = [n for n, v in nodes.items() if v.node.state in failed and not v.with_dagman]
    todo += [n for n, v in nodes.items() if v.node.state is NodeState.FUTILE]
    while todo:
        name = todo.pop()
        ran = nodes[name].node.state in failed
        for child in children.get(name, ()):
            if ran and (name, child) in dag.weak_edges:
                continue
            if child not in futile and nodes[child].node.state in waiting:
                futile.add(child)
                todo.append(child)
    return futile
