"""Runs as there would be after years: made by the server itself, the same each time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from htcondor_operator.bench.watch import Say

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

AT_ONCE = 100_000
NODES = ("2FITS", "RF", "BC", "CA", "MD", "AC", "INGEST_SCI", "PVW", "CL")
FLOWS = ("sdp_prearch_wf3", "sdp_prearch_acs", "sdp_prearch_stis", "sdp_prearch_cos",
         "wf3_single_repro", "acs_single_repro")  # fmt: skip

# Of a thousand runs: 960 done, 25 failed in one of a few nodes, 5 held, 4 running, 1 launching,
# 5 removed; one in ten is overtaken by a later run of its dataset, and one in 37 ended days later.
_RUNS = """
INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt, priority, run_dir,
                     graph, created_at, started_at, ended_at, updated_at)
SELECT w, 'dpq__' || d || '__' || k, w, d, s, 1 + (k %% 50 = 7)::int, k %% 5, '/runs/' || k,
       %(graph)s, at, at + interval '2 s',
       CASE WHEN s IN ('done', 'failed', 'removed') THEN changed END, changed
  FROM (SELECT *, least(now(), at + interval '20 min'
                 + CASE k %% 37 WHEN 5 THEN k %% 100 ELSE 0 END * interval '1 day') AS changed
  FROM (SELECT k, (%(flows)s::text[])[1 + k %% 6] AS w,
               (ARRAY['i','j','o','l','i','j'])[1 + k %% 6]
                 || lpad(to_hex((k - CASE WHEN k %% 10 = 9 THEN 6 ELSE 0 END)), 7, '0') || 'q' AS d,
               CASE WHEN k %% 1000 < 25 THEN 'failed' WHEN k %% 1000 < 30 THEN 'held'
                    WHEN k %% 1000 < 34 THEN 'running' WHEN k %% 1000 < 35 THEN 'launching'
                    WHEN k %% 1000 < 40 THEN 'removed' ELSE 'done' END AS s,
               now() - (%(total)s - k) * interval '60 s' AS at
          FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) k) u) t
"""
_ATTEMPTS = """
INSERT INTO owl_attempt (run_key, attempt, kind, state, schedd, cluster, submitted_at, started_at,
                         ended_at, requested_at)
SELECT r.run_key, a, CASE a WHEN 1 THEN 'first' ELSE 'rescue' END,
       CASE WHEN a < r.latest_attempt THEN 'failed' WHEN r.state IN ('done', 'failed', 'removed')
            THEN r.state ELSE 'live' END,
       'schedd@host', r.run_key * 20 + a, r.started_at, r.started_at, r.ended_at, r.created_at
  FROM owl_run r, generate_series(1, r.latest_attempt) a
 WHERE r.run_key > %(low)s AND r.run_key <= %(high)s
"""
# In a run that is not done, the nodes before number `stop` are done.
_NODES = """
INSERT INTO owl_node (run_key, attempt, node, task_id, state, cluster, proc, owner, host, exit_code,
                      hold_code, hold_reason, memory_request_mb, memory_peak_mb, out_path, err_path,
                      submitted_at, started_at, ended_at, event_at, updated_at, source)
SELECT run_key, latest_attempt, node, node, s, run_key * 20 + n, 0, 'owl', 'exec' || run_key %% 40,
       CASE s WHEN 'done' THEN 0 WHEN 'failed' THEN 20 + run_key %% 12 END,
       CASE s WHEN 'held' THEN 34 END, CASE s WHEN 'held' THEN 'memory usage exceeded' END,
       512, 300, '/runs/x.out', CASE WHEN s IN ('failed', 'held') THEN '/runs/x.err' END,
       started_at + n * interval '2 min', started_at + n * interval '2 min',
       CASE WHEN s IN ('done', 'failed') THEN started_at + (n + 1) * interval '2 min' END,
       started_at, updated_at, 'event_log'
  FROM (SELECT r.*, node, n, CASE
               WHEN r.state = 'done' OR n < stop THEN 'done'
               WHEN n > stop OR r.state = 'launching' THEN 'unready'
               WHEN r.state = 'removed' THEN 'removed' ELSE r.state END AS s
          FROM (SELECT o.*, (ARRAY[4, 4, 4, 2, 5, 7])[1 + run_key %% 6] AS stop
                  FROM owl_run o WHERE o.run_key > %(low)s AND o.run_key <= %(high)s) r,
               unnest(%(nodes)s::text[]) WITH ORDINALITY AS t (node, n)) u
