"""What HTCondor is told, and how an attempt's DAGMan is recognised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from htcondor_operator.condor.submission import (
    Submission,
    Wanted,
    commands,
    constraint,
    options,
    quoted,
)
from htcondor_operator.vocabulary import AttemptKind

FIRST = Submission(7, 1, AttemptKind.FIRST, "idkv02010", 5, Path("/runs/r7/x.dag"), 1000.0)


def test_a_fresh_start_forces_and_a_rescue_never_does() -> None:
    assert options(FIRST)["Force"] is True
    rescue = options(replace(FIRST, attempt=2, kind=AttemptKind.RESCUE, resumes=True))
    assert "Force" not in rescue
    assert (rescue["AutoRescue"], rescue["UpdateSubmit"]) == (1, True)
    assert (rescue["BatchName"], rescue["Priority"]) == ("idkv02010", 5)


def test_the_job_says_whose_it_is() -> None:
    ad = commands(FIRST)
    assert ad["initialdir"] == "/runs/r7"
    assert (ad["My.OwlRun"], ad["My.OwlAttempt"]) == ("7", "1")
    assert ad["My.OwlDataset"] == '"idkv02010"'


def test_another_blackboards_run_is_not_taken_for_ours() -> None:
    text = constraint([Wanted((7, 1), Path("/runs/r7"), 1000.0)])
    assert 'Iwd =?= "/runs/r7"' in text
    assert "QDate >= 880" in text
    assert text.startswith("JobUniverse == 7 && (")


def test_quotes() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
