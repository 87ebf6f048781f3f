"""Entries come into the queue, and leave it without a run.

Everybody who locks several entries does so in the order (fileset, type), so that two of them never
wait for each other; the shoveler skips what is locked. All functions expect READ COMMITTED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.new_entries import NewEntry, checked, copy_text, merged
from htcondor_operator.blackboard.rows import the_row
from htcondor_operator.vocabulary import EntryOutcome, Informational, dataset_name

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

__all__ = [
    "Added",
    "NewEntry",
    "WhenOpen",
    "add_entries",
    "entry_ids",
    "inform",
    "leave",
    "resolve",
]

ANALYZE_FROM = 1_000
"""From so many rows on the planner is told about them."""


class WhenOpen(StrEnum):
    """What happens to a new entry whose fileset is in Airflow in the same type, and not over.

    ``refuse``: it is not added. ``wait``: it is added, and not shoveled before that run is over.
    """

    REFUSE = "refuse"
    WAIT = "wait"


@dataclass(frozen=True)
class Added:
    """What became of new entries.

    Parameters
    ----------
    added
        Entries that are new in the queue.
    merged
        Entries that were in the queue, or twice among the new ones.
    refused
        (fileset, why) of those that were not added.
    """

    added: int = 0
    merged: int = 0
    refused: tuple[tuple[str, str], ...] = field(default=())


# The default gives numbers in the order of the rows, which is the order of age; the INSERT is
# sorted by name.
_TABLE = """
CREATE TEMP TABLE IF NOT EXISTS owl_adding (
    id bigint NOT NULL DEFAULT nextval('owl_queue_id_seq'), fileset text NOT NULL,
    type text NOT NULL, instrument text, priority integer NOT NULL, state text NOT NULL,
    payload jsonb NOT NULL, reason text, campaign text, requested_by text
) ON COMMIT DELETE ROWS
"""
_COPY = """
COPY owl_adding (fileset, type, instrument, priority, state, payload, reason, campaign,
                 requested_by) FROM STDIN
"""
_REFUSE = """
DELETE FROM owl_adding AS a USING owl_queue_history AS h
WHERE h.outcome = 'shoveled' AND h.fileset = a.fileset AND h.type = a.type
  AND NOT EXISTS (SELECT FROM owl_queue AS q WHERE q.fileset = a.fileset AND q.type = a.type)
RETURNING a.id, a.fileset, a.type, h.run_id
"""
# Runs that people triggered, and rescues that the history does not know of yet.
_REFUSE_RUNNING = """
DELETE FROM owl_adding AS a USING owl_run AS r
WHERE r.dataset = a.fileset AND r.workflow = a.type
  AND r.state IN ('queued', 'launching', 'running', 'held', 'rescued')
  AND NOT EXISTS (SELECT FROM owl_queue AS q WHERE q.fileset = a.fileset AND q.type = a.type)
RETURNING a.id, a.fileset, a.type, r.run_id
"""
_INSERT = """
INSERT INTO owl_queue AS q (id, fileset, type, instrument, priority, state, payload, reason,
                            campaign, requested_by)
SELECT id, fileset, type, instrument, priority, state, payload, reason, campaign, requested_by
FROM owl_adding ORDER BY fileset, type
ON CONFLICT (fileset, type) DO UPDATE
SET priority = greatest(q.priority, excluded.priority),
    payload = CASE excluded.payload WHEN '{}' THEN q.payload ELSE excluded.payload END,
    instrument = coalesce(excluded.instrument, q.instrument),
    reason = coalesce(excluded.reason, q.reason),
    requested_by = coalesce(excluded.requested_by, q.requested_by),
    updated_at = now()
"""
# An entry that was shoveled after _REFUSE had looked, and before the INSERT came to its name.
_REFUSE_LATE = """
WITH late AS (
    DELETE FROM owl_queue AS q USING owl_adding AS a, owl_queue_history AS h
    WHERE q.id = a.id AND h.outcome = 'shoveled' AND h.fileset = a.fileset AND h.type = a.type
    RETURNING a.id, a.fileset, a.type, h.run_id)
