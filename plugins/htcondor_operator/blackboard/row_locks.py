"""The order in which rows are locked: runs, their attempts, their nodes, each by their keys.

Who changes rows in the order in which the changes came, or attempts before their runs, may wait for
somebody who waits for it. PostgreSQL ends one of the two with an error after a second.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def lock_attempts(cur: Cursor, keys: Collection[tuple[int, int]]) -> None:
    """Lock attempts, named by run and number, until the transaction ends."""
    if not keys:
        return
    cur.execute(
        """
        SELECT FROM owl_attempt WHERE (run_key, attempt) IN
               (SELECT * FROM unnest(%(runs)s::bigint[], %(attempts)s::integer[]))
        ORDER BY run_key, attempt FOR NO KEY UPDATE
        """,
        {"runs": [run for run, _ in keys], "attempts": [attempt for _, attempt in keys]},
    )


def lock_with_runs(cur: Cursor, keys: Collection[tuple[int, int]]) -> None:
    """Lock the runs of attempts, then the attempts, until the transaction ends."""
    if not keys:
        return
    cur.execute(
        "SELECT FROM owl_run WHERE run_key = ANY(%(runs)s) ORDER BY run_key FOR NO KEY UPDATE",
        {"runs": [run for run, _ in keys]},
    )
    lock_attempts(cur, keys)
