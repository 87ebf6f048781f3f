"""SQL of the values that can be changed while OWL runs, and of who changed what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def get_setting(cur: Cursor, name: str, *, lock: bool = False) -> Any:
    """Return a value; None if it was never set.

    With `lock` nobody else changes it before the transaction's end, set or not.
    """
    if lock:
        cur.execute("SELECT pg_advisory_xact_lock(hashtext('owl_setting'), hashtext(%s))", (name,))
    cur.execute("SELECT value FROM owl_setting WHERE name = %(name)s", {"name": name})
    row = cur.fetchone()
    return None if row is None else row[0]


def set_setting(cur: Cursor, name: str, value: Any, who: str, reason: str | None) -> None:
    """Change a value and write into the audit who did it and why."""
    before = get_setting(cur, name, lock=True)
    cur.execute(
        """
        INSERT INTO owl_setting (name, value, updated_by)
        VALUES (%(name)s, %(value)s, %(who)s)
        ON CONFLICT (name) DO UPDATE
        SET value = excluded.value, updated_by = excluded.updated_by, updated_at = now()
        """,
        {"name": name, "value": Json(value), "who": who},
    )
    audit(cur, who=who, subject=name, action="set", before=before, after=value, reason=reason)


def list_audit(cur: Cursor, subject: str, *, limit: int = 50) -> list[dict[str, Any]]:
    """Return what was done to `subject`, the newest first."""
    cur.execute(
        """
        SELECT id, at, who, subject, action, before, after, reason FROM owl_audit
        WHERE subject = %(subject)s ORDER BY id DESC LIMIT %(limit)s
        """,
        {"subject": subject, "limit": limit},
    )
    return named_rows(cur)
