"""Pages of campaigns and of their members: each begins where the one before has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.campaign_truth import (
    FIRST_FAILURE,
    MEMBERS,
    MORE_TO_COME,
    Counts,
    FailedMember,
    counts,
)
from htcondor_operator.blackboard.queue_filters import Page, from_token, token
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.vocabulary import CampaignState, MemberState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

ROUNDS = 10
"""So often a page is filled up with campaigns whose state is seen only when they are counted."""


def page(
    cur: Cursor,
    types: Sequence[str],
    *,
    state: CampaignState | None = None,
    after: str | None = None,
    limit: int = 100,
    known: Mapping[str, Counts] | None = None,
) -> Page:
    """Return campaigns of some types, the newest first, with their members' numbers.

    Parameters
    ----------
    after
        The ``next`` of the page before.
    known
        Numbers that need not be counted again.
    """
    rows: list[dict[str, Any]] = []
    place = from_token(after, (datetime, str))
    for _ in range(ROUNDS):
        # One more than is missing tells whether there is a next page.
        found = _some(cur, types, state, place, limit + 1 - len(rows))
        full = len(found) == limit + 1 - len(rows)
        if found:
            place = (found[-1]["created_at"], found[-1]["name"])
        rows += _shown(cur, found, state, known or {})
        if not full:
            return Page(rows, None)
        if len(rows) > limit:
            last = rows[limit - 1]
            return Page(rows[:limit], token((last["created_at"], last["name"])))
    assert place is not None
    return Page(rows, token(place))


def _some(
    cur: Cursor,
    types: Sequence[str],
    state: CampaignState | None,
    place: tuple[Any, ...] | None,
    limit: int,
) -> list[dict[str, Any]]:
    cur.execute(
        f"""
        SELECT c.name, c.type, c.state, c.priority, c.total, c.source, c.reason, c.created_by,
               c.approved_by, c.created_at, {MORE_TO_COME} AS more_to_come
          FROM owl_campaign c
         WHERE c.type = ANY(%(types)s) AND (%(state)s::text IS NULL OR c.state = %(state)s)
           AND (%(at)s::timestamptz IS NULL OR c.created_at < %(at)s
                OR (c.created_at = %(at)s AND c.name > %(name)s))
         ORDER BY c.created_at DESC, c.name LIMIT %(limit)s
        """,  # noqa: S608
        {
            "types": list(types),
            # One that is done is kept as running, with nothing open.
            "state": CampaignState.RUNNING if state is CampaignState.DONE else state,
            "at": place[0] if place else None,
            "name": place[1] if place else None,
            "limit": limit,
        },
    )
    return named_rows(cur)


def _shown(
    cur: Cursor,
    rows: Sequence[dict[str, Any]],
    state: CampaignState | None,
    known: Mapping[str, Counts],
) -> list[dict[str, Any]]:
    numbers = {**known, **counts(cur, [row["name"] for row in rows if row["name"] not in known])}
    shown = []
    for row in rows:
        full = {**row, **asdict(numbers[row["name"]])}
        more = full.pop("more_to_come")
        if row["state"] == CampaignState.RUNNING and not full["open"] and not more:
            full["state"] = str(CampaignState.DONE)
        if state is None or full["state"] == state:
            shown.append(full)
    return shown


def members_page(
    cur: Cursor,
    name: str,
    *,
    states: Sequence[MemberState] = (),
    after: str | None = None,
    limit: int = 200,
) -> Page:
    """Return a page of a campaign's members, by part and name."""
    place = from_token(after, (str, str)) or ("", "")
    cur.execute(
        f"""
        SELECT * FROM ({MEMBERS}
                        WHERE m.campaign = %(name)s
                          AND (m.part, m.fileset) > (%(part)s, %(fileset)s)) t
         WHERE %(all)s OR state = ANY(%(states)s) ORDER BY part, fileset LIMIT %(limit)s
        """,  # noqa: S608
        {
            "name": name,
            "part": place[0],
            "fileset": place[1],
            "all": not states,
            "states": [str(state) for state in states],
            "limit": limit + 1,
        },
    )
    rows = named_rows(cur)
    if len(rows) <= limit:
        return Page(rows, None)
    return Page(rows[:limit], token((rows[limit - 1]["part"], rows[limit - 1]["fileset"])))


_FAILURE = "a.error_kind, n.node, n.state, n.exit_code, n.exit_signal"


def failed_page(
    cur: Cursor, name: str, *, after: str | None = None, limit: int = 100
) -> tuple[list[FailedMember], str | None]:
    """Return some of a campaign's failed runs, by part and name, and where the next begin."""
    found = members_page(cur, name, states=[MemberState.FAILED], after=after, limit=limit)
    cur.execute(
        f"""
        SELECT t.fileset, t.type, t.dag_id, t.run_id, r.run_key, {_FAILURE}
          FROM unnest(%(filesets)s::text[], %(types)s::text[], %(dags)s::text[], %(runs)s::text[])
               WITH ORDINALITY AS t (fileset, type, dag_id, run_id, at)
          LEFT JOIN owl_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id
          LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
          {FIRST_FAILURE}
         ORDER BY t.at
        """,  # noqa: S608
        {
            "filesets": [row["fileset"] for row in found.rows],
            "types": [row["type"] for row in found.rows],
            "dags": [row["dag_id"] for row in found.rows],
            "runs": [row["run_id"] for row in found.rows],
        },
    )
    return [FailedMember(*row) for row in cur.fetchall()], found.next


def failures(cur: Cursor, name: str) -> list[tuple[FailedMember, int]]:
    """Return a campaign's failures, each once with its first dataset and how many are like it."""
    cur.execute(
        f"""
        SELECT min(t.fileset), min(t.type), min(t.dag_id), min(t.run_id), min(r.run_key),
               {_FAILURE}, count(*)
          FROM ({MEMBERS} WHERE m.campaign = %(name)s) t
          LEFT JOIN owl_run r ON r.dag_id = t.dag_id AND r.run_id = t.run_id
          LEFT JOIN owl_attempt a ON a.run_key = r.run_key AND a.attempt = r.latest_attempt
          {FIRST_FAILURE}
         WHERE t.state = 'failed' AND t.run_id IS NOT NULL
         GROUP BY (r.run_key IS NULL), {_FAILURE} ORDER BY 1
        """,  # noqa: S608
        {"name": name},
    )
    return [(FailedMember(*row[:-1]), row[-1]) for row in cur.fetchall()]
