from __future__ import annotations

import pytest

from htcondor_operator.queue.campaigns.backfill_days import to_put
from htcondor_operator.vocabulary import MemberState

ALL = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("before", "failed_only", "put"),
    [
        ("", False, "abc"),
        ("", True, "abc"),
        ("a=done b=done", False, "abc"),
        ("a=done b=done c=done", False, "abc"),
        ("a=done b=done c=done", True, ""),
        ("a=done b=done", True, "c"),
        ("a=done b=failed", False, "bc"),
        ("a=removed b=cancelled c=unknown", False, "abc"),
        ("a=done b=running c=failed", False, "c"),
        ("a=waiting b=paused c=held", False, ""),
    ],
)
def test_what_a_day_puts_into_the_queue(before: str, failed_only: bool, put: str) -> None:
    states = dict(word.split("=") for word in before.split())
    known = {name: MemberState(state) for name, state in states.items()}
    assert "".join(to_put(ALL, known, failed_only=failed_only)) == put
