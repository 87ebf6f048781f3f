"""Which entries are shoveled now: a pure function of the policy, what waits and what runs.

The order is: priority first; within one priority a fair share between the types, by their weights
and by what they have already (DAG runs that run, or that were made in the last minute, whichever
are more, so that runs of seconds count like runs of hours); between equals the oldest entry; within
a type its instruments in turn.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby


@dataclass(frozen=True)
class Policy:
    """What operators decide about the shoveler; None is no limit.

    Parameters
    ----------
    stop
        Nothing is shoveled.
    max_running
        DAG runs of workflows that may be in Airflow (queued or running) at a time.
    batch
        Entries that are shoveled in one transaction, at the most.
    starts_per_minute
        DAG runs that may be made within a minute.
    idle_jobs
        Nothing is shoveled as long as so many jobs wait for a slot of the pool.
    min_interval_s
        Seconds between two batches, at the least.
    type_caps, instrument_caps
        DAG runs of one type, or of one instrument's filesets, at a time.
    weights
        Shares of the types, 1 where none is given.
    """

    stop: bool = False
    max_running: int = 500
    batch: int = 100
    starts_per_minute: int | None = None
    idle_jobs: int | None = 1000
    min_interval_s: float = 0.0
    type_caps: Mapping[str, int] = field(default_factory=dict)
    instrument_caps: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """Waiting entries of one type, instrument and priority.

    Parameters
    ----------
    type, instrument, priority
        Of all of them; the instrument is empty when they have none.
    waiting
        How many can be shoveled; only so many are counted as could be shoveled at once.
    oldest
        Number of the first of them.
    blocked
        How many more wait for the end of an earlier run of the same fileset.
    """

    type: str
    instrument: str
    priority: int
    waiting: int
    oldest: int = 0
    blocked: int = 0


@dataclass(frozen=True)
class Workflow:
    """What Airflow says about the DAG of a type.

    Parameters
    ----------
    obstacle
        Why it cannot run, in words that follow "its DAG"; None when it can.
    max_active_runs
        How many of its runs Airflow lets run at a time.
    """

    obstacle: str | None = None
    max_active_runs: int | None = None


MISSING = Workflow("is not known to Airflow: no template of this name makes one")


@dataclass(frozen=True)
class Load:
    """What runs now.

    Parameters
    ----------
    running, instruments
        DAG runs that are queued or running in Airflow, by type and by instrument.
    not_started
        Those among them that Airflow has not begun: their jobs are still to come.
    recent
        DAG runs that the shoveler made in the last minute, by type.
    since_last_s
        Seconds since it made the last one, if that was within the last minute.
    idle_jobs
        Jobs that wait for a slot; None: not known, so that this limit does not apply.
    workflows
        The DAGs of all types that wait; one that is not there is missing in Airflow.
    """

    running: Mapping[str, int] = field(default_factory=dict)
    instruments: Mapping[str, int] = field(default_factory=dict)
    not_started: int = 0
    recent: Mapping[str, int] = field(default_factory=dict)
    since_last_s: float | None = None
    idle_jobs: int | None = None
    workflows: Mapping[str, Workflow] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to shovel.

    Parameters
    ----------
    grants
        (type, instrument) -> so many entries, the best ones.
    waits
        Type -> why it gets nothing.
    rests
        Type -> why it gets only a part of what waits.
    limit
        What keeps the batch from being larger.
    """

    grants: Mapping[tuple[str, str], int] = field(default_factory=dict)
    waits: Mapping[str, str] = field(default_factory=dict)
    rests: Mapping[str, str] = field(default_factory=dict)
    limit: str = ""

    @property
    def total(self) -> int:
        """How many entries will be shoveled."""
        return sum(self.grants.values())

    def by_type(self) -> dict[str, int]:
        """Return how many of each type will be shoveled."""
        found: Counter[str] = Counter()
        for (type_, _), number in self.grants.items():
            found[type_] += number
        return dict(found)


def plan(policy: Policy, census: Iterable[Cell], load: Load) -> Plan:
    """Decide how many entries of each type and instrument are shoveled now."""
    cells = sorted(census, key=lambda cell: (-cell.priority, cell.type, cell.instrument))
    room, limit = _room(policy, load)
    share = _Share(policy, load)
    for _, group in groupby(cells, key=lambda cell: cell.priority):
        share.divide(list(group), room - share.total)
    served = {type_ for type_, _ in share.grants}
    words = {
        type_: _why(type_, [cell for cell in cells if cell.type == type_], share, limit)
        for type_ in sorted({cell.type for cell in cells})
    }
    return Plan(
        grants=dict(share.grants),
        waits={type_: text for type_, text in words.items() if type_ not in served and text},
        rests={type_: text for type_, text in words.items() if type_ in served and text},
        limit=limit,
    )


