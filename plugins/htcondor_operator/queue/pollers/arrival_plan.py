"""What is done with a delivered file, by what the journal says of its name: a pure decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from htcondor_operator.blackboard.arrival_rows import Arrival
from htcondor_operator.queue.pollers.verdicts import Verdict
from htcondor_operator.vocabulary import ArrivalState

GOOD = frozenset(
    {ArrivalState.ACCEPTED, ArrivalState.QUEUED, ArrivalState.COLLECTED, ArrivalState.STORED}
)
"""States of arrivals whose content is in use."""


class Action(Enum):
    """What is done with a file."""

    ACCEPT = auto()
    DUPLICATE = auto()
    QUARANTINE = auto()


@dataclass(frozen=True)
class Plan:
    """What is done with one file, with which row of the journal, and why."""

    action: Action
    row: Arrival | None = None
    reason: str | None = None


def plan(verdict: Verdict, known: Sequence[Arrival], poller: str, *, once: bool = True) -> Plan:
    """Decide about a file by what the journal says of its name.

    Parameters
    ----------
    verdict
        What the file is.
    known
        Arrivals of the same name, the oldest first.
    poller
        Whose rows may be made anew.
    once
        Whether a content is taken only once.
    """
    same = [row for row in known if row.sha256 == verdict.sha256 and row.poller == poller]
    latest = {row.state: row for row in same}
    accepted = latest.get(ArrivalState.ACCEPTED)
    quarantined = latest.get(ArrivalState.QUARANTINED)
    if verdict.fault is not None:
        return Plan(Action.QUARANTINE, accepted or quarantined, verdict.fault)
    if accepted is not None or not once:
        return Plan(Action.ACCEPT, accepted)
    used = [row for row in known if row.state in GOOD]
    earlier = [row for row in used if row.sha256 == verdict.sha256]
    if not earlier:
        return Plan(Action.ACCEPT, quarantined)
    if used[-1].sha256 == verdict.sha256:
        reason = f"the same file as arrival {used[-1].id} of {used[-1].arrived_at:%Y-%m-%d %H:%M}"
        return Plan(Action.DUPLICATE, latest.get(ArrivalState.DUPLICATE), reason)
    return Plan(
        Action.QUARANTINE,
        quarantined,
        f"older content: it came as arrival {earlier[-1].id} and was replaced by arrival "
        f"{used[-1].id}; `owl poller retry` takes it all the same",
    )
