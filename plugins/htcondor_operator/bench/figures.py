"""The arithmetic of a campaign: from what two halves measured to the figures that count. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

AIRFLOW_COMPONENTS = (
    "scheduler",
    "dag-processor",
    "triggerer",
    "api-server",
    "postgres",
    "mirror",
    "gateway",
)
"""All that runs because of Airflow; HTCondor's own daemons are told apart."""

EXPECTED: Mapping[str, float] = {
    "wall_ratio": 1.15,
    "airflow_cpu_ms_per_node": 80.0,
    "mirror_lag_p99_s": 2.0,
    "task_instance_lag_p99_s": 2.0,
    "launches_s": 5.0,
    "lost": 0,
    "duplicated": 0,
}
"""The most that each figure may be."""


class NodeKey(NamedTuple):
    """One node of one dataset."""

    dataset: str
    node: str


@dataclass(frozen=True)
class Lag:
    """Seconds from an event to where people see it."""

    p50: float
    p99: float
    samples: int


@dataclass(frozen=True)
class Half:
    """What one side of a pair measured.

    Parameters
    ----------
    side
        ``raw`` or ``airflow``.
    wall_s
        First submission (or trigger) until all is over.
    launches_s
        First submission (or trigger) until HTCondor had the last DAGMan.
    nodes
        Nodes that had to run.
    lost, duplicated
        Nodes that did not run to a good end; runs of a node (or of DAGMan) beyond the first.
    cpu_s
        CPU seconds per component.
    load
        Load average over the last minute, before and after.
    other_cores
        Cores that processes outside this stack kept busy meanwhile.
    mirror_lags, task_instance_lags
        Seconds per event; empty for the raw side.
    """

    side: str
    wall_s: float
    launches_s: float
    nodes: int
    lost: int
    duplicated: int
    cpu_s: Mapping[str, float]
    load: tuple[float, float]
    other_cores: float = 0.0
    mirror_lags: Sequence[float] = ()
    task_instance_lags: Sequence[float] = ()


@dataclass(frozen=True)
class Pair:
    """Both halves, in the order in which they ran."""

    first: Half
    second: Half

    @property
    def raw(self) -> Half:
        """The half without Airflow."""
        return self.first if self.first.side == "raw" else self.second

    @property
    def airflow(self) -> Half:
        """The half through Airflow."""
        return self.second if self.first.side == "raw" else self.first

    @property
    def wall_ratio(self) -> float:
        """How much longer the way through Airflow took."""
        return self.airflow.wall_s / self.raw.wall_s


@dataclass
class Tally:
    """Counts what ran, from the event log."""

    datasets: Collection[str]
    submitted: dict[NodeKey, int] = field(default_factory=dict)
    done: dict[NodeKey, int] = field(default_factory=dict)
    dagmans: dict[str, set[int]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    jobs: dict[int, tuple[str, int | None, str | None]] = field(default_factory=dict)
    """Dataset, DAGMan and node of each cluster: not every event comes with the job's ad."""
    last_launch: float = 0.0

    def duplicated(self) -> int:
        """Return the runs of a node, or of DAGMan, beyond the first."""
        keys = self.submitted.keys() | self.done.keys()
        runs = (max(self.submitted.get(k, 0), self.done.get(k, 0)) for k in keys)
        return sum(n - 1 for n in runs if n > 1) + sum(len(c) - 1 for c in self.dagmans.values())

    def missing(self, wanted: Iterable[NodeKey]) -> set[NodeKey]:
        """Return the nodes that did not run to a good end."""
        return {key for key in wanted if not self.done.get(key)}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = max(1, -(-len(ordered) * round(share * 1000) // 1000))
    return ordered[min(rank, len(ordered)) - 1]


def lag(values: Sequence[float]) -> Lag | None:
    """Return the percentiles of lags; None without any."""
    if not values:
        return None
    return Lag(percentile(values, 0.5), percentile(values, 0.99), len(values))


def cpu_ms_per_node(half: Half) -> dict[str, float]:
    """Return the CPU milliseconds per node of every component."""
    return {name: 1000 * seconds / half.nodes for name, seconds in half.cpu_s.items()}


def airflow_cpu_ms_per_node(half: Half) -> float:
    """Return the CPU milliseconds per node of all that runs because of Airflow."""
    parts = cpu_ms_per_node(half)
    return sum(parts.get(name, 0.0) for name in AIRFLOW_COMPONENTS)


def summary(pairs: Sequence[Pair]) -> dict[str, object]:
    """Return the figures of a campaign, rounded, as JSON-able data."""
    halves = [pair.airflow for pair in pairs]
    parts = [cpu_ms_per_node(half) for half in halves]
    mirror = lag([x for half in halves for x in half.mirror_lags])
    shown = lag([x for half in halves for x in half.task_instance_lags])
    figures: dict[str, object] = {
        "wall_ratio": round(median(pair.wall_ratio for pair in pairs), 3),
        "airflow_cpu_ms_per_node": round(median(map(airflow_cpu_ms_per_node, halves)), 1),
        "cpu_ms_per_node": {
            name: round(median(part[name] for part in parts), 1) for name in parts[0]
        },
        "mirror_lag_s": _told(mirror),
        "task_instance_lag_s": _told(shown),
        "launches_s": round(median(half.launches_s for half in halves), 2),
        "raw_launches_s": round(median(pair.raw.launches_s for pair in pairs), 2),
        "lost": sum(pair.raw.lost + pair.airflow.lost for pair in pairs),
        "duplicated": sum(pair.raw.duplicated + pair.airflow.duplicated for pair in pairs),
    }
    values = {
        "mirror_lag_p99_s": mirror.p99 if mirror else None,
        "task_instance_lag_p99_s": shown.p99 if shown else None,
        **figures,
    }
    figures["expected"] = dict(EXPECTED)
    figures["missed"] = missed(values)
    figures["per_pair"] = [told_pair(pair) for pair in pairs]
    return figures


def missed(values: Mapping[str, object]) -> list[str]:
    """Return the names of the figures that are not as good as expected, or unknown."""
    return [
        name
        for name, most in EXPECTED.items()
        if not isinstance(value := values.get(name), int | float) or value > most
    ]


def told_pair(pair: Pair) -> dict[str, object]:
    """Return one pair as JSON-able data."""
    return {
        "order": [pair.first.side, pair.second.side],
        "wall_ratio": round(pair.wall_ratio, 3),
        "raw": told_half(pair.raw),
        "airflow": told_half(pair.airflow),
    }


def told_half(half: Half) -> dict[str, object]:
    """Return one half as JSON-able data."""
    told: dict[str, object] = {
        "wall_s": round(half.wall_s, 2),
        "launches_s": round(half.launches_s, 2),
        "nodes": half.nodes,
        "lost": half.lost,
        "duplicated": half.duplicated,
        "airflow_cpu_ms_per_node": round(airflow_cpu_ms_per_node(half), 1),
        "cpu_ms_per_node": {k: round(v, 1) for k, v in cpu_ms_per_node(half).items()},
        "load_average": [round(x, 2) for x in half.load],
        "other_busy_cores": round(half.other_cores, 2),
    }
    if half.side == "airflow":
        told["mirror_lag_s"] = _told(lag(half.mirror_lags))
        told["task_instance_lag_s"] = _told(lag(half.task_instance_lags))
    return told


def _told(value: Lag | None) -> dict[str, object] | None:
    if value is None:
        return None
    return {"p50": round(value.p50, 3), "p99": round(value.p99, 3), "samples": value.samples}
