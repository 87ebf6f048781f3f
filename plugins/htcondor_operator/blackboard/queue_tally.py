"""Numbers of entries without counting: triggers append what changed, readers add it up.

A statement that changes a million entries appends a handful of rows, and nobody updates a row
that others update too: a bulk add does not make the shoveler wait. Because the rows belong to the
transaction that changed the entries, every snapshot's sum is exact. :func:`compact` folds rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from htcondor_operator.blackboard.intake_tables import owl_queue, owl_queue_history

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

COMPACT_FROM = 2_000
"""Fewer rows are not worth folding: adding them up takes less than a millisecond."""

COMPACT_AT_ONCE = 200_000


def _function(table: str, state: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION {table}_tallied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, {state}, count(*) FROM new_rows GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, {state}, -count(*) FROM old_rows GROUP BY 1, 2, 3;
    ELSE
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, state, sum(n)
        FROM (SELECT type, priority, {state}, 1 FROM new_rows
              UNION ALL
              SELECT type, priority, {state}, -1 FROM old_rows) AS c(type, priority, state, n)
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END
$$"""  # noqa: S608 - both come from TALLIED below


def _trigger(table: str, event: str) -> str:
    rows = {
        "insert": "NEW TABLE AS new_rows",
        "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "delete": "OLD TABLE AS old_rows",
    }[event]
    return (
        f"CREATE TRIGGER {table}_{event} AFTER {event.upper()} ON {table} "
        f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION {table}_tallied()"
    )


TALLIED: dict[str, tuple[str, ...]] = {
    table: (
        _function(table, state),
        *(_trigger(table, event) for event in ("insert", "update", "delete")),
    )
    for table, state in (("owl_queue", "state"), ("owl_queue_history", "outcome"))
}
"""What makes PostgreSQL keep the tally, by table. Migration 0002 has it word for word."""


def _ddl(statement: str) -> sa.DDL:
    return sa.DDL(statement)  # type: ignore[no-untyped-call]


for _table in (owl_queue, owl_queue_history):
    for _statement in TALLIED[_table.name]:
        sa.event.listen(_table, "after_create", _ddl(_statement))
    # Triggers go with their table, functions do not.
    sa.event.listen(_table, "after_drop", _ddl(f"DROP FUNCTION IF EXISTS {_table.name}_tallied()"))

_COMPACT = """
WITH taken AS (
    SELECT id FROM owl_queue_tally ORDER BY id LIMIT %(most)s FOR UPDATE SKIP LOCKED),
gone AS (
    DELETE FROM owl_queue_tally AS t USING taken WHERE t.id = taken.id
    RETURNING t.type, t.priority, t.state, t.n),
folded AS (
    INSERT INTO owl_queue_tally (type, priority, state, n)
    SELECT type, priority, state, sum(n) FROM gone
    GROUP BY type, priority, state HAVING sum(n) <> 0
    RETURNING 1)
SELECT (SELECT count(*) FROM gone) - (SELECT count(*) FROM folded)
"""


def compact(cur: Cursor, at_least: int = COMPACT_FROM) -> int:
    """Fold the tally's rows if there are many; return how many rows fewer there are now.

    Whoever works on the queue regularly calls it, in a short transaction of its own. Several at
    once take different rows, and nobody who adds or reads waits.
    """
    cur.execute(
        "SELECT count(*) FROM (SELECT FROM owl_queue_tally LIMIT %(least)s) AS a_few",
        {"least": at_least},
    )
    row = cur.fetchone()
    if row is None or row[0] < at_least:
        return 0
    cur.execute(_COMPACT, {"most": COMPACT_AT_ONCE})
    row = cur.fetchone()
    return int(row[0]) if row else 0