DELETE FROM owl_adding AS a USING late WHERE late.id = a.id RETURNING late.*
"""


def add_entries(
    cur: Cursor, entries: Iterable[NewEntry], *, when_open: WhenOpen = WhenOpen.REFUSE
) -> Added:
    """Add entries to the queue, all of them or (when one of them is not valid) none.

    An entry whose (fileset, type) is in the queue already is merged into it: the higher priority,
    the newer payload, reason and requester win (where given), it keeps its place, its state and
    its campaign (or that it has none). One whose fileset is in Airflow in the same type, and not
    over, is refused or waits.

    Parameters
    ----------
    cur
        In a transaction: what is to be all or nothing ends with the caller's commit.
    entries
        In the order in which equals shall be shoveled.
    when_open
        What to do about those that are in Airflow.

    Raises
    ------
    OwlError
        An entry is not valid; it is named by its number (from 1), the field and the value.
    """
    wanted, doubles = merged(checked(entries))
    if not wanted:
        return Added()
    cur.execute(_TABLE)
    cur.execute("DELETE FROM owl_adding")
    cur.copy_expert(_COPY, copy_text(wanted))
    if len(wanted) >= ANALYZE_FROM:
        cur.execute("ANALYZE owl_adding")
    refused: dict[int, tuple[str, str]] = {}
    if when_open is WhenOpen.REFUSE:
        cur.execute(_REFUSE)
        refused.update(_refusals(cur))
        cur.execute(_REFUSE_RUNNING)
        refused.update(_refusals(cur))
    cur.execute(_INSERT)
    written = cur.rowcount
    if when_open is WhenOpen.REFUSE:
        cur.execute(_REFUSE_LATE)
        late = _refusals(cur)
        written -= len(late)
        refused.update(late)
    cur.execute("SELECT count(*) FROM owl_adding AS a JOIN owl_queue AS q USING (id)")
    added = int(the_row(cur)[0])
    return Added(added, written - added + doubles, tuple(refused[key] for key in sorted(refused)))


def _refusals(cur: Cursor) -> dict[int, tuple[str, str]]:
    return {
        number: (fileset, f"is in Airflow as {type_} {run_id} and not over")
        for number, fileset, type_, run_id in cur.fetchall()
    }


def entry_ids(cur: Cursor, type: str, filesets: Sequence[str]) -> dict[str, int]:
    """Return the numbers of the entries of one type that are in the queue, by fileset."""
    cur.execute(
        "SELECT fileset, id FROM owl_queue WHERE type = %(type)s AND fileset = ANY(%(filesets)s)",
        {"type": type, "filesets": list(filesets)},
    )
    return dict(cur.fetchall())


def inform(
    cur: Cursor, fileset: str, kind: Informational, reason: str, *, requested_by: str | None
) -> None:
    """Say why something has not started: an informational entry, or its new reason."""
    cur.execute(
        """
        INSERT INTO owl_queue AS q (fileset, type, priority, state, reason, requested_by)
        VALUES (%(fileset)s, %(kind)s, 0, 'informational', %(reason)s, %(requested_by)s)
        ON CONFLICT (fileset, type) DO UPDATE
        SET reason = excluded.reason, updated_at = now()
        WHERE q.reason IS DISTINCT FROM excluded.reason
        """,
        {
            "fileset": dataset_name(fileset, "fileset"),
            "kind": str(kind),
            "reason": reason,
            "requested_by": requested_by,
        },
    )


_LEAVE = """
WITH locked AS MATERIALIZED (
    SELECT id FROM owl_queue WHERE {which} ORDER BY fileset, type FOR UPDATE),
gone AS (
    DELETE FROM owl_queue AS q USING locked WHERE q.id = locked.id RETURNING q.*)
INSERT INTO owl_queue_history (id, fileset, type, instrument, priority, payload, reason, campaign,
                               requested_by, inserted_at, outcome, ended_at)
SELECT id, fileset, type, instrument, priority, payload, coalesce(%(reason)s, reason), campaign,
       requested_by, inserted_at, %(outcome)s, now() FROM gone
"""


def resolve(cur: Cursor, kind: Informational, filesets: Sequence[str]) -> int:
    """Let informational entries leave whose reason is gone; return how many there were."""
    which = "type = %(kind)s AND state = 'informational' AND fileset = ANY(%(filesets)s)"
    return _leave(
        cur,
        which,
        {"kind": str(kind), "filesets": list(filesets)},
        EntryOutcome.RESOLVED,
        None,
    )


def leave(cur: Cursor, ids: Sequence[int], outcome: EntryOutcome, reason: str | None) -> int:
    """Let entries leave without a run (removed, cancelled); return how many were still there.

    Without `reason` they keep the one they have.
    """
    return _leave(cur, "id = ANY(%(ids)s)", {"ids": list(ids)}, outcome, reason)


def _leave(
    cur: Cursor,
    which: str,
    parameters: Mapping[str, Any],
    outcome: EntryOutcome,
    reason: str | None,
) -> int:
    cur.execute(
        _LEAVE.format(which=which), {**parameters, "outcome": str(outcome), "reason": reason}
    )
    return cur.rowcount
