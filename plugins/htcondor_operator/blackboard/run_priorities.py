"""SQL of the priorities of runs in the queue: which were changed, and what their jobs have now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values


class Job(NamedTuple):
    """A node's job that is in the queue, as the blackboard knows it."""

    run_key: int
    attempt: int
    run_priority: int
    dagman: int
    cluster: int
    priority: int | None


def set_run_priority(cursor: Cursor, run_key: int, priority: int) -> None:
    """Keep a run's priority: for its next submission, and for jobs that DAGMan submits later."""
    cursor.execute(
        "UPDATE owl_run SET priority = %(priority)s, updated_at = now() WHERE run_key = %(key)s",
        {"priority": priority, "key": run_key},
    )


def changed_in_the_queue(cursor: Cursor, schedd: str) -> set[int]:
    """Return runs that got another priority while their present attempt was in the queue."""
    cursor.execute(
        """
        SELECT DISTINCT c.run_key FROM owl_command c
          JOIN owl_attempt a ON a.run_key = c.run_key AND a.state = 'live'
         WHERE c.verb = 'priority' AND c.state = 'done' AND c.done_at > a.requested_at
           AND a.schedd = %(schedd)s
        """,
        {"schedd": schedd},
    )
    return {row[0] for row in cursor.fetchall()}


def live_runs(cursor: Cursor, schedd: str, run_keys: Collection[int]) -> set[int]:
    """Return those of `run_keys` that are in the queue or on the way to it."""
    cursor.execute(
        """
        SELECT run_key FROM owl_attempt
         WHERE run_key = ANY(%(keys)s) AND state IN ('submitting', 'live')
           AND schedd = %(schedd)s
        """,
        {"keys": list(run_keys), "schedd": schedd},
    )
    return {row[0] for row in cursor.fetchall()}


def jobs_of(cursor: Cursor, schedd: str, run_keys: Collection[int]) -> list[Job]:
    """Return the jobs of runs that are in the queue."""
    cursor.execute(
        """
        SELECT n.run_key, n.attempt, r.priority, a.cluster, n.cluster, n.priority
          FROM owl_attempt a
          JOIN owl_run r USING (run_key)
          JOIN owl_node n USING (run_key, attempt)
         WHERE a.run_key = ANY(%(keys)s) AND a.state = 'live' AND a.schedd = %(schedd)s
           AND a.cluster IS NOT NULL AND n.cluster IS NOT NULL
           AND n.state IN ('submitted', 'idle', 'running', 'held')
        """,
        {"keys": list(run_keys), "schedd": schedd},
    )
    return [Job(*row) for row in cursor.fetchall()]


def tell_priorities(cursor: Cursor, run_key: int, priorities: Mapping[int, int]) -> None:
    """Write the priorities of a run's jobs, by cluster: HTCondor has no event for it.

    ``updated_at`` stays: it is the time of the news that the mirror brought.
    """
    if not priorities:
        return
    execute_values(
        cursor,
        f"""
        UPDATE owl_node n SET priority = v.priority
          FROM (VALUES %s) AS v (cluster, priority)
         WHERE n.run_key = {int(run_key)} AND n.cluster = v.cluster
           AND n.priority IS DISTINCT FROM v.priority AND n.carried_from IS NULL
        """,  # noqa: S608 (a number)
        list(priorities.items()),
    )
