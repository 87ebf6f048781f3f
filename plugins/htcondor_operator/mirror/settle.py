"""The end of an attempt: what the event log cannot show is settled by DAGMan's own last words.

Scripts, NOOP nodes and nodes that were never reached leave no job events. The node status file
knows them; without one the attempt's own end decides.
"""

from __future__ import annotations

import re
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
from htcondor_operator.vocabulary import NodeState

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_STATUS_LINE = re.compile(r"^\s*NODE_STATUS_FILE\s+(\S+)", re.IGNORECASE | re.MULTILINE)
# Nodes of these kinds change without a job event.
_SILENT_NODES = re.compile(
    r"^\s*SCRIPT\s|^\s*PRE_SKIP\s|^\s*(JOB|NODE|FINAL|SUBDAG)\s.*\sNOOP\b",
    re.IGNORECASE | re.MULTILINE,
)
_SECOND = timedelta(seconds=1)


def settle(cur: Cursor, ended: Collection[AttemptKey]) -> None:
    """Settle the nodes of attempts that have `ended`, in the caller's transaction."""
    if not ended:
        return
    verdicts: list[Settlement] = []
    for key, dag_file, started_at in node_rows.dag_files(cur, ended):
        verdicts += _verdicts(key, status_of(dag_file, started_at))
    node_rows.save_verdicts(cur, verdicts)
    node_rows.end_unreached(cur, ended)


def settle_live(cur: Cursor, live: Collection[AttemptKey]) -> None:
    """Take over what the status files of `live` DAGs say about nodes without job events."""
    verdicts: list[Settlement] = []
    for key, dag_file, started_at in node_rows.dag_files(cur, live):
        if dag_file and has_silent_nodes(dag_file):
            verdicts += _verdicts(key, status_of(dag_file, started_at))
    node_rows.save_verdicts(cur, verdicts)


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


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def has_silent_nodes(dag_file: str) -> bool:
    """Whether a DAG has nodes whose way cannot be followed by job events alone."""
    return _SILENT_NODES.search(_text(Path(dag_file))) is not None


def status_of(dag_file: str | None, started_at: datetime | None) -> StatusFile:
    """Return the node status of a DAG; empty when there is none or a predecessor wrote it."""
    if dag_file is None:
        return StatusFile()
    path = Path(dag_file)
    line = _STATUS_LINE.search(_text(path))
    if line is None:
        return StatusFile()
    status = parse_node_status(_text(path.parent / line[1].strip('"')))
    if status.time is None or (started_at and status.time < started_at - _SECOND):
        return StatusFile()
    return status
