"""The audit: who changed what in queue, policy and campaigns."""

from __future__ import annotations

from collections.abc import Mapping
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
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Write down a change in the transaction that makes it."""
    cur.execute(
        """
        INSERT INTO owl_audit (who, subject, action, before, after, reason)
        VALUES (%(who)s, %(subject)s, %(action)s, %(before)s, %(after)s, %(reason)s)
        """,
        {
            "who": who,
            "subject": subject,
            "action": action,
            "before": None if before is None else Json(dict(before)),
            "after": None if after is None else Json(dict(after)),
            "reason": reason,
        },
    )
