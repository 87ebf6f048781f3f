"""SQL of the console's page of alerts: what a reader may see, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Reader:
    """Who looks, in words of the database.

    Parameters
    ----------
    dags
        That he may read: alerts of the runs of others are left out.
    site_rules
        Their alerts are about no DAG's runs, and for everybody.
    severities
        All there are, the least first.
    """

    dags: Sequence[str]
    site_rules: Sequence[str]
    severities: Sequence[str]

    @property
    def values(self) -> dict[str, Any]:
        """For the statements."""
        return {
            "dags": list(self.dags),
            "site": list(self.site_rules),
            "known": list(self.severities),
        }


@dataclass(frozen=True)
class Filter:
    """Which alerts.

    Parameters
    ----------
    state
        ``open`` or ``closed``; None: both.
    rules, severities, ids
        Empty: all.
    """

    state: str | None = None
    rules: Sequence[str] = ()
    severities: Sequence[str] = ()
    ids: Sequence[int] = ()


# An empty list is about entries of which there is no DAG; where none is kept, nobody may see it.
_VISIBLE = """(a.rule = ANY(%(site)s) OR a.detail -> 'dags' = '[]'::jsonb
               OR a.detail -> 'dags' ?| %(dags)s::text[])"""

# What is open and nobody takes care of comes first, then what is acknowledged, then what is over.
_RANK = """CASE WHEN a.state = 'open' THEN 1 + array_position(%(known)s::text[], a.severity)
                     + CASE WHEN a.acked_at IS NULL THEN 10 ELSE 0 END ELSE 0 END"""

_PAGE = """
SELECT p.*, coalesce(m.channels, '[]') AS channels
  FROM (SELECT a.*, {rank} AS rank FROM owl_alert a
         WHERE {visible}
           AND (%(state)s::text IS NULL OR a.state = %(state)s)
           AND (%(rules)s::text[] = '{{}}' OR a.rule = ANY(%(rules)s))
           AND (%(severities)s::text[] = '{{}}' OR a.severity = ANY(%(severities)s))
           AND (%(ids)s::bigint[] = '{{}}' OR a.id = ANY(%(ids)s))
           AND (%(after)s::bigint IS NULL OR ({rank}, a.id) < (%(after_rank)s, %(after)s))
         ORDER BY {rank} DESC, a.id DESC LIMIT %(limit)s) p
  LEFT JOIN LATERAL (
       SELECT jsonb_agg(to_jsonb(l) ORDER BY l.channel) AS channels
         FROM (SELECT DISTINCT ON (channel) channel, why, state, tries, due_at, sent_at, error,
                      max(sent_at) OVER (PARTITION BY channel) AS told_at
                 FROM owl_alert_message WHERE alert = p.id ORDER BY channel, id DESC) l) m ON true
 ORDER BY p.rank DESC, p.id DESC
"""


def page(
    cur: Cursor, who: Reader, chosen: Filter, *, cursor: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return alerts with the latest message of each channel, and the cursor of the next page."""
    rank, number = _place(cursor)
    # Among the closed ones, of which there are many, the order is that of the primary key.
    order = "0::int" if chosen.state == "closed" else _RANK
    cur.execute(
        _PAGE.format(rank=order, visible=_VISIBLE),
        {
            **who.values,
            "state": chosen.state,
            "rules": list(chosen.rules),
            "severities": list(chosen.severities),
            "ids": list(chosen.ids),
            "after_rank": rank,
            "after": number,
            "limit": limit,
        },
    )
    rows = named_rows(cur)
    following = f"{rows[-1]['rank']}.{rows[-1]['id']}" if len(rows) == limit else None
    return [_shown(row, who.dags) for row in rows], following


def _place(cursor: str | None) -> tuple[int, int | None]:
    if cursor is None:
        return 0, None
    rank, _, number = cursor.partition(".")
    if not (rank.isascii() and rank.isdigit() and number.isascii() and number.isdigit()):
        words = f"cursor {cursor[:40]!r} is none of ours; begin with the first page."
        raise OwlError(ErrorKind.BAD_CONF, words)
    return int(rank[:9]), int(number[:18])


def get(cur: Cursor, who: Reader, number: int) -> dict[str, Any] | None:
    """Return an alert with all its messages, if it may be seen."""
    rows, _ = page(cur, who, Filter(ids=(number,)), cursor=None, limit=1)
    if not rows:
        return None
    cur.execute(
        "SELECT id, channel, why, state, created_at, due_at, tries, sent_at, error "
        "FROM owl_alert_message WHERE alert = %(id)s ORDER BY id",
        {"id": number},
    )
    return {**rows[0], "messages": named_rows(cur)}


def dags_of(cur: Cursor, number: int) -> list[str]:
    """Return all DAGs that an alert is about, readable or not."""
    cur.execute("SELECT coalesce(detail -> 'dags', '[]') FROM owl_alert WHERE id = %s", (number,))
    return [str(dag) for dag in the_row(cur)[0]]


_TOTALS = """
SELECT a.severity, count(*) AS open, count(*) FILTER (WHERE a.acked_at IS NULL) AS waiting
  FROM owl_alert a WHERE a.state = 'open' AND {visible} GROUP BY a.severity
"""


def totals(cur: Cursor, who: Reader) -> dict[str, Any]:
    """Return how many open alerts there are, and how many of them nobody has acknowledged.

    They are few, and found by the index of the open ones.
    """
    cur.execute(_TOTALS.format(visible=_VISIBLE), who.values)
    rows = {row["severity"]: row for row in named_rows(cur)}
    waiting = {
        each: rows[each]["waiting"]
        for each in reversed(who.severities)
        if each in rows and rows[each]["waiting"]
    }
    return {
        "open": sum(row["open"] for row in rows.values()),
        "unacknowledged": sum(waiting.values()),
        "worst": next(iter(waiting), None),
        "severity": waiting,
    }


def _shown(row: dict[str, Any], dags: Sequence[str]) -> dict[str, Any]:
    """Leave out the sample if some of it may be another DAG's: kept are its cause and count."""
    del row["rank"]
    about = row["detail"].pop("dags", [])
    readable = [dag for dag in about if dag in set(dags)]
    if len(readable) < len(about):
        row["detail"] = {}
    return {**row, "dags": readable, "partly": len(readable) < len(about)}
