"""SQL of the alerts and their messages; the caller owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

FIRST_PAUSE_S = 30
LONGEST_PAUSE_S = 900
"""Between two tries of a message: doubled from the first to the longest."""

_SHOWN = """
SELECT a.*, extract(epoch FROM now() - a.opened_at)::float8 AS age_s,
       (SELECT count(*) FROM owl_alert_message m WHERE m.alert = a.id AND m.state = 'sent') AS sent,
       (SELECT count(*) FROM owl_alert_message m WHERE m.alert = a.id AND m.state = 'due') AS due,
       (SELECT error FROM owl_alert_message m WHERE m.alert = a.id AND m.state = 'due'
           AND error IS NOT NULL ORDER BY id DESC LIMIT 1) AS error
  FROM owl_alert a
"""


def opened(cur: Cursor) -> tuple[datetime, list[dict[str, Any]]]:
    """Return the database's time, and open alerts with the channels that have messages of them.

    They stay locked: one that somebody acknowledges at the same moment is not told again. Who
    writes alerts and messages locks the alerts first.
    """
    cur.execute("SELECT now()")
    now = the_row(cur)[0]
    cur.execute(
        """
        SELECT a.id, a.rule, a.subject, a.severity, a.opened_at, a.gone_at, a.told_count,
               a.told_at, a.acked_at IS NOT NULL AS acked,
               coalesce(m.channels, '{}') AS channels
          FROM owl_alert a
          LEFT JOIN (SELECT alert, array_agg(DISTINCT channel) AS channels
                       FROM owl_alert_message WHERE state <> 'cancelled' GROUP BY alert) m
            ON m.alert = a.id
         WHERE a.state = 'open'
         ORDER BY a.id FOR UPDATE OF a
        """
    )
    return now, named_rows(cur)


def insert(cur: Cursor, values: Mapping[str, Any]) -> int:
    """Make an alert of rule, subject, severity, title, count, detail; return its number."""
    cur.execute(
        """
        INSERT INTO owl_alert (rule, subject, severity, title, count, most, detail)
        VALUES (%(rule)s, %(subject)s, %(severity)s, %(title)s, %(count)s, %(count)s, %(detail)s)
        RETURNING id
        """,
        {**values, "detail": Json(dict(values["detail"]))},
    )
    return int(the_row(cur)[0])


def seen(cur: Cursor, number: int, values: Mapping[str, Any]) -> None:
    """Note what is seen of an open alert now."""
    cur.execute(
        """
        UPDATE owl_alert SET title = %(title)s, count = %(count)s, detail = %(detail)s,
               most = greatest(most, %(count)s), seen_at = now(), gone_at = NULL
         WHERE id = %(id)s
        """,
        {**values, "detail": Json(dict(values["detail"])), "id": number},
    )


def gone(cur: Cursor, number: int, *, close: bool, cancel: bool) -> None:
    """Note that an alert is not seen any more; close it, and cancel what was not sent yet."""
    cur.execute(
        """
        UPDATE owl_alert SET gone_at = coalesce(gone_at, now()),
               state = CASE WHEN %(close)s THEN 'closed' ELSE state END,
               closed_at = CASE WHEN %(close)s THEN now() END
         WHERE id = %(id)s
        """,
        {"id": number, "close": close},
    )
    if cancel:
        drop_due(cur, number, "over before its first message was due")


def drop_due(cur: Cursor, number: int, why: str) -> None:
    """Cancel an alert's messages that were not sent."""
    cur.execute(
        "UPDATE owl_alert_message SET state = 'cancelled', error = %(why)s "
        "WHERE alert = %(id)s AND state = 'due'",
        {"id": number, "why": why},
    )


def add_messages(
    cur: Cursor, number: int, why: str, channels: Sequence[str], due_at: datetime
) -> int:
    """Make messages; a channel that waits for one already gets the latest state with that."""
    cur.execute(
        """
        INSERT INTO owl_alert_message (alert, channel, why, due_at)
        SELECT %(id)s, c, %(why)s, %(due)s FROM unnest(%(channels)s::text[]) AS c
        ON CONFLICT (alert, channel) WHERE state = 'due' DO NOTHING
        """,
        {"id": number, "why": why, "channels": list(channels), "due": due_at},
    )
    return int(cur.rowcount)


def drop_channels(cur: Cursor, known: Sequence[str]) -> None:
    """Cancel messages for channels that are not configured any more."""
    cur.execute(
        "UPDATE owl_alert_message SET state = 'cancelled', error = 'there is no such channel' "
        "WHERE state = 'due' AND channel <> ALL(%(known)s::text[])",
        {"known": list(known)},
    )


def due(cur: Cursor) -> int:
    """Return how many messages are to be sent now."""
    cur.execute("SELECT count(*) FROM owl_alert_message WHERE state = 'due' AND due_at <= now()")
    return int(the_row(cur)[0])


def due_channels(cur: Cursor) -> list[str]:
    """Return the channels with messages to be sent now, those that were down last."""
    cur.execute(
        "SELECT channel FROM owl_alert_message WHERE state = 'due' AND due_at <= now() "
        "GROUP BY channel ORDER BY max(tries), channel"
    )
    return [row[0] for row in cur.fetchall()]


# After a try that `tries` does not count yet.
_PAUSE = """least(%(first)s * 2.0 ^ least(m.tries, 10), %(longest)s) * interval '1 second'"""
_PAUSES = {"first": FIRST_PAUSE_S, "longest": LONGEST_PAUSE_S}

