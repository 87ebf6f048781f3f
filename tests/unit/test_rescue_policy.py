from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from htcondor_operator.blackboard.campaign_truth import FailedMember
from htcondor_operator.blackboard.rescue_candidates import Candidate
from htcondor_operator.queue.campaigns.rescue_policy import (
    DEFAULT,
    Rule,
    decide,
    read_policy,
    to_json,
)
from htcondor_operator.vocabulary import OwlError

NOTHING = FailedMember("x1", "drill", "drill", "r1", 1, None, None, None, None, None)


def candidate(*, age: float = 3600, rescues: int = 0, people: bool = False, **failed: Any) -> Any:
    return Candidate(replace(NOTHING, **failed), 1, age, rescues, people)


NODE = {"node": "AC", "node_state": "failed"}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (candidate(error_kind="dagman_died"), "rescue"),
        (candidate(error_kind="dagman_died", age=10), "its time has not come"),
        (candidate(error_kind="dagman_died", rescues=1), "rescue"),
        (candidate(error_kind="dagman_died", rescues=2), "rescued 2 times; 2 at the most"),
        (candidate(node="AC", node_state="removed"), "rescue"),
        (candidate(node="AC", node_state="removed", people=True), "somebody removed it"),
        (candidate(error_kind="node_removed", people=True), "somebody removed it"),
        (candidate(exit_code=3, **NODE), "no rule is for it"),
        (candidate(exit_signal=11, **NODE), "no rule is for it"),
        (candidate(error_kind="bad_conf"), "no rule is for it"),
        (candidate(run_key=None), "no rule is for it"),
    ],
)
def test_by_default_only_grid_trouble_is_rescued(what: Candidate, words: str) -> None:
    decision = decide(what, DEFAULT)
    assert (decision.why or "rescue") == words
    assert decision.rescue == (words == "rescue")


def test_the_first_rule_that_fits_decides() -> None:
    policy = (
        Rule(kinds=("exit_3",), nodes=("A*",), times=0),
        Rule(kinds=("exit_*",), workflows=("dr*",), times=1, after_s=5),
    )
    assert decide(candidate(exit_code=3, **NODE), policy).why == "rescued 0 times; never"
    assert decide(candidate(exit_code=4, **NODE), policy).rescue
    assert decide(candidate(exit_code=4, age=2, **NODE), policy).wait_s == 3
    assert not decide(candidate(exit_code=4, type="other", **NODE), policy).rescue


def test_the_setting_is_read_and_written() -> None:
    assert read_policy(None) == DEFAULT
    assert read_policy(to_json(DEFAULT)) == DEFAULT
    assert read_policy([]) == ()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "a list of rules"),
        ([1], "rule 1 1 must be a mapping"),
        ([{}], "rule 1: kinds"),
        ([{"kinds": ["a"]}, {"kinds": "a"}], "rule 2: kinds 'a'"),
        ([{"kinds": ["a"], "time": 1}], "rule 1: time"),
        ([{"kinds": ["a"], "times": True}], "rule 1: times"),
        ([{"kinds": ["a"], "after_s": -1}], "rule 1: after_s"),
    ],
)
def test_a_wrong_rule_is_named(value: object, words: str) -> None:
    with pytest.raises(OwlError, match=words):
        read_policy(value)
