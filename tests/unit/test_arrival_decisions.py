"""Pure decisions about arrivals, associations and lists of checksums: tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.blackboard.arrival_rows import Arrival
from htcondor_operator.queue.pollers.arrival_plan import Action, plan
from htcondor_operator.queue.pollers.associations import Collection, Member, Step, decide
from htcondor_operator.queue.pollers.checksums import Listed, parse_list
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.scanning import Found, Stamp
from htcondor_operator.queue.pollers.verdicts import Verdict
from htcondor_operator.vocabulary import ArrivalState

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def arrival(number: int, sha256: str, state: str, poller: str = "P") -> Arrival:
    return Arrival(
        number,
        poller,
        "a",
        "/in",
        sha256,
        1,
        None,
        None,
        ArrivalState(state),
        "/x",
        None,
        None,
        NOW,
    )


def verdict(sha256: str, fault: str | None = None) -> Verdict:
    return Verdict(Found("a", Stamp(1, 1, 1)), sha256, 1, fault=fault)


@pytest.mark.parametrize(
    ("known", "action", "row"),
    [
        ([], Action.ACCEPT, None),
        ([("2", "queued")], Action.ACCEPT, None),
        ([("1", "queued")], Action.DUPLICATE, None),
        ([("1", "queued"), ("1", "duplicate")], Action.DUPLICATE, 1),
        ([("1", "collected")], Action.DUPLICATE, None),
        ([("1", "stored")], Action.DUPLICATE, None),
        ([("1", "verified")], Action.ACCEPT, None),
        ([("1", "accepted")], Action.ACCEPT, 0),
        ([("1", "quarantined")], Action.ACCEPT, 0),
        ([("1", "queued"), ("2", "queued")], Action.QUARANTINE, None),
        ([("1", "queued"), ("2", "queued"), ("1", "quarantined")], Action.QUARANTINE, 2),
        ([("1", "queued"), ("2", "queued"), ("1", "accepted")], Action.ACCEPT, 2),
    ],
)
def test_what_is_done_with_a_good_file(
    known: list[tuple[str, str]], action: Action, row: int | None
) -> None:
    rows = [arrival(number, *what) for number, what in enumerate(known)]
    found = plan(verdict("1"), rows, "P")
    assert found.action is action
    assert (found.row.id if found.row else None) == row


def test_what_is_done_with_a_bad_file() -> None:
    assert plan(verdict("1", "bad"), [], "P").action is Action.QUARANTINE
    again = plan(verdict("1", "bad"), [arrival(7, "1", "quarantined")], "P")
    assert (again.action, again.row and again.row.id) == (Action.QUARANTINE, 7)
    # Another poller's row is not touched; a checksum poller takes everything each time.
    other = plan(verdict("1", "bad"), [arrival(7, "1", "quarantined", "Q")], "P")
    assert other.row is None
    every = plan(verdict("1"), [arrival(7, "1", "queued")], "P", once=False)
    assert every.action is Action.ACCEPT


def collection(
    members: list[tuple[str | None, bool, bool]], table: bool, deadline: int | None
) -> Collection:
    return Collection(
        "a",
        table,
        None if deadline is None else NOW + timedelta(seconds=deadline),
        tuple(Member(f"m{n}", *member) for n, member in enumerate(members)),
    )


EXP = "EXP-CR1"


@pytest.mark.parametrize(
    ("members", "table", "deadline", "step", "words"),
    [
        ([(EXP, True, True), (EXP, True, True)], True, 9, Step.COMPLETE, "complete: 2 members"),
        ([(EXP, True, True), (EXP, True, False)], True, 9, Step.WAIT, "1 of 2 members; missing m1"),
        ([(EXP, True, True), (EXP, True, False)], True, -9, Step.EXPIRED, "without m1"),
        ([(EXP, True, False)], True, -9, Step.EXTEND, "none of its 1 member has come"),
        ([(None, True, True)], False, 9, Step.WAIT, "1 member, its table has not come; until"),
        ([(None, True, True)], False, -9, Step.EXPIRED, "without its table"),
        # Not present by the table: not waited for, but taken when it is there.
        ([(EXP, True, True), (EXP, False, False)], True, 9, Step.COMPLETE, "complete: 1 member"),
        ([(EXP, True, True), (EXP, False, True)], True, 9, Step.COMPLETE, "complete: 2 members"),
        # Not listed by the table: takes no part.
        ([(EXP, True, False), (None, False, True)], True, 9, Step.WAIT, "0 of 1 members"),
        ([(EXP, True, True), (None, False, True)], True, 9, Step.COMPLETE, "complete: 1 member"),
    ],
)
def test_when_an_association_goes_on(members, table, deadline, step, words) -> None:
    found = decide(collection(members, table, deadline), NOW)
    assert found.step is step
    assert words in found.reason


@given(
    st.lists(st.tuples(st.sampled_from([EXP, None]), st.booleans(), st.booleans()), max_size=8),
    st.booleans(),
    st.sampled_from([9, -9]),
)
def test_nothing_goes_on_without_a_member_or_before_its_time(members, table, deadline) -> None:
    found = collection(members, table, deadline)
    step = decide(found, NOW).step
    if step in {Step.COMPLETE, Step.EXPIRED}:
        assert found.arrived
    if step is Step.COMPLETE:
        assert table
        assert not found.missing
    if step is Step.EXPIRED:
        assert deadline < 0
    if deadline < 0:
        assert step is not Step.WAIT


MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    "text",
    [
        f"{MD5}  a.fits\n",
        f"{MD5} *a.fits",
        f"{MD5.upper()}\ta.fits\r\n# a comment\n\n",
        f"MD5 (a.fits) = {MD5}\n",
        f"{MD5}  ./a.fits",
        MD5,
    ],
)
def test_lists_of_checksums(text: str) -> None:
    assert parse_list(text, "md5", alone="a.fits") == (Listed("a.fits", MD5),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no file"),
        ("hello", "line 1 is not"),
        (f"{MD5}ff  a", "line 1 is not"),
        (f"{MD5}  ../a", "not in the same folder"),
        (f"{MD5}  a\n{'0' * 32}  a", "a second time"),
        (MD5, "line 1 is not"),
    ],
)
def test_lists_that_are_none(text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        parse_list(text, "md5")
