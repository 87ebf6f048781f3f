"""The audit: who changed what in queue, policy and campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def audit(
    cur: Cursor,
    *,
    who: str,
    subject: str,
    action: str,
    before: Any = None,
    after: Any = None,
    reason: str | None = None,
) -> None:
    """Write who did what to `subject`, in the transaction in which it is done."""
    cur.execute(
        """
        INSERT INTO owl_audit (who, subject, action, before, after, reason)
        VALUES (%(who)s, %(subject)s, %(action)s, %(before)s, %(after)s, %(reason)s)
        """,
        {
            "who": who,
            "subject": subject,
            "action": action,
            "before": None if before is None else Json(before),
            "after": None if after is None else Json(after),
            "reason": reason,
        },
    )
