"""What is known about one try of a node, and about each proc of its cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from htcondor_operator.dagman.executions import Execution
from htcondor_operator.vocabulary import NodeState, Source


@dataclass(slots=True)
class ProcState:
    """The state of one proc of a node's cluster, and the event that it comes from."""

    state: NodeState
    at: datetime
    rank: int = 0

    @property
    def order(self) -> tuple[datetime, int]:
        """Place in time, for comparison with an event."""
        return self.at, self.rank


@dataclass(slots=True)
class NodeTry:
    """Everything known about one try of a node; the fields are those of ``owl_node``."""

    node: str
    retry: int = 0
    state: NodeState = NodeState.UNREADY
    reason: str | None = None
    cluster: int | None = None
    proc: int | None = None
    priority: int | None = None
    owner: str | None = None
    host: str | None = None
    slot: str | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    hold_code: int | None = None
    hold_subcode: int | None = None
    hold_reason: str | None = None
    starts: int = 0
    idle_s: float | None = None
    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    memory_request_mb: float | None = None
    memory_peak_mb: float | None = None
    disk_mb: float | None = None
    telemetry: dict[str, object] | None = None
    out_path: str | None = None
    err_path: str | None = None
    log_path: str | None = None
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    source: Source = Source.PLAN
    event_at: datetime | None = None
    lag_s: float | None = None
    executions: list[Execution] | None = None
    procs: dict[int, ProcState] = field(default_factory=dict)
    verdict: NodeState | None = None
    """DAGMan's own word about the node (POST script, node status): jobs cannot overrule it."""
