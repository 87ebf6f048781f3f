"""What may be wrong, one query for each rule.

All read what is kept small or is found by an index: the failed, held and running among millions
of runs, the age of what waits by type, heartbeats.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

MOST = 500
"""Causes of failures that are alerts of their own, the most frequent ones."""

_COUNTED = 10_000
"""Waiting entries are not counted further."""

_FAILED = """
WITH c AS (
    SELECT coalesce(node, '') AS node, coalesce(error_kind, '') AS error_kind,
           coalesce(fingerprint, '') AS fingerprint, dag_id, count(*) AS n,
           max(run_key) AS sample
      FROM owl_flow f
     WHERE latest AND status IN ('failed', 'held', 'removed') AND status = 'failed'
       AND NOT EXISTS (
           SELECT FROM owl_accepted_error a
            WHERE a.workflow = f.workflow AND a.node = coalesce(f.node, '')
              AND a.error_kind = coalesce(f.error_kind, '')
              AND a.fingerprint = coalesce(f.fingerprint, '')
              AND (a.until IS NULL OR a.until > now()))
     GROUP BY 1, 2, 3, 4),
g AS (
    SELECT node, error_kind, fingerprint, sum(n)::bigint AS n, max(sample) AS sample,
           array_agg(dag_id ORDER BY dag_id) AS dags
      FROM c GROUP BY 1, 2, 3 HAVING sum(n) >= %(datasets)s
     ORDER BY n DESC LIMIT %(most)s)
SELECT g.*, f.dataset, f.workflow, f.dag_id, f.error_message, f.exit_code, f.exit_signal,
       f.host, f.err_path
  FROM g JOIN owl_flow f ON f.run_key = g.sample
"""


def failed(cur: Cursor, *, datasets: float) -> list[dict[str, Any]]:
    """Return causes of failures that nobody has accepted, with a sample each."""
    cur.execute(_FAILED, {"datasets": datasets, "most": MOST})
    return named_rows(cur)


_HELD = """
WITH held AS (
    SELECT coalesce(f.node, '') AS node, coalesce(f.error_kind, '') AS error_kind,
           coalesce(f.fingerprint, '') AS fingerprint, f.run_key, f.dag_id,
           coalesce(n.since, f.updated_at) AS since
      FROM owl_flow f
      LEFT JOIN LATERAL (
           SELECT min(coalesce(event_at, updated_at)) AS since FROM owl_node n
            WHERE n.run_key = f.run_key AND n.attempt = f.attempt AND n.state = 'held') n ON true
     WHERE f.latest AND f.status = 'held'
       AND NOT EXISTS (
           SELECT FROM owl_accepted_error a
            WHERE a.workflow = f.workflow AND a.node = coalesce(f.node, '')
              AND a.error_kind = coalesce(f.error_kind, '')
              AND a.fingerprint = coalesce(f.fingerprint, '')
              AND (a.until IS NULL OR a.until > now()))),
g AS (
    SELECT node, error_kind, fingerprint, count(*) AS n, min(since) AS since,
           max(run_key) AS sample, array_agg(DISTINCT dag_id) AS dags
      FROM held WHERE since < now() - %(seconds)s * interval '1 second'
     GROUP BY 1, 2, 3 ORDER BY n DESC LIMIT %(most)s)
SELECT g.*, f.dataset, f.workflow, f.dag_id, f.hold_reason, f.host
  FROM g JOIN owl_flow f ON f.run_key = g.sample
"""


def held(cur: Cursor, *, seconds: float) -> list[dict[str, Any]]:
    """Return causes of which datasets are on hold for too long."""
    cur.execute(_HELD, {"seconds": seconds, "most": MOST})
    return named_rows(cur)


_SLOW = """
SELECT f.workflow, count(*) AS n, min(a.requested_at) AS since,
       array_agg(DISTINCT f.dag_id) AS dags,
       (array_agg(f.dataset ORDER BY a.requested_at))[1] AS dataset,
       (array_agg(f.node ORDER BY a.requested_at))[1] AS node,
       (array_agg(f.host ORDER BY a.requested_at))[1] AS host
  FROM owl_flow f JOIN owl_attempt a ON a.run_key = f.run_key AND a.attempt = f.attempt
 WHERE f.latest AND f.status IN ('launching', 'running', 'rescued')
   AND f.created_at < now() - %(seconds)s * interval '1 second'
   AND a.requested_at < now() - %(seconds)s * interval '1 second'
 GROUP BY f.workflow
"""


def slow(cur: Cursor, *, seconds: float) -> list[dict[str, Any]]:
    """Return workflows with runs whose present attempt takes too long."""
    cur.execute(_SLOW, {"seconds": seconds})
    return named_rows(cur)


_BACKLOG = """
WITH types AS (SELECT type FROM owl_queue_tally WHERE state = 'waiting'
                GROUP BY type HAVING sum(n) > 0)
