"""Failed and held datasets by their cause: one row for four hundred datasets with one fault.

What somebody removed on purpose is no error, and no rescue of all brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.flow_views import Filter, where
from htcondor_operator.blackboard.removals import BY_A_RULE
from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

MOST = 500
"""Groups of one answer, the largest first."""

# The first half is the index's own condition.
_FAILED = (
    "status IN ('failed', 'held', 'removed') AND (status <> 'removed' OR "
    f"{BY_A_RULE.format(run_key='owl_flow.run_key')})"
)

_ACCEPTED = """
EXISTS (SELECT FROM owl_accepted_error a
         WHERE a.workflow = owl_flow.workflow AND a.node = coalesce(owl_flow.node, '')
           AND a.error_kind = coalesce(owl_flow.error_kind, '')
           AND a.fingerprint = coalesce(owl_flow.fingerprint, '')
           AND (a.until IS NULL OR a.until > now()))
"""

# The same words of a workflow for which nobody accepted them are a group of their own.
_GROUPS = """
WITH g AS (
    SELECT coalesce(node, '') AS node, coalesce(error_kind, '') AS error_kind,
           coalesce(fingerprint, '') AS fingerprint, {accepted} AS accepted, count(*) AS n,
           count(*) FILTER (WHERE status = 'held') AS held,
           -- Rows of before have no time until they are folded again.
           min(coalesce(failed_at, created_at)) AS first_at,
           max(coalesce(failed_at, created_at)) AS last_at, max(run_key) AS sample,
           array_agg(DISTINCT workflow) AS workflows
      FROM owl_flow WHERE {condition}
     GROUP BY 1, 2, 3, 4 ORDER BY n DESC, last_at DESC LIMIT %(most)s)
SELECT g.*, f.dataset AS sample_dataset, f.error_message AS sample_message, f.exit_code,
       f.exit_signal, a.reason AS accepted_reason, a.accepted_by, a.accepted_at, a.until
  FROM g JOIN owl_flow f ON f.run_key = g.sample
  LEFT JOIN owl_accepted_error a
    ON g.accepted AND a.workflow = f.workflow
   AND (a.node, a.error_kind, a.fingerprint) = (g.node, g.error_kind, g.fingerprint)
 ORDER BY g.accepted, g.n DESC, g.last_at DESC
"""


def groups(cur: Cursor, chosen: Filter) -> list[dict[str, Any]]:
    """Return groups of failures, accepted ones last, the largest first."""
    condition, values = where(chosen)
    cur.execute(
        _GROUPS.format(condition=f"{condition} AND {_FAILED}", accepted=_ACCEPTED),
        {**values, "most": MOST},
    )
    return named_rows(cur)


def members(
    cur: Cursor, chosen: Filter, cause: Sequence[str], *, most: int
) -> list[dict[str, Any]]:
    """Return the runs of a group (node, error kind, fingerprint), the latest first."""
    node, error_kind, fingerprint = cause
    condition, values = where(chosen)
    cur.execute(
        f"""
        SELECT run_key, dataset, workflow, status, ended_at FROM owl_flow
         WHERE {condition} AND {_FAILED} AND coalesce(node, '') = %(g_node)s
           AND coalesce(error_kind, '') = %(g_kind)s
           AND coalesce(fingerprint, '') = %(g_fingerprint)s
         ORDER BY run_key DESC LIMIT %(most)s
        """,  # noqa: S608 - ours
        {
            **values,
            "g_node": node,
            "g_kind": error_kind,
            "g_fingerprint": fingerprint,
            "most": most,
        },
    )
    return named_rows(cur)


def accept(
    cur: Cursor,
    cause: Sequence[str],
    workflows: Sequence[str],
    *,
    who: str,
    reason: str,
    until: datetime | None,
) -> None:
    """Note that a cause (node, error kind, fingerprint) is known in some workflows.

    Doing it once more changes the reason. The same words in another workflow are news.
    """
    node, error_kind, fingerprint = cause
    values: dict[str, object] = {"node": node, "kind": error_kind, "fingerprint": fingerprint}
    values["workflows"] = list(workflows)
    cur.execute(
        """
        INSERT INTO owl_accepted_error
               (workflow, node, error_kind, fingerprint, reason, accepted_by, until)
        SELECT DISTINCT w, %(node)s, %(kind)s, %(fingerprint)s, %(reason)s, %(who)s,
               %(until)s::timestamptz
          FROM unnest(%(workflows)s::text[]) w
        ON CONFLICT (workflow, node, error_kind, fingerprint) DO UPDATE
        SET reason = excluded.reason, accepted_by = excluded.accepted_by, accepted_at = now(),
            until = excluded.until
        """,
        {**values, "reason": reason, "who": who, "until": until},
    )
    after = {**values, "until": until.isoformat() if until else None}
    audit(cur, who=who, subject="errors", action="accept", after=after, reason=reason)


def withdraw(
    cur: Cursor, cause: Sequence[str], workflows: Sequence[str], *, who: str, reason: str | None
) -> bool:
    """Take an acceptance back; return whether there was one."""
    node, error_kind, fingerprint = cause
    values: dict[str, object] = {"node": node, "kind": error_kind, "fingerprint": fingerprint}
    values["workflows"] = list(workflows)
    cur.execute(
        """
        DELETE FROM owl_accepted_error
         WHERE (node, error_kind, fingerprint) = (%(node)s, %(kind)s, %(fingerprint)s)
           AND workflow = ANY(%(workflows)s)
        """,
        values,
    )
    if cur.rowcount:
        audit(cur, who=who, subject="errors", action="withdraw", before=values, reason=reason)
    return bool(cur.rowcount)
