"""What operators do to entries in the queue: hold, release, move, remove; each is audited.

Entries are locked first, in everybody's order (see queue_entries.py), so that what is counted is
what is changed.
"""

# ruff: noqa: S608 - the statements are put together from this module's own words.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.audit_rows import audit
from htcondor_operator.blackboard.queue_entries import leave
from htcondor_operator.vocabulary import EntryOutcome, ErrorKind, OwlError
from htcondor_operator.vocabulary import priority as checked_priority

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

SUBJECT = "queue"
AUDIT_MOST = 200
"""So many entries are named in the audit; of more it keeps what was asked for and how many."""


@dataclass(frozen=True)
class Chosen:
    """Which entries an operator means: all that fit, and at least one word must be said.

    Parameters
    ----------
    filesets
        Their names; none means all.
    type, campaign
        Their type and campaign.
    everything
        The whole queue is meant.
    """

    filesets: tuple[str, ...] = ()
    type: str | None = None
    campaign: str | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        if not (self.filesets or self.type or self.campaign or self.everything):
            raise OwlError(
                ErrorKind.BAD_CONF,
                "No entries are named. Give filesets, --type, --campaign or --all.",
            )

    def as_mapping(self) -> dict[str, Any]:
        """Return what was said, for the audit."""
        said = {"type": self.type, "campaign": self.campaign}
        return {
            **{name: value for name, value in said.items() if value is not None},
            **({"filesets": list(self.filesets[:AUDIT_MOST])} if self.filesets else {}),
            **({"all": True} if self.everything else {}),
        }


@dataclass(frozen=True)
class Changed:
    """What became of the entries that were meant.

    Parameters
    ----------
    changed
        Entries that are different now.
    unchanged
        Entries that were so already, or to which it does not apply.
    missing
        Filesets that were named and have no such entry in the queue.
    """

    changed: int = 0
    unchanged: int = 0
    missing: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Order:
    """Who asks for a change, and why."""

    who: str
    reason: str | None = None


@dataclass(frozen=True)
class _Change:
    """What shall become of entries: `column` gets the value of an SQL expression."""

    action: str
    column: str
    value: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


_HOLD = _Change(
    "hold",
    "state",
    "CASE WHEN state IN ('waiting', 'paused') THEN 'held' ELSE state END",
)
_RELEASE = _Change(
    "release",
    "state",
    """
    CASE WHEN state <> 'held' THEN state
         WHEN campaign IN (SELECT name FROM owl_campaign WHERE state = 'paused') THEN 'paused'
         ELSE 'waiting' END
    """,
)
_REMOVE = _Change("remove", "state", "")


def hold(cur: Cursor, chosen: Chosen, order: Order) -> Changed:
    """Keep entries from being shoveled until they are released; they show the reason."""
    return _change(cur, chosen, order, _HOLD)


def release(cur: Cursor, chosen: Chosen, order: Order) -> Changed:
    """Let held entries go on; those of a paused campaign wait for its resumption."""
    return _change(cur, chosen, order, _RELEASE)


def set_priority(cur: Cursor, chosen: Chosen, value: int, order: Order) -> Changed:
    """Give entries another priority; informational ones keep 0."""
    change = _Change(
        "priority",
        "priority",
        "CASE WHEN state = 'informational' THEN 0 ELSE %(value)s END",
        {"value": checked_priority(value)},
    )
    return _change(cur, chosen, order, change)


def remove(cur: Cursor, chosen: Chosen, order: Order) -> Changed:
    """Take entries out of the queue into the history; informational ones only by their type."""
    found = _lock(cur, chosen, "state", "state = 'informational' AND %(type)s IS NULL", {})
    why = f"removed by {order.who}" + (f": {order.reason}" if order.reason else "")
    leave(cur, found.ids, EntryOutcome.REMOVED, why)
    return _told(cur, chosen, order, _REMOVE, found)


_UPDATE = """
UPDATE owl_queue SET {column} = {value}, updated_at = now(),
       reason = CASE WHEN %(held)s THEN coalesce(%(reason)s, reason) ELSE reason END
WHERE id = ANY(%(ids)s)
"""


def _change(cur: Cursor, chosen: Chosen, order: Order, change: _Change) -> Changed:
    same = f"{change.column} = ({change.value})"
    found = _lock(cur, chosen, change.column, same, change.parameters)
    if found.ids:
        cur.execute(
            _UPDATE.format(column=change.column, value=change.value),
            {
                **change.parameters,
                "ids": found.ids,
                "held": change.action == "hold",
                "reason": order.reason,
            },
        )
    return _told(cur, chosen, order, change, found)


@dataclass(frozen=True)
class _Found:
    """Locked entries: the names of all, numbers and values before of those to be changed."""

    filesets: list[str]
    ids: list[int]
    before: list[Any]


def _lock(
    cur: Cursor, chosen: Chosen, column: str, unchanged: str, parameters: Mapping[str, Any]
) -> _Found:
    conditions = ["true"]
    if chosen.filesets:
        conditions.append("fileset = ANY(%(filesets)s)")
    for name in ("type", "campaign"):
        if getattr(chosen, name) is not None:
            conditions.append(f"{name} = %({name})s")
    cur.execute(
        f"""
        SELECT fileset, id, {column}, ({unchanged}) FROM owl_queue
        WHERE {" AND ".join(conditions)} ORDER BY fileset, type FOR UPDATE
        """,
        {
            **parameters,
            "filesets": list(chosen.filesets),
            "type": chosen.type,
            "campaign": chosen.campaign,
        },
    )
    rows = cur.fetchall()
    todo = [row for row in rows if not row[3]]
    return _Found([row[0] for row in rows], [row[1] for row in todo], [row[2] for row in todo])


def _told(cur: Cursor, chosen: Chosen, order: Order, change: _Change, found: _Found) -> Changed:
    """Write the audit and return what became of the entries."""
    changed = len(found.ids)
    if changed:
        before = dict(zip(map(str, found.ids), found.before, strict=True))
        audit(
            cur,
            who=order.who,
            subject=SUBJECT,
            action=change.action,
            before=before if changed <= AUDIT_MOST else None,
            after={**chosen.as_mapping(), **change.parameters, "entries": changed},
            reason=order.reason,
        )
    there = set(found.filesets)
    missing = dict.fromkeys(name for name in chosen.filesets if name not in there)
    return Changed(changed, len(found.filesets) - changed, tuple(missing))
