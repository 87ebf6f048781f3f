"""What is done about a predecessor, look by look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcondor_operator.condor.clearing import (
    Act,
    Job,
    JobStatus,
    Predecessor,
    clearing_step,
    removable,
)

A = Job("A", 11, 0, JobStatus.RUNNING)
B = Job("B", 12, 0, JobStatus.IDLE)
HELD, RUNNING, IDLE = JobStatus.HELD, JobStatus.RUNNING, JobStatus.IDLE
SPARED = frozenset({"A"})


@pytest.mark.parametrize(
    ("predecessor", "acts"),
    [
        (Predecessor(None), ()),
        (Predecessor(HELD, [A]), (Act.RELEASE_DAGMAN,)),
        (Predecessor(IDLE, [A], released_s=3), ()),
        (Predecessor(IDLE, [A], released_s=30), (Act.REMOVE_DAGMAN,)),
        # It was held again at once: a second release would not help.
        (Predecessor(HELD, [A], released_s=3), (Act.REMOVE_DAGMAN,)),
        (Predecessor(IDLE), (Act.REMOVE_DAGMAN,)),
        (Predecessor(RUNNING, [A, B], lock=True), (Act.REMOVE_DAGMAN,)),
        (Predecessor(JobStatus.REMOVED, [A]), ()),
        (Predecessor(RUNNING, [A, B], SPARED), (Act.HALT, Act.REMOVE_NODES)),
        (Predecessor(RUNNING, [A], SPARED), (Act.HALT,)),
        (Predecessor(HELD, [A, B], SPARED), (Act.REMOVE_NODES,)),
        (Predecessor(HELD, [], SPARED), (Act.REMOVE_DAGMAN,)),
        (Predecessor(RUNNING, [], SPARED, quiet_s=2), (Act.HALT,)),
        (Predecessor(RUNNING, [], SPARED, quiet_s=20), (Act.REMOVE_DAGMAN,)),
        (Predecessor(None, [A], SPARED), ()),
        (Predecessor(None, [A, B], SPARED), (Act.REMOVE_NODES,)),
        (Predecessor(None, [A]), (Act.REMOVE_NODES,)),
        (Predecessor(None, lock=True, quiet_s=1), ()),
        (Predecessor(None, lock=True, quiet_s=6), (Act.UNLINK_LOCK,)),
    ],
)
def test_steps(predecessor: Predecessor, acts: tuple[Act, ...]) -> None:
    step = clearing_step(predecessor)
    assert step.acts == acts
    assert bool(step.waiting_for) is not predecessor.gone


_statuses = st.sampled_from(list(JobStatus))
_jobs = st.builds(Job, st.sampled_from("ABCD"), st.integers(1, 99), st.just(0), _statuses)
_seconds = st.none() | st.floats(0, 300)
_predecessors = st.builds(
    Predecessor,
    st.none() | _statuses,
    st.lists(_jobs, max_size=4),
    st.frozensets(st.sampled_from("ABCD")),
    st.just(frozenset()),
    st.booleans(),
    _seconds,
    _seconds,
)


@given(_predecessors)
def test_a_spared_job_is_never_removed(predecessor: Predecessor) -> None:
    assert not {job.node for job in removable(predecessor)} & predecessor.spared
    acts = clearing_step(predecessor).acts
    running = {j.node for j in predecessor.jobs} & predecessor.spared
    if running and predecessor.dagman is not None:
        assert Act.REMOVE_DAGMAN not in acts
        assert Act.RELEASE_DAGMAN not in acts


@given(_predecessors)
def test_a_lock_file_is_only_removed_when_nobody_can_hold_it(predecessor: Predecessor) -> None:
    if Act.UNLINK_LOCK in clearing_step(predecessor).acts:
        assert predecessor.dagman is None
        assert not predecessor.jobs


@given(_predecessors)
def test_every_clearing_comes_to_an_end(predecessor: Predecessor) -> None:
    """With time, whatever is there is acted on or is leaving by itself."""
    late = replace(predecessor, released_s=1000.0, quiet_s=1000.0)
    step = clearing_step(late)
    leaving = late.dagman in {JobStatus.REMOVED, JobStatus.COMPLETED}
    finishing = bool(late.spared & {job.node for job in late.jobs})
    removed = any(job.status == JobStatus.REMOVED for job in late.jobs)
    assert late.gone or step.acts or leaving or finishing or removed
