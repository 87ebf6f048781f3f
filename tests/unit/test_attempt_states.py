"""The table of an attempt's life."""

from __future__ import annotations

import itertools

import pytest

from htcondor_operator.condor.attempts import (
    OPEN_STATES,
    TRANSITIONS,
    Happening,
    backoff,
    next_state,
)
from htcondor_operator.vocabulary import AttemptState


def test_the_way_of_a_first_attempt() -> None:
    state = next_state(AttemptState.WANTED, Happening.READY)
    assert state is AttemptState.SUBMITTING
    assert next_state(state, Happening.ACCEPTED) is AttemptState.LIVE


def test_the_way_of_a_rescue() -> None:
    state = next_state(AttemptState.WANTED, Happening.PREDECESSOR)
    assert state is AttemptState.CLEARING
    assert next_state(state, Happening.CLEARED) is AttemptState.SUBMITTING


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
def test_silence_changes_nothing_and_refusal_ends(state: AttemptState) -> None:
    assert next_state(state, Happening.SILENCE) is state
    assert next_state(state, Happening.REFUSED) is AttemptState.REFUSED


def test_what_was_handed_to_the_schedd_cannot_be_taken_back() -> None:
    with pytest.raises(ValueError, match="cannot happen to a submitting attempt"):
        next_state(AttemptState.SUBMITTING, Happening.CANCELLED)


def test_nothing_happens_to_an_attempt_that_is_live_or_ended() -> None:
    for state, happening in itertools.product(AttemptState, Happening):
        if state not in OPEN_STATES:
            assert (state, happening) not in TRANSITIONS


def test_backoff_grows_to_its_limit() -> None:
    seconds = [backoff(n) for n in range(12)]
    assert seconds[:4] == [0.0, 1.0, 2.0, 4.0]
    assert seconds == sorted(seconds)
    assert seconds[-1] == 30.0
