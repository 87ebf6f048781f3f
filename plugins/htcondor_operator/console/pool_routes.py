"""``/pool``: machines, slots, who uses what; and whether OWL itself is well."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from htcondor_operator.blackboard import health, pool_rows
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.console.access import ReaderDep
from htcondor_operator.console.database import connections

router = APIRouter(prefix="/pool", tags=["pool"])


@router.get("")
def pool(who: ReaderDep) -> dict[str, Any]:
    """Return machines with their load, users, and the schedd's jobs by state."""
    with connections.transaction() as cur:
        return pool_rows.overview(cur)


@router.get("/machines/{machine}")
def slots(who: ReaderDep, machine: str) -> dict[str, Any]:
    """Return a machine's slots and what runs in them, as far as the caller may read it."""
    with connections.transaction() as cur:
        rows = pool_rows.slots_of(cur, machine, sorted(who.dags))
        as_of = pool_rows.seen_at(cur, machine)
    return {"rows": rows, "as_of": as_of}


@router.get("/health")
def well(who: ReaderDep) -> dict[str, Any]:
    """Return the heartbeats of OWL's daemons, how far the event logs were read, and their lag."""
    with connections.transaction() as cur:
        silent = health.silent(cur)
        beats = [
            {
                "name": beat.name,
                "host": beat.host,
                "state": beat.state if beat.is_fresh else "silent",
                "age_s": beat.age_s,
                "fresh": beat.is_fresh,
                "detail": beat.detail,
                "facts": beat.facts(),
                "sentence": beat.sentence(),
            }
            for beat in health.beats(cur)
        ]
        cur.execute(
            "SELECT schedd, events, event_at, lag_p50_s, lag_p99_s, updated_at FROM owl_cursor"
        )
        logs = named_rows(cur)
        cur.execute(
            "SELECT count(*), extract(epoch FROM now() - min(at))::float8 FROM owl_flow_mark"
        )
        marks, oldest = cur.fetchone() or (0, None)
    return {
        "daemons": beats,
        "silent": silent,
        "logs": logs,
        "console": {"marks": marks, "oldest_s": oldest},
        "as_of": datetime.now(UTC),
    }
