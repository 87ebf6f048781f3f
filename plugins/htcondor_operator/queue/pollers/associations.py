"""When an association goes on: a pure decision about what has arrived of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

SHOWN_NAMES = 6


@dataclass(frozen=True)
class Member:
    """One member, as named by the table or by its own header (then without `role`)."""

    name: str
    role: str | None
    expected: bool
    arrived: bool
    sha256: str | None = None


@dataclass(frozen=True)
class Collection:
    """What is known of one association.

    Parameters
    ----------
    has_table
        Whether its table has arrived: without it nobody knows who is missing.
    """

    association: str
    has_table: bool
    deadline: datetime | None
    members: tuple[Member, ...]

    @property
    def arrived(self) -> tuple[Member, ...]:
        """Members that are there and take part."""
        return tuple(m for m in self.members if m.arrived and (m.role or not self.has_table))

    @property
    def missing(self) -> tuple[Member, ...]:
        """Members that are waited for."""
        return tuple(m for m in self.members if m.expected and not m.arrived)

    @property
    def unlisted(self) -> tuple[Member, ...]:
        """Exposures whose header names this association and which its table does not list."""
        return tuple(m for m in self.members if self.has_table and not m.role and m.arrived)


class Step(Enum):
    """What an association does next."""

    WAIT = auto()
    COMPLETE = auto()
    EXPIRED = auto()
    EXTEND = auto()
    """The deadline is over and nobody is there: wait for the first member."""


@dataclass(frozen=True)
class Decision:
    """The next step, and why, in words for the queue."""

    step: Step
    reason: str


def decide(collection: Collection, now: datetime) -> Decision:
    """Decide whether an association goes on."""
    arrived, missing = collection.arrived, collection.missing
    expired = collection.deadline is not None and now >= collection.deadline
    until = f"; until {collection.deadline:%Y-%m-%d %H:%M}" if collection.deadline else ""
    known = f"{len(arrived)} of {len(arrived) + len(missing)} members"
    if collection.has_table and arrived and not missing:
        return Decision(Step.COMPLETE, f"complete: {_number(len(arrived))}")
    if expired and arrived:
        without = f"without {_names(missing)}" if collection.has_table else "without its table"
        return Decision(Step.EXPIRED, f"deadline: {_number(len(arrived))}, {without}")
    if not collection.has_table:
        words = f"{_number(len(arrived))}, its table has not come"
        return Decision(Step.EXTEND if expired else Step.WAIT, words + until)
    if expired:
        words = f"deadline is over and none of its {_number(len(missing))} has come"
        return Decision(Step.EXTEND, words)
    return Decision(Step.WAIT, f"{known}; missing {_names(missing)}{until}")


def _number(count: int) -> str:
    return f"{count} member" if count == 1 else f"{count} members"


def _names(members: Sequence[Member]) -> str:
    names = ", ".join(m.name for m in members[:SHOWN_NAMES])
    more = len(members) - SHOWN_NAMES
    return f"{names} and {more} more" if more > 0 else names