"""
# Every run has come out of the queue; the first ones of each 20,000 belong to a campaign.
_HISTORY = """
INSERT INTO owl_queue_history (id, fileset, type, instrument, priority, payload, campaign,
                               requested_by, inserted_at, left_at, dag_id, run_id, outcome,
                               ended_at)
SELECT run_key + %(entries)s, dataset, workflow,
       (ARRAY['WF3','ACS','STIS','COS','WF3','ACS'])[1 + run_key %% 6], priority, '{}',
       CASE WHEN run_key %% 20000 < 2000 THEN 'repro_' || run_key / 20000 END, 'bench', created_at,
       created_at, dag_id, run_id,
       CASE WHEN state IN ('done', 'failed', 'removed') THEN state ELSE 'shoveled' END, ended_at
  FROM owl_run WHERE run_key > %(low)s AND run_key <= %(high)s
"""


def fill(connection: Connection, runs: int, say: Say) -> None:
    """Make `runs` runs of nine nodes and all that belongs to them; fold them as the mirror does.

    The database has Airflow's tables as well, and the entries of ``queue_data``.
    """
    from htcondor_operator.bench import console_site
    from htcondor_operator.mirror.flow import look

    with connection, connection.cursor() as cur:
        cur.execute("SELECT coalesce(max(id), 0) FROM owl_queue")
        entries = (cur.fetchone() or (0,))[0]
    for low in range(0, runs, AT_ONCE):
        high = min(low + AT_ONCE, runs)
        with connection, connection.cursor() as cur:
            _piece(cur, low, high, runs, entries)
        say(f"{high} of {runs} runs")
    console_site.fill(connection, runs, entries, say)
    with connection, connection.cursor() as cur:
        # Each run has three marks by now; one is enough.
        cur.execute("TRUNCATE owl_flow_mark")
        cur.execute("INSERT INTO owl_flow_mark (run_key) SELECT run_key FROM owl_run")
    folded = 0
    while piece := look(connection):
        folded += piece
        if folded % AT_ONCE < piece:
            say(f"{folded} folded")
    connection.autocommit = True
    with connection.cursor() as cur:
        cur.execute("SET statement_timeout = 0")
        cur.execute("VACUUM (ANALYZE)")
    connection.autocommit = False
    say("vacuum, analyze")


def _piece(cur: Cursor, low: int, high: int, total: int, entries: int) -> None:
    from psycopg2.extras import Json

    cur.execute("SET LOCAL statement_timeout = 0")
    edges = [list(pair) for pair in pairwise(NODES)]
    cur.execute("SELECT coalesce(max(run_key), 0) FROM owl_run")
    first = (cur.fetchone() or (0,))[0]
    graph = Json({"nodes": list(NODES), "edges": edges})
    cur.execute(
        _RUNS,
        {"low": low, "high": high, "total": total, "flows": list(FLOWS), "graph": graph},
    )
    cur.execute("SELECT max(run_key) FROM owl_run")
    last = (cur.fetchone() or (0,))[0]
    keys = {"low": first, "high": last, "nodes": list(NODES)}
    cur.execute(_ATTEMPTS, keys)
    cur.execute(_NODES, keys)
    cur.execute(_HISTORY, {**keys, "entries": entries})
