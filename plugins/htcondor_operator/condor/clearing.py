"""How the predecessor of an attempt is brought to its end: one pure decision per look.

=====================  ===============  ==========================================================
DAGMan in the queue    spared nodes     step
=====================  ===============  ==========================================================
held                   none             release (only a running DAGMan ends in good order)
idle after a release   none             wait for its start, 20 s at the most
running or idle        none             remove
held                   some             remove the other nodes' jobs; wait; never release
running or idle        some             halt; remove the other nodes' jobs; wait for the spared
any                    all at an end    remove, when a halted DAGMan does not leave by itself
being removed          any              wait
gone                   none             remove jobs left behind; wait for the lock file
gone                   some             the same, and let the spared jobs come to their end
=====================  ===============  ==========================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

STUCK_SECONDS = 120.0
_START_SECONDS = 20.0
_LOCK_SECONDS = 5.0
_DRAIN_SECONDS = 15.0


class JobStatus(IntEnum):
    """HTCondor's ``JobStatus``."""

    IDLE = 1
    RUNNING = 2
    REMOVED = 3
    COMPLETED = 4
    HELD = 5
    TRANSFERRING = 6
    SUSPENDED = 7


class Act(StrEnum):
    """What is done to the predecessor."""

    RELEASE_DAGMAN = "release_dagman"
    HALT = "halt"
    REMOVE_DAGMAN = "remove_dagman"
    REMOVE_NODES = "remove_nodes"
    UNLINK_LOCK = "unlink_lock"


@dataclass(frozen=True)
class Job:
    """A node's job in the queue."""

    node: str
    cluster: int
    proc: int
    status: int


@dataclass(frozen=True)
class Predecessor:
    """What is still there of the predecessor.

    Parameters
    ----------
    dagman
        ``JobStatus`` of its DAGMan, None when that left the queue.
    jobs
        Node jobs in the queue.
    spared
        Nodes that may finish.
    unsettled
        Those of them whose end the blackboard does not know yet.
    lock
        Whether ``<dag>.lock`` exists.
    released_s, quiet_s
        Seconds since this clearing released DAGMan, and since nothing but DAGMan itself or its lock
        file is left; None when that did not happen.
    """

    dagman: int | None
    jobs: Sequence[Job] = ()
    spared: frozenset[str] = frozenset()
    unsettled: frozenset[str] = frozenset()
    lock: bool = False
    released_s: float | None = None
    quiet_s: float | None = None

    @property
    def gone(self) -> bool:
        """Whether a successor may be submitted."""
        return self.dagman is None and not self.jobs and not self.lock


@dataclass(frozen=True)
class Step:
    """Acts to do now (all can be repeated), and what is waited for afterwards."""

    acts: tuple[Act, ...] = ()
    waiting_for: str = ""


def removable(predecessor: Predecessor) -> list[Job]:
    """Return the jobs that must go: those of nodes that are not spared."""
    return [
        job
        for job in predecessor.jobs
        if job.node not in predecessor.spared and job.status != JobStatus.REMOVED
    ]


def clearing_step(predecessor: Predecessor) -> Step:
    """Return what to do about the predecessor now; no acts and no words when it is gone."""
    if predecessor.gone:
        return Step()
    if predecessor.dagman is None:
        return _without_dagman(predecessor)
    if predecessor.dagman in {JobStatus.REMOVED, JobStatus.COMPLETED}:
        return Step(waiting_for="its DAGMan to leave the queue")
    if predecessor.spared:
        return _let_finish(predecessor)
    return _stop(predecessor)


def _without_dagman(predecessor: Predecessor) -> Step:
    if removable(predecessor):
        return Step((Act.REMOVE_NODES,), "jobs that its DAGMan left behind")
    if predecessor.jobs:
        return Step(waiting_for=f"{len(predecessor.jobs)} jobs to leave the queue")
    # DAGMan is out of the queue, so no process of it is alive: what is left of the lock file is
    # from a DAGMan that was killed. The next one would take it for a reason to run in recovery.
    if predecessor.quiet_s is not None and predecessor.quiet_s >= _LOCK_SECONDS:
        return Step((Act.UNLINK_LOCK,), "its lock file")
    return Step(waiting_for="its lock file")


def _stop(predecessor: Predecessor) -> Step:
    waiting = "its DAGMan to end"
    released = predecessor.released_s
    if predecessor.dagman == JobStatus.HELD and released is None:
        return Step((Act.RELEASE_DAGMAN,), "its held DAGMan to start again")
    starting = predecessor.dagman == JobStatus.IDLE and released is not None
    if starting and released is not None and released < _START_SECONDS:
        return Step(waiting_for="its released DAGMan to start")
    return Step((Act.REMOVE_DAGMAN,), waiting)


def _let_finish(predecessor: Predecessor) -> Step:
    acts: list[Act] = []
    if predecessor.dagman != JobStatus.HELD:
        acts.append(Act.HALT)
    if removable(predecessor):
        acts.append(Act.REMOVE_NODES)
    if predecessor.jobs:
        return Step(tuple(acts), f"{', '.join(sorted(predecessor.spared))} to finish")
    # A halted DAGMan with nothing left leaves by itself. A held one does not, and releasing it
    # would start new nodes.
    drained = predecessor.quiet_s is not None and predecessor.quiet_s >= _DRAIN_SECONDS
    if predecessor.dagman == JobStatus.HELD or drained:
        return Step((Act.REMOVE_DAGMAN,), "its DAGMan to end")
    return Step(tuple(acts), "its halted DAGMan to end")
