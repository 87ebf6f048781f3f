"""What the event log cannot show is settled by DAGMan's own words.

Scripts, NOOP nodes and nodes that were never reached leave no job events. The node status file
knows them, during a run and at its end; without one the attempt's own end decides.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import node_rows
from htcondor_operator.blackboard.attempt_rows import AttemptKey
from htcondor_operator.blackboard.node_rows import Settlement
from htcondor_operator.dagman.sources.node_status import (
    NodeStatus,
    Status,
    StatusFile,
    parse_node_status,
)
from htcondor_operator.mirror.dag_files import dag_facts
from htcondor_operator.vocabulary import NodeState

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_SECOND = timedelta(seconds=1)


def settle(cur: Cursor, ended: Collection[AttemptKey]) -> None:
    """Settle the nodes of attempts that have `ended`, in the caller's transaction."""
    if not ended:
        return
    verdicts: list[Settlement] = []
    for key, dag_file, started_at in node_rows.dag_files(cur, ended):
        verdicts += _verdicts(key, read_status(dag_facts(dag_file).status_file, started_at))
    node_rows.save_verdicts(cur, verdicts)
    node_rows.end_unreached(cur, ended)


class LiveSettler:
    """Follows the status files of DAGs that run and have nodes without job events."""

    def __init__(self) -> None:
        self._seen: dict[Path, int] = {}

    def settle(self, cur: Cursor, live: Collection[AttemptKey]) -> int:
        """Take over what changed status files say about `live`; return how many nodes changed."""
        verdicts: list[Settlement] = []
        for key, dag_file, started_at in node_rows.dag_files(cur, live):
            facts = dag_facts(dag_file)
            if facts.silent and facts.status_file and self._changed(facts.status_file):
                verdicts += _verdicts(key, read_status(facts.status_file, started_at))
        return node_rows.save_verdicts(cur, verdicts)

    def _changed(self, path: Path) -> bool:
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return False
        if len(self._seen) > 10_000:
            self._seen.clear()
        before, self._seen[path] = self._seen.get(path), changed
        return before != changed


def _verdicts(key: AttemptKey, status: StatusFile) -> list[Settlement]:
    return [
        Settlement(*key, entry.node, entry.retry, state, entry.details or None, status.time)
        for entry in status.nodes.values()
        if (state := _verdict(entry)) is not None
    ]


def _verdict(entry: NodeStatus) -> NodeState | None:
    match entry.status:
        case Status.DONE:
            return NodeState.DONE
        case Status.ERROR:
            # At its end DAGMan calls an error what it removes from the queue itself.
            removed = entry.details.startswith("Was STATUS_")
            return NodeState.REMOVED if removed else NodeState.FAILED
        case Status.FUTILE:
            return NodeState.FUTILE
    return None


def read_status(path: Path | None, started_at: datetime | None) -> StatusFile:
    """Return a DAG's node status; empty when there is none or a predecessor wrote it."""
    if path is None:
        return StatusFile()
    try:
        status = parse_node_status(path.read_text(errors="replace"))
    except OSError:
        return StatusFile()
    if status.time is None or (started_at and status.time < started_at - _SECOND):
        return StatusFile()
    return status
