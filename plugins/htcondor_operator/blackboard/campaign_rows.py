"""Campaigns and their members: how datasets get into the queue for a campaign.

A member points to its latest entry, which keeps its number when it leaves the queue. Functions
take a cursor; the caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json

from htcondor_operator.blackboard.queue_entries import Added, NewEntry, add_entries
from htcondor_operator.blackboard.rows import named_rows, the_row
from htcondor_operator.vocabulary import (
    CampaignState,
    EntryState,
    ErrorKind,
    OwlError,
    campaign_name,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Campaign:
    """One row of ``owl_campaign``."""

    name: str
    type: str
    state: CampaignState
    priority: int = 0
    total: int = 0
    source: str = "list"
    detail: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    created_by: str = ""
    approved_by: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    def as_row(self) -> dict[str, Any]:
        """Return the columns."""
        return asdict(self)


@dataclass(frozen=True)
class Wanted:
    """A dataset that shall become a member."""

    fileset: str
    type: str
    instrument: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Put:
    """What became of datasets that were put into a campaign.

    Parameters
    ----------
    added
        New entries in the queue.
    merged
        Entries that were in the queue already, or asked for twice.
    members
        Datasets that were members already, and were not touched.
    joined
        Datasets in Airflow, whose run counts for the campaign.
    refused
        (dataset, why) of those that were not put in.
    """

    added: int = 0
    merged: int = 0
    members: int = 0
    joined: int = 0
    refused: tuple[tuple[str, str], ...] = ()


_COLUMNS = ", ".join(Campaign.__dataclass_fields__)


def find_campaign(cur: Cursor, name: str, *, lock: bool = False) -> Campaign | None:
    """Return a campaign; `lock` keeps it as it is until the transaction ends."""
    cur.execute(
        f"SELECT {_COLUMNS} FROM owl_campaign WHERE name = %(name)s"  # noqa: S608
        + (" FOR UPDATE" if lock else ""),
        {"name": campaign_name(name)},
    )
    rows = named_rows(cur)
    return _campaign(rows[0]) if rows else None


def the_campaign(cur: Cursor, name: str, *, lock: bool = False) -> Campaign:
    """Return a campaign that must exist.

    Raises
    ------
    OwlError
        ``BAD_NAME``: there is none of that name.
    """
    found = find_campaign(cur, name, lock=lock)
    if found is None:
        raise OwlError(
            ErrorKind.BAD_NAME, f"There is no campaign {name!r}. See `owl campaign list`."
        )
    return found


def _campaign(row: Mapping[str, Any]) -> Campaign:
    return Campaign(**{**row, "state": CampaignState(row["state"])})


def insert_campaign(cur: Cursor, campaign: Campaign) -> bool:
    """Make a campaign; return False (and change nothing) if the name is taken."""
    cur.execute(
        """
        INSERT INTO owl_campaign (name, type, state, priority, source, detail, reason, created_by)
        VALUES (%(name)s, %(type)s, %(state)s, %(priority)s, %(source)s, %(detail)s, %(reason)s,
                %(created_by)s)
        ON CONFLICT (name) DO NOTHING
        """,
        {**campaign.as_row(), "detail": Json(dict(campaign.detail))},
    )
    return cur.rowcount == 1


def set_state(
    cur: Cursor, name: str, state: CampaignState, *, approved_by: str | None = None
) -> None:
    """Change a campaign's state."""
    cur.execute(
        """
        UPDATE owl_campaign SET state = %(state)s, updated_at = now(),
               approved_by = coalesce(%(by)s, approved_by)
        WHERE name = %(name)s
        """,
        {"name": name, "state": state, "by": approved_by},
    )


def put_members(
    cur: Cursor,
    campaign: Campaign,
    wanted: Sequence[Wanted],
    *,
    part: str = "",
    by: str,
    join: bool = False,
    again: bool = False,
) -> Put:
    """Put datasets into the queue for a campaign, which the caller has locked.

    Members are left alone unless they were refused before, or `again`: then the member's new entry
    counts. A dataset in Airflow is refused, or (`join`) its run counts for the campaign.
    """
    _settle(cur, [each.fileset for each in wanted])
    names = [each.fileset for each in wanted]
    there = set() if again else _members(cur, campaign.name, part, names)
    new = list({w.fileset: w for w in wanted if w.fileset not in there}.values())
    state = EntryState.PAUSED if campaign.state is CampaignState.PAUSED else EntryState.WAITING
    added = merged = joined = 0
    refused: list[tuple[str, str]] = []
    for type_, group in groupby(sorted(new, key=_type), key=_type):
        result = add_entries(cur, [_entry(campaign, each, state, by) for each in group])
        added += result.added
        merged += result.merged
        refused.extend(result.refused)
        joined += _remember(cur, (campaign.name, part, type_), new, result, join=join)
    _count(cur, campaign.name)
    if join:
        refused = []
    return Put(added, merged, len(there), joined, tuple(refused))


def _settle(cur: Cursor, filesets: Sequence[str]) -> None:
    """Take Airflow's word for runs that have ended since the shoveler last looked.

    Otherwise a dataset that has just ended would be refused as not over.
    """
    cur.execute(
        """
        WITH over AS MATERIALIZED (
          SELECT h.id, d.state, d.end_date FROM owl_queue_history h
            JOIN dag_run d ON d.dag_id = h.dag_id AND d.run_id = h.run_id
           WHERE h.outcome = 'shoveled' AND h.fileset = ANY(%(filesets)s)
             AND d.state IN ('success', 'failed')
           ORDER BY h.id FOR UPDATE OF h)
        UPDATE owl_queue_history h
           SET outcome = CASE over.state WHEN 'success' THEN 'done' ELSE 'failed' END,
               ended_at = coalesce(over.end_date, now())
          FROM over WHERE h.id = over.id
        """,
        {"filesets": list(filesets)},
    )


