"""What the event log cannot show is settled by DAGMan's own words.

Scripts, NOOP nodes and nodes that were never reached leave no job events. The node status file
knows them, during a run and at its end; without one the attempt's own end decides. All attempts of
a run write the same file: only what was written between an attempt's start and its end is its own.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import node_rows
from htcondor_operator.blackboard.attempt_rows import AttemptKey
from htcondor_operator.blackboard.node_rows import AttemptFile, Settlement
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

# DAGMan writes its last word before it ends; the end's own time may be cut off to whole seconds.
_AFTER_END = timedelta(seconds=5)
# The event of a job's end may be read later than DAGMan's word about its node.
_FRESH_SECONDS = 10.0


def settle(cur: Cursor, ended: Collection[AttemptKey]) -> None:
    """Settle the nodes of attempts that have `ended`, in the caller's transaction."""
    if not ended:
        return
    verdicts: list[Settlement] = []
    for file in node_rows.dag_files(cur, ended):
        verdicts += _verdicts(file.key, _own_status(dag_facts(file.dag_file).status_file, file))
    node_rows.save_verdicts(cur, verdicts)
    node_rows.end_unreached(cur, ended)


class LiveSettler:
    """Follows the status files of DAGs that run and have nodes without job events."""

    def __init__(self) -> None:
        self._seen: dict[Path, int] = {}

    def settle(self, cur: Cursor, live: Collection[AttemptKey]) -> int:
        """Take over what changed status files say about `live`; return how many nodes changed."""
        verdicts: list[Settlement] = []
        for file in node_rows.dag_files(cur, live):
            facts = dag_facts(file.dag_file)
            if facts.silent and facts.status_file and self._is_news(facts.status_file):
                verdicts += _verdicts(file.key, _own_status(facts.status_file, file))
        return node_rows.save_verdicts(cur, verdicts)

    def _is_news(self, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        if len(self._seen) > 10_000:
            self._seen.clear()
        before, self._seen[path] = self._seen.get(path), status.st_mtime_ns
        return before != status.st_mtime_ns or time.time() - status.st_mtime < _FRESH_SECONDS


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


def _own_status(path: Path | None, file: AttemptFile) -> StatusFile:
    """Return a DAG's node status; empty when there is none or another attempt wrote it."""
    if path is None:
        return StatusFile()
    try:
        status = parse_node_status(path.read_text(errors="replace"))
    except OSError:
        return StatusFile()
    if status.time is None or file.since is None:
        return StatusFile()
    # The file's time is in whole seconds.
    is_older = status.time < file.since.replace(microsecond=0)
    is_newer = file.until is not None and status.time > file.until + _AFTER_END
    return StatusFile() if is_older or is_newer else status