_CLAIM = f"""
WITH taken AS (
    SELECT id FROM owl_alert_message
     WHERE state = 'due' AND due_at <= now() AND channel = %(channel)s
     ORDER BY id FOR UPDATE SKIP LOCKED),
claimed AS (
    UPDATE owl_alert_message m SET tries = tries + 1,
           due_at = now() + {_PAUSE}
      FROM taken WHERE m.id = taken.id
    RETURNING m.id, m.alert, m.why)
SELECT c.id AS message, c.why, a.id, a.rule, a.subject, a.state, a.severity, a.title, a.count,
       a.most, a.detail, a.opened_at, a.closed_at
  FROM claimed c JOIN owl_alert a ON a.id = c.alert ORDER BY c.id
"""  # noqa: S608 - a constant


def claim(cur: Cursor, channel: str) -> list[dict[str, Any]]:
    """Take a channel's due messages, with their alerts: nobody else has them before the pause."""
    cur.execute(_CLAIM, {"channel": channel, **_PAUSES})
    return named_rows(cur)


def sent(cur: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note that the channel took messages that :func:`claim` gave, as they were then.

    What closed in between is told once more.
    """
    cur.execute(
        "SELECT FROM owl_alert WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE",
        {"ids": [row["id"] for row in rows]},
    )
    for row in rows:
        cur.execute(
            """
            UPDATE owl_alert_message SET state = 'sent', sent_at = now(), error = NULL
             WHERE id = %(message)s RETURNING channel
            """,
            row,
        )
        channel = the_row(cur)[0]
        cur.execute(
            """
            UPDATE owl_alert SET told_at = now(),
                   told_count = greatest(coalesce(told_count, 0), %(count)s)
             WHERE id = %(id)s RETURNING state, now()
            """,
            row,
        )
        state, now = the_row(cur)
        if state != row["state"]:
            add_messages(cur, row["id"], "closed", [channel], now)


def not_sent(cur: Cursor, rows: Sequence[Mapping[str, Any]], error: str) -> None:
    """Note why a channel did not take messages; they stay due, and wait from now on."""
    _wait(cur, rows)
    cur.execute(
        "UPDATE owl_alert_message SET error = %(error)s WHERE id = ANY(%(ids)s)",
        {"error": error[:2000], "ids": [row["message"] for row in rows]},
    )


def put_back(cur: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give messages back that were claimed and not tried: they wait like the one that failed."""
    _wait(cur, rows)
    cur.execute(
        "UPDATE owl_alert_message SET tries = tries - 1 WHERE id = ANY(%(ids)s)",
        {"ids": [row["message"] for row in rows]},
    )


def _wait(cur: Cursor, rows: Sequence[Mapping[str, Any]]) -> None:
    """Begin the pause anew: a channel that never answers has used up that of its claim."""
    cur.execute(
        f"""
        UPDATE owl_alert_message n SET due_at = now() + {_PAUSE}
          FROM (SELECT id, tries - 1 AS tries FROM owl_alert_message
                 WHERE id = ANY(%(ids)s)) m WHERE m.id = n.id
        """,  # noqa: S608 - a constant
        {"ids": [row["message"] for row in rows], **_PAUSES},
    )


def list_alerts(
    cur: Cursor, *, state: str | None = "open", before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return alerts, the latest first."""
    cur.execute(
        f"""{_SHOWN} WHERE (%(state)s IS NULL OR a.state = %(state)s)
               AND (%(before)s IS NULL OR a.id < %(before)s) ORDER BY a.id DESC LIMIT %(limit)s""",
        {"state": state, "before": before, "limit": limit},
    )
    return named_rows(cur)


def get(cur: Cursor, number: int) -> dict[str, Any] | None:
    """Return an alert with its messages."""
    cur.execute(f"{_SHOWN} WHERE a.id = %(id)s", {"id": number})
    rows = named_rows(cur)
    if not rows:
        return None
    cur.execute(
        "SELECT id, channel, why, state, due_at, tries, sent_at, error FROM owl_alert_message "
        "WHERE alert = %(id)s ORDER BY id",
        {"id": number},
    )
    return rows[0] | {"messages": named_rows(cur)}


def ack(cur: Cursor, number: int, *, who: str, reason: str) -> None:
    """Note that somebody takes care of an open alert: nothing more is sent before it closes.

    Raises
    ------
    OwlError
        ``BAD_NAME``: there is no such open alert. ``BAD_CONF``: no reason.
    """
    if not reason.strip():
        raise OwlError(ErrorKind.BAD_CONF, "Give a reason: what is being done, or why it is known.")
    cur.execute(
        """
        UPDATE owl_alert SET acked_by = %(who)s, acked_at = now(), ack_reason = %(reason)s
         WHERE id = %(id)s AND state = 'open' RETURNING rule, subject
        """,
        {"id": number, "who": who, "reason": reason},
    )
    row = cur.fetchone()
    if row is None:
        raise OwlError(
            ErrorKind.BAD_NAME, f"There is no open alert {number}. See `owl alert list`."
        )
    drop_due(cur, number, f"acknowledged by {who}")
    after = {"rule": row[0], "subject": row[1]}
    audit(cur, who=who, subject=f"alert {number}", action="ack", after=after, reason=reason)
