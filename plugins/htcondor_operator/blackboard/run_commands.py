"""SQL of what operators ask of the gateway: insert, claim, answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from htcondor_operator.vocabulary import AttemptState, CommandState, CommandVerb


@dataclass(frozen=True)
class Command:
    """A command, with the attempt that it is about."""

    id: int
    verb: CommandVerb
    run_key: int
    node: str | None
    argument: dict[str, Any]
    requested_by: str | None
    reason: str | None
    dataset: str
    attempt: int | None
    attempt_state: AttemptState | None
    cluster: int | None
    run_priority: int = 0
    predecessor: int | None = None
    """DAGMan's cluster of an earlier attempt that has not ended."""


def insert_command(
    cursor: Cursor,
    *,
    verb: CommandVerb,
    run_key: int,
    node: str | None = None,
    argument: dict[str, Any] | None = None,
    requested_by: str | None = None,
    reason: str | None = None,
) -> int:
    """Ask for something and return the command's id; the gateway hears of it at the commit."""
    cursor.execute(
        """
        INSERT INTO owl_command (verb, run_key, node, argument, requested_by, reason)
        VALUES (%(verb)s, %(run_key)s, %(node)s, %(argument)s, %(requested_by)s, %(reason)s)
        RETURNING id
        """,
        {
            "verb": verb.value,
            "run_key": run_key,
            "node": node,
            "argument": Json(argument or {}),
            "requested_by": requested_by,
            "reason": reason,
        },
    )
    row = cursor.fetchone()
    assert row is not None
    cursor.execute("SELECT pg_notify('owl_command', %(id)s)", {"id": str(row[0])})
    return int(row[0])


def open_commands(
    cursor: Cursor, schedd: str, *, waiting: Collection[int], limit: int
) -> list[Command]:
    """Return commands that concern `schedd`, oldest first, and lock them for this transaction."""
    cursor.execute(
        """
        SELECT c.id, c.verb, c.run_key, c.node, c.argument, c.requested_by, c.reason, r.dataset,
               a.attempt, a.state, a.cluster, r.priority, p.cluster
          FROM owl_command c
          JOIN owl_run r ON r.run_key = c.run_key
          LEFT JOIN LATERAL (
            SELECT attempt, state, cluster, schedd FROM owl_attempt a
             WHERE a.run_key = c.run_key ORDER BY attempt DESC LIMIT 1) a ON true
          LEFT JOIN LATERAL (
            SELECT cluster FROM owl_attempt b
             WHERE b.run_key = c.run_key AND b.attempt < a.attempt AND b.state = 'live'
               AND b.cluster IS NOT NULL ORDER BY attempt DESC LIMIT 1) p ON true
         WHERE c.state = 'wanted' AND (a.schedd IS NULL OR a.schedd = %(schedd)s)
           AND NOT c.id = ANY(%(waiting)s::bigint[])
         ORDER BY c.id LIMIT %(limit)s
           FOR UPDATE OF c SKIP LOCKED
        """,
        {"schedd": schedd, "waiting": list(waiting), "limit": limit},
    )
    return [
        Command(
            id=row[0],
            verb=CommandVerb(row[1]),
            run_key=row[2],
            node=row[3],
            argument=row[4],
            requested_by=row[5],
            reason=row[6],
            dataset=row[7],
            attempt=row[8],
            attempt_state=None if row[9] is None else AttemptState(row[9]),
            cluster=row[10],
            run_priority=row[11],
            predecessor=row[12],
        )
        for row in cursor.fetchall()
    ]


def answer(cursor: Cursor, command: int, state: CommandState, result: str) -> None:
    """Write a command's outcome."""
    cursor.execute(
        """
        UPDATE owl_command
           SET state = %(state)s, result = %(result)s,
               done_at = CASE WHEN %(state)s = 'wanted' THEN NULL ELSE now() END
         WHERE id = %(id)s
        """,
        {"id": command, "state": state.value, "result": result},
    )


def command_result(cursor: Cursor, command: int) -> tuple[CommandState, str]:
    """Return how far a command is and what came of it."""
    cursor.execute("SELECT state, result FROM owl_command WHERE id = %(id)s", {"id": command})
    row = cursor.fetchone()
    assert row is not None
    return CommandState(row[0]), row[1] or ""
