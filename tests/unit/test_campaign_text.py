from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.blackboard.campaign_rows import Campaign
from htcondor_operator.blackboard.campaign_truth import FailedMember, Progress
from htcondor_operator.queue.campaigns import text as campaign_text
from htcondor_operator.queue.campaigns.dataset_lists import read_datasets
from htcondor_operator.queue.campaigns.failure_kinds import count_kinds
from htcondor_operator.queue.campaigns.text import bar, duration
from htcondor_operator.vocabulary import CampaignState, MemberState, OwlError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_bar_rounds_nothing_away(done: int, failed: int, rest: int) -> None:
    text = bar(done, failed, done + failed + rest)
    assert len(text) == campaign_text.BAR
    if done + failed + rest:
        assert ("#" in text) == (done > 0)
        assert ("!" in text) == (failed > 0)
        assert rest == 0 or "." in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "not known yet"),
        (9, "9 s"),
        (61, "1 min 01 s"),
        (7_500, "2 h 05 min"),
        (400_000, "4 d 15 h"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def made(**counts: int) -> Progress:
    return Progress(
        counts={MemberState(state): n for state, n in counts.items()},
        ended_lately=60,
        first_left_at=NOW - timedelta(minutes=30),
        last_ended_at=NOW,
        now=NOW,
    )


def test_rate_and_time_to_go() -> None:
    progress = made(waiting=100, running=20, done=50, failed=10, refused=3)
    assert (progress.total, progress.open, progress.ended) == (180, 120, 60)
    assert progress.rate_per_hour == 120
    assert progress.eta_s == 3600
    told = campaign_text.report(
        Campaign("night7", "drill", CampaignState.RUNNING), progress, [("B exit_3", 10, "x1")]
    )
    lines = campaign_text.lines(told)
    assert lines[1].endswith("33 %  60 of 180")
    assert "120 per hour, to go: 1 h 00 min" in lines
    assert lines[-1] == "failed: 10 x B exit_3, for instance x1"


def test_done_is_a_running_campaign_with_nothing_open() -> None:
    assert made(done=3).shown_state(CampaignState.RUNNING) is CampaignState.DONE
    assert made(done=3, running=1).shown_state(CampaignState.RUNNING) is CampaignState.RUNNING
    assert made(done=3).shown_state(CampaignState.CANCELLED) is CampaignState.CANCELLED


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"node": "AC", "node_state": "failed", "exit_code": 127}, "AC not_found"),
        ({"node": "AC", "node_state": "failed", "exit_signal": 9}, "AC sigkill"),
        ({"node": "AC", "node_state": "removed"}, "AC node_removed"),
        ({"error_kind": "bad_conf"}, "bad_conf"),
        ({"run_key": None}, "not_launched"),
        ({}, "dagman_died"),
    ],
)
def test_kinds_of_failure(more: dict[str, object], kind: str) -> None:
    nothing = {
        "run_key": 1,
        "error_kind": None,
        "node": None,
        "node_state": None,
        "exit_code": None,
        "exit_signal": None,
    }
    failed = FailedMember("x1", "drill", "drill", "r1", **{**nothing, **more})  # type: ignore[arg-type]
    ((found, n, example),) = count_kinds([(failed, 1)])
    assert (str(found), n, example) == (kind, 1, "x1")


def test_lists_of_datasets() -> None:
    text = "dataset,target\n# the night\nj8cw03hvq,NGC\n\n j8cw03hvq \nie1234abq # again\n"
    assert read_datasets(text.splitlines(), "FILE") == ["j8cw03hvq", "ie1234abq"]
    with pytest.raises(OwlError, match=r"FILE, line 2: .*'../x'"):
        read_datasets(["a1", "../x"], "FILE")
