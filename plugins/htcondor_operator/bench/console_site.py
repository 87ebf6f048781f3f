"""What stands around the runs of ``owl bench console``: campaigns, products, pollers, a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htcondor_operator.bench.watch import Say

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

PRODUCTS_AT_ONCE = 200_000
LARGE = "repro_large"
"""A campaign with 10,000 members (with as many runs as there are, if there are fewer)."""

# What the runs' history says belongs to a campaign, and one large campaign of the latest runs.
_CAMPAIGNS = """
INSERT INTO owl_campaign (name, type, state, priority, total, source, reason, created_by,
                          created_at)
SELECT campaign, min(type), 'running', 0, count(*), 'list', 'new flat fields', 'bench',
       min(inserted_at)
  FROM owl_queue_history WHERE campaign IS NOT NULL GROUP BY campaign
UNION ALL
SELECT %(large)s, 'sdp_prearch_acs', 'running', 0, 10000, 'list', 'new darks', 'bench', now()
"""
_MEMBERS = """
INSERT INTO owl_campaign_member (campaign, part, fileset, type, entry, put_at)
SELECT campaign, run_id, fileset, type, id, inserted_at FROM owl_queue_history
 WHERE campaign IS NOT NULL
UNION ALL
SELECT %(large)s, run_id, fileset, type, id, inserted_at
  FROM (SELECT * FROM owl_queue_history WHERE id > %(entries)s ORDER BY id DESC LIMIT 10000) h
"""
# Airflow keeps the runs of the last weeks.
_DAG_RUNS = """
INSERT INTO dag_run (dag_id, run_id, run_type, state, queued_at, run_after, start_date, end_date,
                     created_at, updated_at, triggered_by, clear_number, log_template_id,
                     context_carrier, span_status, conf)
SELECT dag_id, run_id, 'manual',
       CASE WHEN state IN ('running', 'launching', 'held') THEN 'running'
            WHEN state IN ('done') THEN 'success' ELSE 'failed' END,
       created_at, created_at, started_at, ended_at, created_at, created_at, 'OPERATOR', 0,
       (SELECT max(id) FROM log_template), '{}', 'not_started', '{}'
  FROM owl_run WHERE run_key > (SELECT max(run_key) FROM owl_run) - %(recent)s
"""
# Five products of each dataset, of which two are its pictures.
_PRODUCTS = """
INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
    dataproduct_type, dataproduct_subtype, calib_level, access_url, access_format, access_estsize,
    bytes, sha256, facility_name, instrument_name, detector, filters, target_name, proposal_id,
    s_ra, s_dec, t_exptime, observed_at, workflow, run_key, attempt, archived_at, fault)
SELECT dataset, dataset, dataset || '_' || s.suffix, 'HST', 'ivo://bench/' || run_key || s.suffix,
       'image', s.kind, s.level, 'file:///x', 'image/fits', 10000, 10000000, md5(run_key::text),
       'HST', (ARRAY['WFC3','ACS','STIS','COS','WFC3','ACS'])[1 + run_key %% 6], 'WFC', 'F606W',
       CASE run_key %% 11 WHEN 0 THEN 'DARK' WHEN 1 THEN 'BIAS'
            WHEN 2 THEN 'NGC' || run_key / 7 %% 7840 WHEN 3 THEN 'NGC-' || run_key / 50 %% 7840
            WHEN 4 THEN 'HD' || run_key / 20 ELSE 'ANY-' || run_key / 200 END,
       (run_key / 700)::text, (run_key * 37 %% 36000) / 100.0, (run_key * 91 %% 18000) / 100.0 - 90,
       500, created_at - interval '1 day', workflow, run_key, 1, ended_at,
       CASE WHEN run_key %% 5003 = 1 THEN 'sha256 differs' END
  FROM owl_run, (VALUES ('raw.fits', NULL, 1), ('flt.fits', NULL, 2), ('drz.fits', NULL, 3),
                        ('flt.jpg', 'preview', 2), ('thumb.jpg', 'thumb', 2)) s(suffix, kind, level)
 WHERE state = 'done' AND run_key > %(low)s AND run_key <= %(high)s
   AND run_key <= %(last)s
ON CONFLICT (dataset, name) DO NOTHING
"""
_POLLERS = """
INSERT INTO owl_poller (name, dag_id, kind, directory, interval_s, state)
SELECT 'poller_' || k, 'poller_' || k, 'directory', '/incoming/' || k, 10, 'polling'
  FROM generate_series(1, 12) k;
INSERT INTO owl_arrival (poller, name, directory, sha256, bytes, fileset, type, state, path,
                         reason, modified_at)
SELECT 'poller_' || 1 + k %% 12, 'j' || k || '_raw.fits', '/incoming', md5(k::text), 1000, 'j' || k,
       'sdp_prearch_acs', CASE WHEN k %% 500 = 3 THEN 'quarantined' ELSE 'queued' END, '/in/x',
       CASE WHEN k %% 500 = 3 THEN 'checksum' END, now()
  FROM generate_series(1, %(arrivals)s::bigint) k;
"""
_POOL = """
INSERT INTO owl_machine (machine, present, cpus, memory_mb, software)
SELECT 'exec' || k, k %% 17 > 0, 64, 256000, '25.14.1' FROM generate_series(1, 200) k;
INSERT INTO owl_slot (name, machine, kind, state, activity, cpus, memory_mb, disk_mb, load, owner,
                      job, since)
SELECT 'slot1_' || s || '@exec' || k, 'exec' || k, 'Dynamic', 'Claimed', 'Busy', 1, 4000, 1000, 1,
       'owl', (s * 200 + k) || '.0', now()
  FROM generate_series(1, 200) k, generate_series(1, 20) s WHERE k %% 17 > 0;
INSERT INTO owl_daemon (name, host, pid, state, detail)
SELECT name, 'owl', 1, 'ready', '{}' FROM unnest(ARRAY['gateway', 'mirror', 'shoveler']) name;
INSERT INTO owl_cursor (schedd, path, events, event_at, lag_p50_s, lag_p99_s)
VALUES ('owl@host', '/log', 1000000, now(), 0.1, 0.3);
"""


def fill(connection: Connection, runs: int, entries: int, say: Say) -> None:
    """Put everything beside the runs into the tables.

    Parameters
    ----------
    runs
        How many runs there are; as many products are made, at the most.
    entries
        Number of the last entry of the queue.
    """
    values: dict[str, Any] = {"large": LARGE, "entries": entries}
    with connection, connection.cursor() as cur:
        cur.execute("SET LOCAL statement_timeout = 0")
        cur.execute(_CAMPAIGNS, values)
        cur.execute(_MEMBERS, values)
        cur.execute(_DAG_RUNS, {"recent": max(20_000, runs // 20)})
        cur.execute(_POLLERS, {"arrivals": runs})
        cur.execute(_POOL % ())
    say("campaigns, arrivals")
    last = runs // 5
    for low in range(0, last, PRODUCTS_AT_ONCE):
        with connection, connection.cursor() as cur:
            cur.execute("SET LOCAL statement_timeout = 0")
            cur.execute(_PRODUCTS, {"low": low, "high": low + PRODUCTS_AT_ONCE, "last": last})
    say("products")
