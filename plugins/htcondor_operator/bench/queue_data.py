"""A queue as it would be after years: made by the server itself, the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from htcondor_operator.bench.watch import Say
from htcondor_operator.blackboard.queue_tally import compact

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

AT_ONCE = 250_000


@dataclass(frozen=True)
class Kind:
    """One type of entries: `share` in percent, first letter of its rootnames, instrument."""

    type: str
    share: int
    letter: str
    instrument: str


KINDS = (
    Kind("sdp_prearch_wf3", 30, "i", "WF3"),
    Kind("sdp_prearch_acs", 20, "j", "ACS"),
    Kind("sdp_prearch_stis", 12, "o", "STIS"),
    Kind("sdp_prearch_cos", 10, "l", "COS"),
    Kind("wf3_single_repro", 14, "i", "WF3"),
    Kind("acs_single_repro", 8, "j", "ACS"),
    Kind("sdp_prearch_acs_asn", 4, "j", "ACS"),
    Kind("reingest_pvw", 2, "l", "COS"),
)
"""Workflows of the queue."""

_KIND = "CREATE TEMP TABLE kind (low int, high int, type text, letter text, instrument text)"


def _base36(number: str, digits: int) -> str:
    """Return the SQL of a number's last digits to the base 36."""
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
    return " || ".join(
        f"substr('{alphabet}', ({number} / {36**place} %% 36)::int + 1, 1)"
        for place in reversed(range(digits))
    )


def _rootname(letter: str) -> str:
    """Return the SQL of an IPPPSSOOT rootname of number k; 700 exposures are a program."""
    program, visit, exposure = (
        _base36("k / 700", 3),
        _base36("(k / 20 %% 35)", 2),
        _base36("(k %% 20)", 2),
    )
    return f"{letter} || {program} || {visit} || {exposure} || 'q'"


_ROWS = f"""
    SELECT k, {_rootname("kind.letter")} AS fileset, kind.type, kind.instrument,
           (ARRAY[0, 0, 0, 0, 10, 10, 5, -10, 50, 100])[1 + k * 7 %% 10] AS priority,
           CASE WHEN k %% 10 < 4 THEN 'repro_' || k / 40000 END AS campaign
    FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) AS k
    JOIN kind ON k * 61 %% 100 >= kind.low AND k * 61 %% 100 < kind.high
"""  # noqa: S608
_QUEUE = f"""
INSERT INTO owl_queue (id, fileset, type, instrument, priority, state, payload, reason, campaign,
                       requested_by, inserted_at)
SELECT k, fileset, type, instrument, priority,
       CASE WHEN k %% 1009 = 7 THEN 'held' WHEN campaign IS NOT NULL AND k %% 400000 < 40000
            THEN 'paused' ELSE 'waiting' END,
       '{{}}'::jsonb, CASE WHEN campaign IS NOT NULL THEN 'new flat fields' END, campaign, 'bench',
       now() - (%(end)s - k) * interval '1 second'
FROM ({_ROWS}) AS r
UNION ALL
SELECT k + %(all)s, {_rootname("'j'")}, 'collecting_asn_sci', 'ACS', 0, 'informational',
       '{{}}'::jsonb, 'waits for members', NULL, 'DP_ACS', now()
FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) AS k WHERE k %% 499 = 3
"""  # noqa: S608
_HISTORY = f"""
INSERT INTO owl_queue_history (id, fileset, type, instrument, priority, payload, reason, campaign,
                               requested_by, inserted_at, left_at, dag_id, run_id, outcome,
                               ended_at)
SELECT k, fileset, type, instrument, priority, '{{}}'::jsonb,
       CASE WHEN campaign IS NOT NULL THEN 'new flat fields' END, campaign, 'bench', at, at,
       type, 'dpq__' || fileset || '__' || k,
       CASE WHEN k >= %(end)s - 300 THEN 'shoveled' WHEN k %% 47 = 1 THEN 'failed'
            WHEN k %% 997 = 2 THEN 'removed' ELSE 'done' END,
       at
FROM ({_ROWS}) AS r, LATERAL (SELECT now() - (%(end)s - k) * interval '20 seconds' AS at) AS times
"""  # noqa: S608
# What Airflow's dag-processor writes about a DAG, as far as the shoveler looks.
_DAGS = """
INSERT INTO dag_bundle (name, active) VALUES ('bench', true);
INSERT INTO dag (dag_id, is_paused, is_stale, bundle_name, timetable_type, max_active_tasks,
                 max_active_runs, max_consecutive_failed_dag_runs, has_task_concurrency_limits,
                 exceeds_max_non_backfill, partition_mapper_info)
SELECT type, false, false, 'bench', '', 1000000, 1000000, 0, false, false, '[]'
FROM unnest(%(types)s::text[]) AS type;
INSERT INTO dag_version (id, version_number, dag_id, created_at, last_updated)
SELECT gen_random_uuid(), 1, type, now(), now() FROM unnest(%(types)s::text[]) AS type;
"""


def fill(connection: Connection, queue: int, history: int, say: Say) -> None:
    """Put `history` and `queue` entries into empty tables.

    Secondary indexes are made when the rows are there, as a restore does.
    """
    with connection, connection.cursor() as cur:
        cur.execute("SET statement_timeout = 0; SET maintenance_work_mem = '256MB'")
        cur.execute(_KIND)
        low = 0
        for kind in KINDS:
            row = (low, low := low + kind.share, kind.type, kind.letter, kind.instrument)
            cur.execute("INSERT INTO kind VALUES (%s, %s, %s, %s, %s)", row)
        indexes = _drop_indexes(cur)
    say("history")
    _rows(connection, _HISTORY, range(1, 1 + history), say)
    say("queue")
    _rows(connection, _QUEUE, range(1 + history, 1 + history + queue), say)
    with connection, connection.cursor() as cur:
        cur.execute(
            "SELECT setval('owl_queue_id_seq', 1 + (SELECT greatest(max(id), 1) FROM owl_queue))"
        )
        for number, index in enumerate(indexes, 1):
            say(f"index {number} of {len(indexes)}")
            cur.execute(index)
        compact(cur, 2)
        cur.execute(_DAGS, {"types": [kind.type for kind in KINDS]})
    connection.autocommit = True
    with connection.cursor() as cur:
        say("vacuum, analyze")
        for table in ("owl_queue", "owl_queue_history", "owl_queue_tally"):
            cur.execute(f"VACUUM (ANALYZE) {table}")
        cur.execute("RESET statement_timeout; RESET maintenance_work_mem; CHECKPOINT")
    connection.autocommit = False


def _drop_indexes(cur: Cursor) -> list[str]:
    cur.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index AS i
        WHERE indrelid IN ('owl_queue'::regclass, 'owl_queue_history'::regclass)
          AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
        ORDER BY 1
        """
    )
    found = cur.fetchall()
    for name, _ in found:
        cur.execute(f"DROP INDEX {name}")
    return [definition for _, definition in found]


def _rows(connection: Connection, statement: str, numbers: range, say: Say) -> None:
    first, end = numbers.start, numbers.stop
    for low in range(first, end, AT_ONCE):
        high = min(low + AT_ONCE, end)
        values = {"low": low, "high": high, "end": end, "all": len(numbers)}
        with connection, connection.cursor() as cur:
            cur.execute(statement, values)
        say(f"{high - first} of {end - first} rows")
