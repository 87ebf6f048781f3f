"""Shoveling: read what waits and what runs, plan, and move one batch in one transaction.

Each batch is one transaction: the entries are claimed, their DAG runs are made, and they move to
the history. A process or a server that dies in between leaves them in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from htcondor_operator.blackboard import claim_rows
from htcondor_operator.blackboard.setting_rows import get_setting
from htcondor_operator.queue.shoveler.dag_runs import insert_dag_runs
from htcondor_operator.queue.shoveler.policy import Cell, Load, Plan, Policy, Workflow, plan
from htcondor_operator.queue.shoveler.policy_values import SETTING, from_json

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

POOL_FRESH_S = 60.0
"""What the gateway said about the pool counts for so long."""


@dataclass(frozen=True)
class Batch:
    """What one transaction did.

    Parameters
    ----------
    shoveled
        Entries that are now in Airflow.
    plan
        What was planned, and why types wait.
    busy
        Another process was shoveling, so nothing was done.
    stopped
        The policy says stop.
    """

    shoveled: int = 0
    plan: Plan = field(default_factory=Plan)
    busy: bool = False
    stopped: bool = False


def read_policy(cur: Cursor) -> Policy:
    """Return the policy as it is now."""
    return from_json(get_setting(cur, SETTING))


def look(cur: Cursor, policy: Policy, depth: int | None = None) -> tuple[list[Cell], Load]:
    """Read what waits and what runs.

    Of each type and instrument `depth` entries are counted, a batch by default: no more can be
    shoveled at once.
    """
    cells = [Cell(**row) for row in claim_rows.census(cur, depth or policy.batch)]
    types = sorted({cell.type for cell in cells})
    alive = claim_rows.running(cur, types)
    recent, since = claim_rows.recent_starts(cur)
    load = Load(
        running={row["dag_id"]: row["running"] for row in alive},
        instruments=claim_rows.running_instruments(cur),
        not_started=sum(row["queued"] for row in alive),
        recent=recent,
        since_last_s=since,
        idle_jobs=claim_rows.pool_idle_jobs(cur, POOL_FRESH_S),
        workflows={
            row["dag_id"]: Workflow(row["obstacle"], row["max_active_runs"])
            for row in claim_rows.workflows(cur, types)
        },
    )
    return cells, load


def shovel_batch(cur: Cursor, policy: Policy | None = None) -> Batch:
    """Shovel one batch. The caller's transaction begins here, and is committed right after it."""
    if not claim_rows.lock_shoveling(cur):
        return Batch(busy=True)
    policy = read_policy(cur) if policy is None else policy
    if policy.stop or not claim_rows.anything_waits(cur):
        return Batch(stopped=policy.stop)
    ids, decided = claim_batch(cur, policy)
    return Batch(into_airflow(cur, ids), decided)


def claim_batch(cur: Cursor, policy: Policy) -> tuple[list[int], Plan]:
    """Look, plan, and lock the entries of one batch up to the transaction's end."""
    decided = plan(policy, *look(cur, policy))
    return claim_rows.claim(cur, decided.grants) if decided.grants else [], decided


def into_airflow(cur: Cursor, ids: Sequence[int]) -> int:
    """Make the DAG runs of claimed entries and move them to the history."""
    if not ids:
        return 0
    insert_dag_runs(cur, ids)
    return claim_rows.move_to_history(cur, ids)
