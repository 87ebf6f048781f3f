"""SQL of the pool: a whole snapshot replaces the one before; machines are remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg2.extras import execute_values

from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Slot:
    """A slot as its machine advertises it.

    Parameters
    ----------
    kind
        ``Static``, ``Partitionable`` or ``Dynamic``.
    job
        ``cluster.proc`` that runs in it.
    since
        When it entered its state.
    """

    name: str
    machine: str
    kind: str
    state: str
    activity: str
    cpus: float
    memory_mb: float
    disk_mb: float
    gpus: float
    load: float | None
    owner: str | None
    job: str | None
    since: datetime | None


@dataclass(frozen=True)
class Machine:
    """An execute machine: what it has in all, and its HTCondor."""

    machine: str
    cpus: float
    memory_mb: float
    gpus: float
    software: str | None


def write_snapshot(cur: Cursor, slots: Sequence[Slot], machines: Sequence[Machine]) -> None:
    """Replace the slots; note which machines are here, have come and have gone."""
    cur.execute(
        "DELETE FROM owl_slot WHERE NOT name = ANY(%(names)s)", {"names": [s.name for s in slots]}
    )
    if slots:
        execute_values(
            cur,
            """
            INSERT INTO owl_slot (name, machine, kind, state, activity, cpus, memory_mb, disk_mb,
                                  gpus, load, owner, job, since)
            VALUES %s
            ON CONFLICT (name) DO UPDATE SET machine = excluded.machine, kind = excluded.kind,
                state = excluded.state, activity = excluded.activity, cpus = excluded.cpus,
                memory_mb = excluded.memory_mb, disk_mb = excluded.disk_mb, gpus = excluded.gpus,
                load = excluded.load, owner = excluded.owner, job = excluded.job,
                since = excluded.since, seen_at = now()
            """,
            [astuple(slot) for slot in slots],
            page_size=1000,
        )
    cur.execute(
        "UPDATE owl_machine SET present = false, left_at = now() "
        "WHERE present AND NOT machine = ANY(%(names)s)",
        {"names": [m.machine for m in machines]},
    )
    if machines:
        execute_values(
            cur,
            """
            INSERT INTO owl_machine AS m (machine, cpus, memory_mb, gpus, software, present)
            VALUES %s
            ON CONFLICT (machine) DO UPDATE SET cpus = excluded.cpus, present = true,
                memory_mb = excluded.memory_mb, gpus = excluded.gpus, seen_at = now(),
                software = excluded.software, left_at = NULL,
                joined_at = CASE WHEN m.present THEN m.joined_at ELSE now() END
            """,
            [(*astuple(m), True) for m in machines],
            page_size=1000,
        )


def overview(cur: Cursor) -> dict[str, Any]:
    """Return totals, machines with their load, and who uses what."""
    cur.execute(
        """
        SELECT m.machine, m.present, m.cpus, m.memory_mb, m.gpus, m.software, m.joined_at,
               m.left_at, m.seen_at, coalesce(s.busy, 0) AS busy_slots,
               coalesce(s.busy_cpus, 0) AS busy_cpus, coalesce(s.busy_mb, 0) AS busy_mb,
               coalesce(s.slots, 0) AS slots, s.load
          FROM owl_machine m LEFT JOIN (
            SELECT machine, count(*) FILTER (WHERE job IS NOT NULL) AS busy,
                   sum(cpus) FILTER (WHERE job IS NOT NULL) AS busy_cpus,
                   sum(memory_mb) FILTER (WHERE job IS NOT NULL) AS busy_mb,
                   count(*) AS slots, max(load) AS load
              FROM owl_slot GROUP BY machine) s USING (machine)
         ORDER BY m.present DESC, m.machine LIMIT 2000
        """
    )
    machines = named_rows(cur)
    cur.execute(
        """
        SELECT owner, count(*) AS slots, sum(cpus) AS cpus, sum(memory_mb) AS memory_mb
          FROM owl_slot WHERE job IS NOT NULL GROUP BY owner ORDER BY cpus DESC LIMIT 100
        """
    )
    users = named_rows(cur)
    cur.execute(
        "SELECT detail -> 'pool' AS pool FROM owl_daemon WHERE name = 'gateway' "
        "ORDER BY beat_at DESC LIMIT 1"
    )
    row = cur.fetchone()
    jobs = row[0] if row else None
    counted = datetime.fromisoformat(jobs["at"]) if jobs and jobs.get("at") else None
    seen = [m["seen_at"] for m in machines if m["present"]]
    # The older of the two sources: a page must not be newer than any of its figures.
    as_of = min((at for at in (counted, max(seen, default=None)) if at), default=None)
    return {"machines": machines, "users": users, "jobs": jobs, "as_of": as_of}


def slots_of(cur: Cursor, machine: str, dags: Sequence[str]) -> list[dict[str, Any]]:
    """Return a machine's slots with the nodes that run in them, if they are of `dags`."""
    cur.execute(
        """
        SELECT s.*, r.run_key, CASE WHEN r.run_key IS NOT NULL THEN n.node END AS node, r.dataset
          FROM owl_slot s
          LEFT JOIN LATERAL (
            SELECT run_key, node FROM owl_node
             WHERE s.job ~ '^[0-9]{1,9}[.][0-9]{1,9}$'
               AND cluster = split_part(s.job, '.', 1)::integer
               AND proc = split_part(s.job, '.', 2)::integer
             ORDER BY attempt DESC LIMIT 1) n ON true
          LEFT JOIN owl_run r ON r.run_key = n.run_key AND r.dag_id = ANY(%(dags)s)
         WHERE s.machine = %(machine)s ORDER BY s.name
        """,
        {"machine": machine, "dags": list(dags)},
    )
    return named_rows(cur)


def seen_at(cur: Cursor, machine: str) -> datetime | None:
    """Return when a machine was last seen in the pool."""
    cur.execute("SELECT seen_at FROM owl_machine WHERE machine = %(m)s", {"m": machine})
    row = cur.fetchone()
    return row[0] if row else None
