"""From marks to rows of ``owl_flow``: who wants the console to be current calls :func:`fold`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from psycopg2.extras import Json

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

BATCH = 2_000
_LOCK = 0x4F574C46  # "OWLF"

_TAKE = """
WITH taken AS (
    DELETE FROM owl_flow_mark WHERE id IN (
        SELECT id FROM owl_flow_mark ORDER BY id LIMIT %(most)s)
    RETURNING run_key)
SELECT DISTINCT run_key FROM taken
"""

# The node to look at comes from the latest try of each node of the latest attempt.
_FOLD = """
INSERT INTO owl_flow AS f (
    run_key, dag_id, run_id, dataset, workflow, instrument, campaign, status, latest, priority,
    attempt, node, task_id, node_state, exit_code, exit_signal, hold_reason, error_kind,
    error_message, fingerprint, err_path, host, owner, nodes_total, nodes_done, created_at,
    started_at, ended_at, updated_at, lag_s, failed_at)
SELECT r.run_key, r.dag_id, r.run_id, r.dataset, r.workflow,
       coalesce(h.instrument, CASE WHEN r.dataset ~ '^[ijlo][a-z0-9]{8}$' THEN
         CASE left(r.dataset, 1) WHEN 'i' THEN 'WFC3' WHEN 'j' THEN 'ACS' WHEN 'l' THEN 'COS'
                                 ELSE 'STIS' END END),
       h.campaign, r.state,
       NOT EXISTS (SELECT FROM owl_run later WHERE later.dataset = r.dataset
                    AND later.workflow = r.workflow AND later.run_key > r.run_key),
       r.priority, r.latest_attempt, n.node, n.task_id, n.state, n.exit_code, n.exit_signal,
       CASE WHEN n.state = 'held' THEN n.hold_reason END,
       coalesce(a.error_kind, CASE
         WHEN n.state = 'held' THEN 'held'
         WHEN n.state NOT IN ('failed', 'removed', 'unknown') THEN NULL
         WHEN n.exit_signal IS NOT NULL THEN 'signal_' || n.exit_signal
         WHEN n.exit_code > 0 THEN coalesce(%(names)s::jsonb ->> n.exit_code::text,
                                            'exit_' || n.exit_code)
         ELSE n.state END),
       left(coalesce(a.error_message, CASE WHEN n.state = 'held' THEN n.hold_reason
                                           WHEN n.state = 'failed' THEN n.reason END), 2000),
       NULL, CASE WHEN n.state IN ('failed', 'held') THEN n.err_path END, n.host, n.owner,
       coalesce(c.total, 0), coalesce(c.done, 0), r.created_at, r.started_at, r.ended_at,
       greatest(r.updated_at, c.updated_at),
       n.lag_s,
       CASE WHEN r.state IN ('failed', 'held', 'removed') THEN coalesce(
         CASE WHEN n.state IN ('failed', 'removed') THEN coalesce(n.ended_at, n.event_at)
              WHEN n.state = 'held' THEN n.event_at END, r.ended_at, a.ended_at, r.updated_at) END
  FROM owl_run r
  LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
  LEFT JOIN owl_queue_history h ON h.dag_id = r.dag_id AND h.run_id = r.run_id
  LEFT JOIN LATERAL (
    SELECT count(*) AS total, count(*) FILTER (WHERE t.state = 'done') AS done,
           max(t.updated_at) AS updated_at
      FROM (SELECT DISTINCT ON (o.node) o.state, o.updated_at FROM owl_node o
             WHERE o.run_key = r.run_key AND o.attempt = r.latest_attempt
             ORDER BY o.node, o.try DESC) t) c ON true
  LEFT JOIN LATERAL (
    SELECT t.* FROM (
        SELECT DISTINCT ON (o.node) o.* FROM owl_node o
         WHERE o.run_key = r.run_key AND o.attempt = r.latest_attempt
         ORDER BY o.node, o.try DESC) t
     ORDER BY CASE t.state WHEN 'failed' THEN 0 WHEN 'removed' THEN 1 WHEN 'unknown' THEN 1
                           WHEN 'held' THEN 2 WHEN 'running' THEN 3 WHEN 'idle' THEN 4
                           WHEN 'submitted' THEN 4 WHEN 'ready' THEN 5 WHEN 'done' THEN 6
                           ELSE 7 END,
              CASE WHEN t.state = 'failed' THEN t.ended_at END,
              coalesce(t.ended_at, t.started_at, t.submitted_at) DESC NULLS LAST
     LIMIT 1) n ON true
 WHERE r.run_key = ANY(%(keys)s)
ON CONFLICT (run_key) DO UPDATE SET
    instrument = coalesce(excluded.instrument, f.instrument),
    campaign = coalesce(excluded.campaign, f.campaign), status = excluded.status,
    latest = excluded.latest, priority = excluded.priority, attempt = excluded.attempt,
    node = excluded.node, task_id = excluded.task_id, node_state = excluded.node_state,
    exit_code = excluded.exit_code, exit_signal = excluded.exit_signal,
    hold_reason = excluded.hold_reason, error_kind = excluded.error_kind,
    -- Words read from the job's error output stay as long as it is the same failure.
    error_message = CASE
      WHEN excluded.err_path IS NOT DISTINCT FROM f.err_path AND f.fingerprint IS NOT NULL
       AND excluded.error_kind IS NOT DISTINCT FROM f.error_kind
      THEN f.error_message ELSE excluded.error_message END,
    fingerprint = CASE
      WHEN excluded.err_path IS NOT DISTINCT FROM f.err_path
       AND excluded.error_kind IS NOT DISTINCT FROM f.error_kind
      THEN f.fingerprint END,
    err_path = excluded.err_path, host = excluded.host, owner = excluded.owner,
    nodes_total = excluded.nodes_total, nodes_done = excluded.nodes_done,
    started_at = excluded.started_at, ended_at = excluded.ended_at,
    updated_at = excluded.updated_at, lag_s = excluded.lag_s,
    failed_at = excluded.failed_at
"""

_OVERTAKEN = """
UPDATE owl_flow f SET latest = false
  FROM owl_flow later
 WHERE later.run_key = ANY(%(keys)s) AND f.dataset = later.dataset
   AND f.workflow = later.workflow AND f.run_key < later.run_key AND f.latest
"""


def fold(cur: Cursor, exit_names: Mapping[int, str], most: int = BATCH) -> int | None:
    """Bring marked runs up to date in this transaction.

    One at a time: two would compute from snapshots of different age.

    Parameters
    ----------
    cur
        Of a transaction in READ COMMITTED, so that rows are read after the lock was taken.
    exit_names
        Exit code -> its name.
    most
        So many marks at the most.

    Returns
    -------
    int or None
        Number of runs brought up to date; None when somebody else is at it.
    """
    cur.execute("SELECT pg_try_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})
    if cur.fetchone() != (True,):
        return None
    cur.execute(_TAKE, {"most": most})
    keys = [row[0] for row in cur.fetchall()]
    if keys:
        names = Json({str(code): name for code, name in exit_names.items()})
        cur.execute(_FOLD, {"keys": keys, "names": names})
        cur.execute(_OVERTAKEN, {"keys": keys})
    return len(keys)
