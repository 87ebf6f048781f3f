"""SQL that shows runs, attempts and nodes to people."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import cursor as Cursor

Row = dict[str, Any]


def _rows(cursor: Cursor) -> list[Row]:
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def find_run(cursor: Cursor, dataset: str, run_key: int | None = None) -> int | None:
    """Return the key of a dataset's latest run, or of the one named if it is that dataset's."""
    cursor.execute(
        """
        SELECT run_key FROM owl_run
         WHERE dataset = %(dataset)s AND (%(run_key)s IS NULL OR run_key = %(run_key)s)
         ORDER BY run_key DESC LIMIT 1
        """,
        {"dataset": dataset, "run_key": run_key},
    )
    row = cursor.fetchone()
    return None if row is None else int(row[0])


def find_run_named(cursor: Cursor, dataset: str, name: str | None) -> int | None:
    """Return the key of a dataset's run by Airflow's run id or OWL's key; by default the latest."""
    cursor.execute(
        """
        SELECT run_key FROM owl_run
         WHERE dataset = %(dataset)s
           AND (%(name)s IS NULL OR run_id = %(name)s OR run_key::text = %(name)s)
         ORDER BY run_key DESC LIMIT 1
        """,
        {"dataset": dataset, "name": name},
    )
    row = cursor.fetchone()
    return None if row is None else int(row[0])


def latest_attempt(cursor: Cursor, run_key: int) -> Row:
    """Return the row of a run's latest attempt."""
    cursor.execute(
        """
        SELECT * FROM owl_attempt WHERE run_key = %(run_key)s ORDER BY attempt DESC LIMIT 1
        """,
        {"run_key": run_key},
    )
    return _rows(cursor)[0]


def list_runs(
    cursor: Cursor, *, dataset: str | None = None, state: str | None = None, limit: int = 100
) -> list[Row]:
    """Return runs, newest first, with how many nodes of the latest attempt are done."""
    cursor.execute(
        """
        WITH chosen AS (
          SELECT * FROM owl_run
           WHERE (%(dataset)s IS NULL OR dataset = %(dataset)s)
             AND (%(state)s IS NULL OR state = %(state)s)
           ORDER BY run_key DESC LIMIT %(limit)s)
        SELECT r.run_key, r.dag_id, r.run_id, r.dataset, r.workflow, r.state, r.priority,
               r.latest_attempt, a.attempts, a.cluster, coalesce(n.nodes, 0) AS nodes,
               coalesce(n.done, 0) AS done, r.created_at, r.started_at, r.ended_at, r.updated_at
          FROM chosen r
          LEFT JOIN LATERAL (
            SELECT count(*) AS attempts, (array_agg(cluster ORDER BY attempt DESC))[1] AS cluster
              FROM owl_attempt WHERE run_key = r.run_key) a ON true
          LEFT JOIN LATERAL (
            SELECT count(*) AS nodes, count(*) FILTER (WHERE state = 'done') AS done
              FROM (SELECT DISTINCT ON (node) state FROM owl_node o
                     WHERE o.run_key = r.run_key AND o.attempt = (
                       SELECT max(attempt) FROM owl_attempt WHERE run_key = r.run_key)
                     ORDER BY node, try DESC) latest) n ON true
         ORDER BY r.run_key DESC
        """,
        {"dataset": dataset, "state": state, "limit": limit},
    )
    return _rows(cursor)


def show_run(cursor: Cursor, run_key: int) -> Row:
    """Return a run with all its attempts, and all tries of all nodes."""
    key = {"run_key": run_key}
    cursor.execute("SELECT * FROM owl_run WHERE run_key = %(run_key)s", key)
    (run,) = _rows(cursor)
    cursor.execute("SELECT * FROM owl_attempt WHERE run_key = %(run_key)s ORDER BY attempt", key)
    run["attempts"] = _rows(cursor)
    cursor.execute(
        "SELECT * FROM owl_node WHERE run_key = %(run_key)s ORDER BY attempt, node, try", key
    )
    run["nodes"] = _rows(cursor)
    return run
