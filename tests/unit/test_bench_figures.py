from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.bench.figures import (
    EXPECTED,
    Half,
    NodeKey,
    Pair,
    Tally,
    airflow_cpu_ms_per_node,
    lag,
    missed,
    percentile,
    summary,
)
from htcondor_operator.bench.watch import count
from htcondor_operator.dagman.events import EventType, JobEvent


def half(side: str, wall: float, **changes: object) -> Half:
    values: dict[str, object] = {
        "launches_s": 1.0,
        "nodes": 540,
        "lost": 0,
        "duplicated": 0,
        "cpu_s": {"scheduler": 27.0, "postgres": 10.8, "condor": 54.0},
        "load": (0.5, 2.0),
    }
    if side == "airflow":
        values |= {"mirror_lags": [0.1, 0.2, 0.3], "task_instance_lags": [0.5, 0.9]}
    return Half(side=side, wall_s=wall, **{**values, **changes})


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.01, 1), (0.0, 1)]
)
def test_percentiles_are_values_that_were_measured(share: float, value: int):
    assert percentile(range(1, 101), share) == value


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_at_least_the_share_is_not_above_the_percentile(values: list[float], share: float):
    found = percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9


def test_nothing_has_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
    assert lag([]) is None


def test_a_pair_knows_its_sides_in_any_order():
    raw, airflow = half("raw", 100.0), half("airflow", 110.0)
    for pair in (Pair(raw, airflow), Pair(airflow, raw)):
        assert (pair.raw, pair.airflow) == (raw, airflow)
        assert pair.wall_ratio == pytest.approx(1.1)


def test_htcondors_own_cpu_is_not_airflows():
    assert airflow_cpu_ms_per_node(half("airflow", 1.0)) == pytest.approx(70.0)


def test_the_ratio_is_the_median_of_the_pairs():
    walls = [(100.0, 105.0), (80.0, 160.0), (100.0, 110.0)]
    told = summary([Pair(half("raw", r), half("airflow", a)) for r, a in walls])
    assert told["wall_ratio"] == 1.1
    assert told["mirror_lag_s"] == {"p50": 0.2, "p99": 0.3, "samples": 9}
    assert told["task_instance_lag_s"] == {"p50": 0.5, "p99": 0.9, "samples": 6}
    assert told["missed"] == []


def test_losses_of_both_sides_add_up_and_are_missed():
    told = summary([Pair(half("raw", 1.0, lost=1), half("airflow", 1.0, duplicated=2))])
    assert (told["lost"], told["duplicated"]) == (1, 2)
    assert told["missed"] == ["lost", "duplicated"]


def test_an_unknown_figure_counts_as_missed():
    assert missed({**EXPECTED, "mirror_lag_p99_s": None}) == ["mirror_lag_p99_s"]


def event(kind: EventType, **facts: object) -> JobEvent:
    named = {"cluster": 7, "node": "N1", "dagman": 3} | {
        k: facts.pop(k) for k in ("cluster", "node", "dagman") if k in facts
    }
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return JobEvent(proc=0, type=kind, time=when, facts={"OwlDataset": "a", **facts}, **named)


def tally_of(*events: JobEvent) -> Tally:
    tally = Tally({"a"})
    for one in events:
        count(tally, one)
    return tally


def test_a_node_counts_once_when_it_is_submitted_and_ends_well_once():
    tally = tally_of(event(EventType.SUBMIT), event(EventType.TERMINATED, ReturnValue=0))
    assert tally.missing({NodeKey("a", "N1"), NodeKey("a", "N2")}) == {NodeKey("a", "N2")}
    assert tally.duplicated() == 0


def test_an_event_without_the_jobs_ad_counts_for_its_job():
    bare = JobEvent(
        cluster=7,
        proc=0,
        type=EventType.TERMINATED,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        facts={"ReturnValue": 0},
        node=None,
        dagman=None,
    )
    assert tally_of(event(EventType.SUBMIT), bare).done == {NodeKey("a", "N1"): 1}
    assert tally_of(bare).done == {}


def test_a_bad_end_is_a_loss_and_a_second_job_a_duplicate():
    tally = tally_of(
        event(EventType.SUBMIT),
        event(EventType.TERMINATED, ReturnValue=1),
        event(EventType.SUBMIT, cluster=8),
    )
    assert tally.missing({NodeKey("a", "N1")}) == {NodeKey("a", "N1")}
    assert tally.duplicated() == 1


def test_a_second_dagman_is_a_duplicate_and_others_datasets_are_left():
    tally = tally_of(
        event(EventType.SUBMIT, dagman=None, node=None, cluster=3),
        event(EventType.SUBMIT, dagman=None, node=None, cluster=4),
        event(EventType.SUBMIT, dagman=None, node=None, cluster=5, OwlDataset="b"),
        event(EventType.TERMINATED, dagman=None, node=None, cluster=3),
    )
    assert tally.duplicated() == 1
    assert tally.ended == {"a"}
    assert tally.last_launch == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
