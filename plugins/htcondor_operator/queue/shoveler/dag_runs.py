"""Makes DAG runs in the transaction in which entries leave the queue.

The only INSERT into ``dag_run`` outside Airflow: one transaction is what makes a shoveled entry
exactly one DAG run, whatever dies when. The scheduler itself makes the task instances of a run
that has none when it first looks at it (``_verify_integrity_if_dag_changed``, Airflow 3.3.2); it
does so only for runs without a ``bundle_version``, so that stays empty: the run uses the newest
version of its DAG. tests/airflow_site/scenario_shoveler.py compares all columns with a run that
Airflow makes, and fails when an upgrade brings a column that we do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

RUN_PREFIX = "dpq__"
"""Beginning of the ids of all runs that the shoveler makes: ``dpq__{fileset}__{entry}``."""

_INSERT = """
INSERT INTO dag_run
    (dag_id, run_id, run_type, state, conf, queued_at, run_after, created_at, updated_at,
     triggered_by, triggering_user_name, clear_number, created_dag_version_id, log_template_id,
     context_carrier, span_status)
SELECT q.type, 'dpq__' || q.fileset || '__' || q.id, 'manual', 'queued',
       -- Whatever a payload says, the run is for the entry's own fileset.
       q.payload || jsonb_build_object('dataset', q.fileset, 'priority', q.priority),
       now(),
       -- Airflow starts queued runs in the order of run_after: that of the queue.
       now() + row_number() OVER (ORDER BY q.priority DESC, q.id) * interval '1 microsecond',
       now(), now(), 'OPERATOR', left(q.requested_by, 512), 0, version.id,
       (SELECT max(id) FROM log_template),
       -- A trace's name, not sampled: what Airflow writes when it does not trace (ExtendedJSON).
       json_build_object('__type', 'dict', '__var', json_build_object('traceparent',
           '00-' || replace(gen_random_uuid()::text, '-', '')
           || '-' || left(replace(gen_random_uuid()::text, '-', ''), 16) || '-00')),
       'not_started'
FROM owl_queue AS q
LEFT JOIN LATERAL (
    SELECT id FROM dag_version WHERE dag_id = q.type ORDER BY version_number DESC LIMIT 1
) AS version ON true
WHERE q.id = ANY(%(ids)s)
ORDER BY q.priority DESC, q.id
-- Made before (a database restored in part): the entry leaves all the same.
ON CONFLICT (dag_id, run_id) DO NOTHING
"""


def insert_dag_runs(cur: Cursor, ids: Sequence[int]) -> int:
    """Make the DAG runs of entries that the caller has locked; return how many are new.

    The caller moves the entries to the history in the same transaction.
    """
    cur.execute(_INSERT, {"ids": list(ids)})
    return cur.rowcount
