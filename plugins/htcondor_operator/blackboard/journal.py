"""The journal of events, ``owl_event``: append-only and idempotent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.dagman.events import EventType, JobEvent

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# The facts worth keeping, by event; what the node's row keeps anyway is left out.
_KEPT: dict[int, tuple[str, ...]] = {
    EventType.EXECUTE: ("SlotName", "ExecuteHost", "NumShadowStarts"),
    EventType.EVICTED: ("Reason", "ReasonCode", "TerminatedAndRequeued"),
    EventType.TERMINATED: ("ReturnValue", "TerminatedBySignal", "TotalRemoteUsage", "MemoryUsage"),
    EventType.IMAGE_SIZE: ("MemoryUsage", "ResidentSetSize"),
    EventType.SHADOW_EXCEPTION: ("Message",),
    EventType.GENERIC: ("Info",),
    EventType.ABORTED: ("Reason",),
    EventType.HELD: ("HoldReason", "HoldReasonCode", "HoldReasonSubCode"),
    EventType.RELEASED: ("Reason",),
    EventType.DISCONNECTED: ("DisconnectReason", "StartdName"),
    EventType.RECONNECTED: ("StartdName",),
    EventType.RECONNECT_FAILED: ("Reason", "StartdName"),
    EventType.FILE_TRANSFER: ("Type", "Host", "QueueingDelay"),
}


@dataclass(frozen=True)
class Entry:
    """An event and the node try it belongs to (no node: the DAGMan job itself)."""

    event: JobEvent
    run_key: int
    attempt: int
    node: str | None


def append(cur: Cursor, schedd: str, entries: Iterable[Entry]) -> int:
    """Add `entries`; those that are there already stay as they are. Return how many are new."""
    rows = [_row(entry) for entry in entries]
    if not rows:
        return 0
    cur.execute(
        """
        INSERT INTO owl_event
            (run_key, attempt, node, schedd, cluster, proc, type, event_at, detail, digest)
        SELECT run_key, attempt, node, %(schedd)s, cluster, proc, type, event_at, detail, digest
        FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS e(run_key bigint, attempt integer, node text, cluster integer, proc integer,
                    type integer, event_at timestamptz, detail jsonb, digest text)
        ON CONFLICT ON CONSTRAINT owl_event_once DO NOTHING
        """,
        {"schedd": schedd, "rows": json.dumps(rows)},
    )
    return int(cur.rowcount)


def _row(entry: Entry) -> dict[str, object]:
    event = entry.event
    detail = {name: event.facts[name] for name in _KEPT.get(event.type, ()) if name in event.facts}
    words = json.dumps(detail, sort_keys=True)
    return {
        "run_key": entry.run_key,
        "attempt": entry.attempt,
        "node": entry.node,
        "cluster": event.cluster,
        "proc": event.proc,
        "type": int(event.type),
        "event_at": event.time.isoformat(),
        "detail": detail,
        "digest": hashlib.sha256(words.encode()).hexdigest()[:16],
    }
