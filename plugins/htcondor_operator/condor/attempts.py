"""The life of an attempt, as a table.

==============  =======================================  ============
from            what happened                            to
==============  =======================================  ============
``wanted``      the folder is ready, nothing before it   submitting
``wanted``      an earlier attempt has to go first       clearing
``clearing``    nothing is left of the earlier attempt   submitting
``submitting``  the schedd gave a cluster                live
``submitting``  the schedd has it already (a crash)      live
any of these    an error that a person must mend         refused
any of these    the operator removed the run             removed
any of these    the schedd is silent                     (unchanged)
==============  =======================================  ============

Everything after ``live`` is told by the event log, not decided here.
"""

from __future__ import annotations

from enum import StrEnum

from htcondor_operator.vocabulary import AttemptState


class Happening(StrEnum):
    """What can happen to an attempt before it is live."""

    READY = "ready"
    PREDECESSOR = "predecessor"
    CLEARED = "cleared"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    SILENCE = "silence"


OPEN_STATES = frozenset({AttemptState.WANTED, AttemptState.CLEARING, AttemptState.SUBMITTING})

TRANSITIONS: dict[tuple[AttemptState, Happening], AttemptState] = {
    (AttemptState.WANTED, Happening.READY): AttemptState.SUBMITTING,
    (AttemptState.WANTED, Happening.PREDECESSOR): AttemptState.CLEARING,
    (AttemptState.CLEARING, Happening.CLEARED): AttemptState.SUBMITTING,
    (AttemptState.SUBMITTING, Happening.ACCEPTED): AttemptState.LIVE,
    **{(state, Happening.REFUSED): AttemptState.REFUSED for state in OPEN_STATES},
    **{(state, Happening.SILENCE): state for state in OPEN_STATES},
    (AttemptState.WANTED, Happening.CANCELLED): AttemptState.REMOVED,
    (AttemptState.CLEARING, Happening.CANCELLED): AttemptState.REMOVED,
}


def next_state(state: AttemptState, happening: Happening) -> AttemptState:
    """Return the state after `happening`.

    Raises
    ------
    ValueError
        When that cannot happen in that state.
    """
    try:
        return TRANSITIONS[state, happening]
    except KeyError:
        raise ValueError(f"{happening.value} cannot happen to a {state.value} attempt") from None


def backoff(failures: int, longest: float = 30.0) -> float:
    """Return the seconds to wait after so many failures in a row."""
    if failures <= 0:
        return 0.0
    return min(longest, 0.5 * 2.0 ** min(failures, 10))
