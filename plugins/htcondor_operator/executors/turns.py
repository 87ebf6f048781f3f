"""Says which DAG runs Airflow's scheduler should look at next.

Its looks are the greatest part of what a node costs in Airflow (about 6 CPU-ms each, nine of ten
for nothing, 3.3.2), and nodes are mirrored without them. So the scheduler gets to look at few runs
in a loop, and this module puts those at the head for which something is to be decided: a start, the
end of the run, what depends on a failed node, a clear, and all runs that are not mirrored. It
writes ``dag_run.last_scheduling_decision`` (NULL goes first, as after Airflow's own clears), sets
how many runs the scheduler of this process takes in a loop, and gives a run that was ended too
early its turn again (``dag_run.state``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

ROTATION = 3
"""Runs that are looked at in each loop although nothing is known to be decided about them."""

ORDINARY = 20
"""Runs without a mirror that have a turn in each loop (Airflow's default for all runs)."""

RunKey = tuple[str, str]
"""``dag_id`` and ``run_id`` of a DAG run."""


def wake_runs(cur: Cursor, runs: Collection[RunKey]) -> int:
    """Let the scheduler look next at those of `runs` that are running, before all others.

    It looks at few of them in a loop, first at those that it has never looked at. Each look costs
    it more than all else about a node, so it is told where one matters.
    """
    cur.execute(
        """
        UPDATE dag_run dr SET last_scheduling_decision = NULL
        FROM unnest(%(dags)s::text[], %(runs)s::text[]) AS k(dag_id, run_id)
        WHERE dr.dag_id = k.dag_id AND dr.run_id = k.run_id
          AND dr.state = 'running' AND dr.last_scheduling_decision IS NOT NULL
        """,
        {"dags": [dag for dag, _ in runs], "runs": [run for _, run in runs]},
    )
    return int(cur.rowcount)


@dataclass(frozen=True)
class Waiting:
    """DAG runs that wait for the scheduler.

    Parameters
    ----------
    ordinary
        To be started, or to be looked at next.
    backfill
        Runs of backfills that are to be looked at next.
    ahead
        Running DAG runs that Airflow takes before any run of a backfill, whatever is to be decided
        about them (3.3.2 sorts by the backfill's order first).
    """

    ordinary: int
    backfill: int
    ahead: int


def waiting_runs(cur: Cursor) -> Waiting:
    """Count the DAG runs that wait for the scheduler."""
    cur.execute(
        """
        SELECT count(*) FILTER (WHERE last_scheduling_decision IS NULL AND b.id IS NULL)
                 + (SELECT count(*) FROM dag_run WHERE state = 'queued'),
               count(*) FILTER (WHERE last_scheduling_decision IS NULL AND b.id IS NOT NULL),
               count(*) FILTER (WHERE b.id IS NULL)
        FROM dag_run d LEFT JOIN backfill_dag_run b ON b.dag_run_id = d.id
        WHERE d.state = 'running'
        """
    )
    row = cur.fetchone()
    return Waiting(*(row or (0, 0, 0)))


def set_turns(waiting: Waiting) -> None:
    """Let the scheduler of this process look at as many runs in its next loop as is worth it.

    Those that wait, and a few of the others in turn; never more than its configuration says,
    except to come to a backfill's runs, which would otherwise wait for all others to end.
    """
    from airflow.configuration import conf
    from airflow.models.dagrun import DagRun

    most = conf.getint("scheduler", "max_dagruns_per_loop_to_schedule", fallback=20)
    examine = min(most, ROTATION + waiting.ordinary)
    if waiting.backfill:
        examine = max(examine, waiting.ahead + waiting.backfill)
    DagRun.DEFAULT_DAGRUNS_TO_EXAMINE = examine


def ordinary_runs(cur: Cursor) -> set[RunKey]:
    """Return running DAG runs that this executor does not mirror: the scheduler drives them.

    Not those in which nothing was changed since the last look and all that goes on waits in the
    triggerer: every poller has such a run, all day long.
    """
    cur.execute(
        """
        SELECT dr.dag_id, dr.run_id FROM dag_run dr
        WHERE dr.state = 'running' AND dr.last_scheduling_decision IS NOT NULL
          AND dr.triggered_by IS DISTINCT FROM 'TEST'
          AND NOT EXISTS (SELECT 1 FROM owl_run r WHERE r.dag_id = dr.dag_id
                             AND r.run_id = dr.run_id AND r.mirrored)
          AND (NOT EXISTS (SELECT 1 FROM task_instance ti WHERE ti.dag_id = dr.dag_id
                             AND ti.run_id = dr.run_id AND ti.state = 'deferred')
               OR EXISTS (SELECT 1 FROM task_instance ti WHERE ti.dag_id = dr.dag_id
                            AND ti.run_id = dr.run_id
                            AND (ti.state IN ('scheduled', 'queued', 'running', 'restarting',
                                              'up_for_retry', 'up_for_reschedule')
                                 OR ti.updated_at > dr.last_scheduling_decision)))
        ORDER BY dr.last_scheduling_decision LIMIT %(limit)s
        """,
        {"limit": ORDINARY},
    )
    return {(row[0], row[1]) for row in cur.fetchall()}


def ended_runs(cur: Cursor) -> set[RunKey]:
    """Return the running DAG runs whose DAGMan has ended.

    For a while only: the DAG run may have other tasks, and others must have their turn.
    """
    cur.execute(
        """
        SELECT dr.dag_id, dr.run_id FROM dag_run dr JOIN owl_run r USING (dag_id, run_id)
        WHERE dr.state = 'running' AND r.mirrored AND r.state IN ('done', 'failed', 'removed')
          AND dr.last_scheduling_decision < r.updated_at + interval '20 seconds'
        """
    )
    return {(row[0], row[1]) for row in cur.fetchall()}


def cleared_runs(cur: Cursor) -> set[RunKey]:
    """Return the running DAG runs of which a bound task instance has got a new identity.

    Airflow puts a run at the head only when it was over. This looks at all nodes of all running
    runs, so it is for once in a while.
    """
    cur.execute(
        """
        SELECT DISTINCT dr.dag_id, dr.run_id
        FROM dag_run dr JOIN owl_run r USING (dag_id, run_id)
        JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt AND n.try = 0
        LEFT JOIN task_instance node ON node.id = n.ti_id
        LEFT JOIN task_instance launch ON launch.id = r.launch_ti_id
        WHERE dr.state = 'running' AND r.mirrored AND dr.last_scheduling_decision IS NOT NULL
          AND ((n.ti_id IS NOT NULL AND node.id IS NULL)
               OR (r.launch_ti_id IS NOT NULL AND launch.id IS NULL))
        """
    )
    return {(row[0], row[1]) for row in cur.fetchall()}


def reopen_early_ends(cur: Cursor, since: Any, *, all_failed: bool) -> int:
    """Open again the DAG runs that the scheduler took for ended before their DAGMan was.

    A clear that comes while the scheduler ends the run leaves it ended, with cleared task
    instances (3.3.2: the clear has read the state before, and writes none), and nobody would look
    at it again. An ended run has no unfinished task instances, and one whose nodes all came to a
    good end after it was said to have failed has not failed; what operators mark looks otherwise.

    Parameters
    ----------
    since
        Nodes that were changed since then are looked at.
    all_failed
        Look at all runs that failed in the last days, too: worth doing less often.
    """
    cur.execute(
        """
        WITH candidate AS (
            SELECT a.run_key FROM owl_attempt a
            WHERE a.state IN ('wanted', 'clearing', 'submitting', 'live')
            UNION
            SELECT n.run_key FROM owl_node n WHERE n.updated_at >= %(since)s
            UNION
            SELECT r.run_key FROM owl_run r
            WHERE %(all_failed)s AND r.state = 'failed' AND r.ended_at > now() - interval '7 days'
        ), early AS (
            SELECT d.id FROM candidate c JOIN owl_run r ON r.run_key = c.run_key AND r.mirrored
            JOIN dag_run d ON d.dag_id = r.dag_id AND d.run_id = r.run_id
                          AND d.state IN ('failed', 'success')
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE ti.state IS NULL OR ti.state IN
                           ('scheduled', 'queued', 'running', 'restarting')) AS unfinished,
                       count(*) FILTER (WHERE ti.state IN ('failed', 'upstream_failed')) AS failed
                FROM task_instance ti WHERE ti.dag_id = d.dag_id AND ti.run_id = d.run_id
            ) AS task
            WHERE task.unfinished > 0
               OR (d.state = 'failed' AND task.failed = 0 AND r.state = 'done'
                   AND d.end_date < r.ended_at)
        )
        UPDATE dag_run d SET state = 'running', end_date = NULL, last_scheduling_decision = NULL,
               updated_at = now()
        FROM early WHERE d.id = early.id
        """,
        {"since": since, "all_failed": all_failed},
    )
    return int(cur.rowcount)
