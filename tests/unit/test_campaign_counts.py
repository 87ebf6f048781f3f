from __future__ import annotations

from htcondor_operator.blackboard.campaign_truth import Counts
from htcondor_operator.console.campaign_counts import OPEN_SECONDS, OVER_SECONDS, CampaignCounts


def test_numbers_are_good_for_a_while_and_longer_when_all_is_over() -> None:
    now = [0.0]
    counts = CampaignCounts(lambda: now[0])
    counts.keep({"goes_on": Counts(open=1), "over": Counts(done=5)})
    assert counts.known() == {"goes_on": Counts(open=1), "over": Counts(done=5)}
    now[0] = 1.6 * OPEN_SECONDS
    assert set(counts.known()) == {"over"}
    now[0] = 1.6 * OVER_SECONDS
    assert counts.known() == {}


def test_remembering_again_does_not_prolong() -> None:
    now = [0.0]
    counts = CampaignCounts(lambda: now[0])
    for _ in range(20):
        counts.keep(counts.known() or {"c": Counts(open=1)})
        now[0] += 0.2 * OPEN_SECONDS
        if not counts.known():
            return
    raise AssertionError("never counted again")


def test_what_was_changed_is_counted_anew() -> None:
    counts = CampaignCounts()
    counts.keep({"c": Counts(done=1)})
    counts.forget("c")
    assert counts.known() == {}