SELECT t.type, o.inserted_at AS since, o.fileset AS dataset, c.n
  FROM types t
 CROSS JOIN LATERAL (
       SELECT inserted_at, fileset FROM owl_queue q
        WHERE q.type = t.type AND q.state = 'waiting' AND q.campaign IS NULL
        ORDER BY inserted_at LIMIT 1) o
 CROSS JOIN LATERAL (
       SELECT count(*) AS n FROM (
           SELECT FROM owl_queue q
            WHERE q.type = t.type AND q.state = 'waiting' AND q.campaign IS NULL
              AND q.inserted_at < now() - %(seconds)s * interval '1 second'
            LIMIT %(counted)s) l) c
 WHERE o.inserted_at < now() - %(seconds)s * interval '1 second'
"""


def backlog(cur: Cursor, *, seconds: float) -> list[dict[str, Any]]:
    """Return types of which entries of no campaign wait for too long."""
    cur.execute(_BACKLOG, {"seconds": seconds, "counted": _COUNTED})
    return named_rows(cur)


_LAG = """
SELECT 'mirror of ' || schedd AS what, lag_p99_s::float8 AS lag_s FROM owl_cursor
 WHERE lag_p99_s > %(seconds)s AND updated_at > now() - interval '5 minutes'
UNION ALL
SELECT 'console', extract(epoch FROM now() - at)::float8
  FROM (SELECT at FROM owl_flow_mark ORDER BY id LIMIT 1) m
 WHERE at < now() - %(seconds)s * interval '1 second'
"""


def lag(cur: Cursor, *, seconds: float) -> list[dict[str, Any]]:
    """Return event logs, or the console's rows, that are behind."""
    cur.execute(_LAG, {"seconds": seconds})
    return named_rows(cur)


_POOL = """
SELECT count(*) FILTER (WHERE present) AS present, count(*) AS known,
       max(machine) FILTER (WHERE left_at = last) AS latest, max(last) AS left_at,
       (SELECT coalesce(sum(n), 0)::bigint FROM owl_flow_tally
         WHERE status IN ('launching', 'running', 'rescued')) AS open
  FROM (SELECT *, max(left_at) OVER () AS last FROM owl_machine) m
"""


def pool(cur: Cursor) -> dict[str, Any]:
    """Return how many machines are here, the last one that left, and how many runs are open."""
    cur.execute(_POOL)
    return named_rows(cur)[0]


_SILENT = """
SELECT name, host, state, age_s FROM (
    SELECT DISTINCT ON (name) name, host, state,
           extract(epoch FROM now() - beat_at)::float8 AS age_s
      FROM owl_daemon ORDER BY name, beat_at DESC) d
 WHERE age_s > %(seconds)s
"""


def silent_daemons(cur: Cursor, *, seconds: float) -> list[dict[str, Any]]:
    """Return daemons without a heartbeat on any host."""
    cur.execute(_SILENT, {"seconds": seconds})
    return named_rows(cur)


_CAMPAIGNS = """
WITH flying AS MATERIALIZED (
    SELECT DISTINCT m.campaign FROM owl_queue_history h
      JOIN owl_campaign_member m ON m.entry = h.id WHERE h.outcome = 'shoveled')
SELECT c.name, c.type, c.total, c.updated_at,
       EXISTS (SELECT FROM owl_queue q WHERE q.campaign = c.name) AS waits,
       EXISTS (SELECT FROM flying f WHERE f.campaign = c.name) AS flies
  FROM owl_campaign c
 WHERE c.state = 'running' AND c.total > 0
   AND NOT EXISTS (SELECT FROM owl_alert a
                    WHERE a.rule = 'campaign_done' AND a.subject = c.name
                      AND a.opened_at > c.updated_at)
"""


def campaigns(cur: Cursor) -> list[dict[str, Any]]:
    """Return running campaigns whose end was not told, and whether they have something open."""
    cur.execute(_CAMPAIGNS)
    return named_rows(cur)


def moved(cur: Cursor, names: Collection[str], *, seconds: float) -> set[str]:
    """Return those campaigns that were changed, or a run of which has moved, lately."""
    cur.execute(
        """
        SELECT c.name FROM owl_campaign c
         WHERE c.name = ANY(%(names)s)
           AND (c.updated_at > now() - %(seconds)s * interval '1 second'
             OR EXISTS (SELECT FROM owl_flow f
                         WHERE f.latest AND f.campaign = c.name
                           AND f.updated_at > now() - %(seconds)s * interval '1 second'))
        """,
        {"names": list(names), "seconds": seconds},
    )
    return {row[0] for row in cur.fetchall()}