def _type(wanted: Wanted) -> str:
    return wanted.type


def _entry(campaign: Campaign, wanted: Wanted, state: EntryState, by: str) -> NewEntry:
    return NewEntry(
        fileset=wanted.fileset,
        type=wanted.type,
        priority=campaign.priority,
        payload=wanted.payload,
        instrument=wanted.instrument,
        reason=campaign.reason,
        campaign=campaign.name,
        requested_by=by,
        state=state,
    )


def _members(cur: Cursor, name: str, part: str, filesets: Sequence[str]) -> set[str]:
    cur.execute(
        """
        SELECT fileset FROM owl_campaign_member
        WHERE campaign = %(name)s AND part = %(part)s AND entry IS NOT NULL
          AND fileset = ANY(%(filesets)s)
        """,
        {"name": name, "part": part, "filesets": list(filesets)},
    )
    return {row[0] for row in cur.fetchall()}


_REMEMBER = """
WITH wanted AS (
  SELECT fileset FROM unnest(%(filesets)s::text[]) AS u (fileset)),
refused AS (
  SELECT * FROM unnest(%(refused)s::text[], %(why)s::text[]) AS u (fileset, why)),
open AS (
  SELECT h.fileset, max(h.id) AS id FROM owl_queue_history h JOIN refused r USING (fileset)
   WHERE h.type = %(type)s AND h.outcome = 'shoveled' AND %(join)s GROUP BY h.fileset),
told AS (
  SELECT w.fileset, coalesce(q.id, o.id) AS entry,
         CASE WHEN q.campaign = %(name)s THEN NULL
              WHEN q.id IS NOT NULL THEN
                'was in the queue already, for ' || coalesce('campaign ' || q.campaign, 'itself')
              WHEN o.id IS NOT NULL THEN 'was in Airflow already'
              ELSE r.why END AS note
    FROM wanted w LEFT JOIN refused r USING (fileset)
    LEFT JOIN owl_queue q ON q.fileset = w.fileset AND q.type = %(type)s AND r.fileset IS NULL
    LEFT JOIN open o ON o.fileset = w.fileset),
written AS (
  INSERT INTO owl_campaign_member AS m (campaign, part, fileset, type, entry, note)
  SELECT %(name)s, %(part)s, fileset, %(type)s, entry, note FROM told
  ON CONFLICT (campaign, part, fileset) DO UPDATE
     SET type = excluded.type, entry = excluded.entry, note = excluded.note, put_at = now())
SELECT count(*) FROM told JOIN open USING (fileset)
"""


def _remember(
    cur: Cursor,
    where: tuple[str, str, str],
    wanted: Iterable[Wanted],
    result: Added,
    *,
    join: bool,
) -> int:
    """Write the members of one type with their entries; return how many joined a run."""
    name, part, type_ = where
    cur.execute(
        _REMEMBER,
        {
            "name": name,
            "part": part,
            "type": type_,
            "filesets": [each.fileset for each in wanted if each.type == type_],
            "refused": [fileset for fileset, _ in result.refused],
            "why": [why for _, why in result.refused],
            "join": join,
        },
    )
    return int(the_row(cur)[0])


def _count(cur: Cursor, name: str) -> None:
    cur.execute(
        """
        UPDATE owl_campaign SET updated_at = now(), total = (
          SELECT count(*) FROM owl_campaign_member
           WHERE campaign = %(name)s AND entry IS NOT NULL)
        WHERE name = %(name)s
        """,
        {"name": name},
    )


def pause_entries(cur: Cursor, name: str) -> int:
    """Pause a campaign's waiting entries; those that an operator holds stay held."""
    return _change_state(cur, name, EntryState.WAITING, EntryState.PAUSED)


def resume_entries(cur: Cursor, name: str) -> int:
    """Let a campaign's paused entries wait again."""
    return _change_state(cur, name, EntryState.PAUSED, EntryState.WAITING)


def _change_state(cur: Cursor, name: str, old: EntryState, new: EntryState) -> int:
    cur.execute(
        """
        WITH locked AS MATERIALIZED (
          SELECT id FROM owl_queue WHERE campaign = %(name)s AND state = %(old)s
           ORDER BY fileset, type FOR UPDATE)
        UPDATE owl_queue q SET state = %(new)s, updated_at = now()
          FROM locked WHERE q.id = locked.id
        """,
        {"name": name, "old": old, "new": new},
    )
    return int(cur.rowcount)


def queued_entries(cur: Cursor, name: str) -> list[int]:
    """Return the entries of a campaign that are in the queue."""
    cur.execute("SELECT id FROM owl_queue WHERE campaign = %(name)s", {"name": name})
    return [row[0] for row in cur.fetchall()]


def set_priority(cur: Cursor, name: str, priority: int) -> int:
    """Give a campaign and its entries in the queue another priority; return how many there are."""
    cur.execute(
        "UPDATE owl_campaign SET priority = %(priority)s, updated_at = now() WHERE name = %(name)s",
        {"name": name, "priority": priority},
    )
    cur.execute(
        """
        WITH locked AS MATERIALIZED (
          SELECT id FROM owl_queue WHERE campaign = %(name)s ORDER BY fileset, type FOR UPDATE)
        UPDATE owl_queue q SET priority = %(priority)s, updated_at = now()
          FROM locked WHERE q.id = locked.id
        """,
        {"name": name, "priority": priority},
    )
    return int(cur.rowcount)