def _room(policy: Policy, load: Load) -> tuple[int, str]:
    """Return how many entries may be shoveled at all, and what sets this limit."""
    if policy.stop:
        return 0, "the shoveler is stopped (owl shoveler start)"
    if load.since_last_s is not None and load.since_last_s < policy.min_interval_s:
        return 0, f"a batch is shoveled every {policy.min_interval_s:g} s only (min_interval_s)"
    running = sum(load.running.values())
    limits = [
        (policy.batch, f"a batch has {policy.batch} entries at the most (batch)"),
        (
            policy.max_running - running,
            f"{running} DAG runs are in Airflow, {policy.max_running} are allowed (max_running)",
        ),
    ]
    if policy.starts_per_minute is not None:
        recent = sum(load.recent.values())
        limits.append(
            (
                policy.starts_per_minute - recent,
                f"{recent} DAG runs were made in the last minute, "
                f"{policy.starts_per_minute} are allowed (starts_per_minute)",
            )
        )
    if policy.idle_jobs is not None and load.idle_jobs is not None:
        # Each run that has not begun will bring one idle job at the least.
        limits.append(
            (
                policy.idle_jobs - load.idle_jobs - load.not_started,
                f"{load.idle_jobs} jobs are idle in the pool and {load.not_started} DAG runs have "
                f"not begun, {policy.idle_jobs} together are allowed (idle_jobs)",
            )
        )
    room, words = min(limits, key=lambda limit: limit[0])
    return max(room, 0), words


class _Share:
    """Entries are given one by one to the type that has least for its weight."""

    def __init__(self, policy: Policy, load: Load) -> None:
        self.policy = policy
        self.load = load
        self.types = Counter(load.running)
        self.served = Counter(load.running) | Counter(load.recent)
        self.instruments = Counter(load.instruments)
        self.grants: Counter[tuple[str, str]] = Counter()
        self.total = 0

    def divide(self, cells: list[Cell], room: int) -> None:
        """Share out `room` among cells of the same priority."""
        left = {cell: cell.waiting for cell in cells if cell.waiting > 0}
        of_type = {
            type_: [cell for cell in left if cell.type == type_]
            for type_ in sorted({cell.type for cell in left})
        }
        heap = [(self._ratio(type_), self._oldest(own), type_) for type_, own in of_type.items()]
        heapq.heapify(heap)
        while room > 0 and heap:
            _, oldest, type_ = heapq.heappop(heap)
            open_cells = [
                cell
                for cell in of_type[type_]
                if left[cell] and self.obstacle(cell.type, cell.instrument) is None
            ]
            if not open_cells:
                continue
            cell = min(open_cells, key=lambda c: (self.grants[c.type, c.instrument], c.oldest))
            left[cell] -= 1
            self._grant(cell)
            room -= 1
            heapq.heappush(heap, (self._ratio(type_), oldest, type_))

    def _grant(self, cell: Cell) -> None:
        self.grants[cell.type, cell.instrument] += 1
        self.types[cell.type] += 1
        self.served[cell.type] += 1
        if cell.instrument:
            self.instruments[cell.instrument] += 1
        self.total += 1

    def _ratio(self, type_: str) -> float:
        return self.served[type_] / self.policy.weights.get(type_, 1.0)

    @staticmethod
    def _oldest(cells: list[Cell]) -> int:
        return min(cell.oldest for cell in cells)

    def obstacle(self, type_: str, instrument: str) -> str | None:
        """Return why no entry of a type and instrument can be shoveled now; None if one can."""
        workflow = self.load.workflows.get(type_, MISSING)
        if workflow.obstacle is not None:
            return f"its DAG {workflow.obstacle}"
        have = self.types[type_]
        cap = self.policy.type_caps.get(type_)
        if cap is not None and have >= cap:
            return f"it has {have} DAG runs, {cap} are allowed (type.{type_}.cap)"
        most = workflow.max_active_runs
        if most is not None and have >= most:
            return f"it has {have} DAG runs, its DAG runs {most} at a time (max_active_runs)"
        cap = self.policy.instrument_caps.get(instrument) if instrument else None
        if cap is not None and self.instruments[instrument] >= cap:
            return (
                f"{instrument} has {self.instruments[instrument]} DAG runs, {cap} are allowed "
                f"(instrument.{instrument}.cap)"
            )
        return None


def _why(type_: str, cells: list[Cell], share: _Share, limit: str) -> str:
    """Return the sentence about the entries of a type that are left; empty when none is."""
    left: Counter[str] = Counter()
    for cell in cells:
        left[cell.instrument] += cell.waiting
    open_to = [name for name, n in left.items() if n > share.grants[type_, name]]
    if not open_to:
        blocked = sum(cell.blocked for cell in cells)
        return f"{blocked} entries wait for the earlier runs of the same filesets." * (blocked > 0)
    obstacles = [share.obstacle(type_, name) for name in open_to]
    if None not in obstacles and not share.policy.stop:
        return "; ".join(sorted({words for words in obstacles if words})) + "."
    if share.total > sum(n for (own, _), n in share.grants.items() if own == type_):
        return f"others have their share (priority, weight); {limit}."
    return f"{limit}."
