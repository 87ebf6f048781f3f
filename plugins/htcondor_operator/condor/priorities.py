"""The priority of a run in the queue: it is added to those that the workflow gives its nodes.

DAGMan adds its own priority to a node's ``PRIORITY`` when it submits the node's job, and knows
its own only from its command line: a later change of its JobPrio means nothing to it (seen in
25.14.1). So the gateway sets the priority of each job: of those in the queue at once, of those
that DAGMan submits later as soon as the mirror has seen them.

A job that was set once keeps its priority within the workflow in ``OwlNodePriority``, written
before ``JobPrio``, so that doing it again, after a crash too, changes nothing.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.run_priorities import (
    Job,
    changed_in_the_queue,
    jobs_of,
    live_runs,
    tell_priorities,
)
from htcondor_operator.condor.bindings import Bindings, BindingsError

log = logging.getLogger(__name__)

OWN = "OwlNodePriority"
"""Attribute of a job: its priority within its workflow."""

_PROJECTION = ("ClusterId", "ProcId", "JobPrio", OWN)
_AT_ONCE = 200
# As in the arguments of condor_dagman: ... -Priority 5 ..., quoted or not.
_PRIORITY = re.compile(r"-Priority['\s]+(-?\d+)", re.IGNORECASE)


def start_priority(arguments: str) -> int:
    """Return the priority that a DAGMan was started with, from its job's arguments."""
    found = _PRIORITY.search(arguments)
    return int(found.group(1)) if found else 0


def family(cluster: int, bindings: Bindings) -> list[int]:
    """Return the clusters of a DAGMan and of all DAGMans below it (SUBDAG nodes)."""
    found, new = [cluster], [cluster]
    while new:
        below = " || ".join(f"DAGManJobId == {c}" for c in new)
        ads = bindings.query(f"JobUniverse == 7 && ({below})", ["ClusterId"])
        new = [int(ad["ClusterId"]) for ad in ads if ad["ClusterId"] not in found]
        found += new
    return found


def family_constraint(cluster: int, bindings: Bindings) -> str:
    """Return the expression that is true for a DAGMan and all that it has in the queue."""
    clusters = " || ".join(f"DAGManJobId == {c}" for c in family(cluster, bindings))
    return f"ClusterId == {cluster} || {clusters}"


def raise_run(dagman: int, value: int, constraint: str, bindings: Bindings) -> dict[int, int]:
    """Let jobs of a run have the run's priority and their own; return it by cluster.

    Parameters
    ----------
    dagman
        Cluster of the run's own DAGMan.
    value
        The run's priority.
    constraint
        Which of its jobs.
    """
    ads = bindings.query(constraint, _PROJECTION)
    if not ads:
        return {}
    if any(OWN not in ad for ad in ads):
        start = _start_of(dagman, bindings)
        ads = [ad if OWN in ad else {**ad, OWN: int(ad["JobPrio"]) - start, "new": 1} for ad in ads]
        _edit(bindings, OWN, {_name(ad): int(ad[OWN]) for ad in ads if "new" in ad})
    wanted = {_name(ad): int(ad[OWN]) + value for ad in ads}
    _edit(bindings, "JobPrio", {_name(a): wanted[_name(a)] for a in ads if _differs(a, wanted)})
    return {cluster: priority for (cluster, _), priority in wanted.items()}


def set_node(run_priority: int, value: int, constraint: str, bindings: Bindings) -> dict[int, int]:
    """Give a node's jobs this very priority; the run's counts again when it is changed next."""
    names = [_name(ad) for ad in bindings.query(constraint, _PROJECTION)]
    _edit(bindings, OWN, dict.fromkeys(names, value - run_priority))
    _edit(bindings, "JobPrio", dict.fromkeys(names, value))
    return {cluster: value for cluster, _ in names}


def _start_of(dagman: int, bindings: Bindings) -> int:
    for ad in bindings.query(f"ClusterId == {dagman}", ["Arguments", "Args"]):
        return start_priority(str(ad.get("Arguments") or ad.get("Args") or ""))
    return 0


def _which(jobs: Collection[Job]) -> str:
    return " || ".join(f"ClusterId == {job.cluster}" for job in jobs)


def _name(ad: Mapping[str, Any]) -> tuple[int, int]:
    return int(ad["ClusterId"]), int(ad["ProcId"])


def _differs(ad: Mapping[str, Any], wanted: Mapping[tuple[int, int], int]) -> bool:
    return bool(ad["JobPrio"] != wanted[_name(ad)])


def _edit(bindings: Bindings, attribute: str, values: Mapping[tuple[int, int], int]) -> None:
    by_value: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for name, value in values.items():
        by_value[value].append(name)
    for value, names in by_value.items():
        for first in range(0, len(names), _AT_ONCE):
            part = names[first : first + _AT_ONCE]
            which = " || ".join(f"(ClusterId == {c} && ProcId == {p})" for c, p in part)
            try:
                bindings.edit(which, attribute, str(value))
            except BindingsError:
                if bindings.query(which, ["ClusterId"]):
                    raise  # Otherwise the jobs have left the queue since.


@dataclass
class Priorities:
    """Runs of a schedd that got another priority after their submission."""

    schedd: str
    bindings: Bindings
    runs: set[int] = field(default_factory=set)
    known: dict[int, int] = field(default_factory=dict)
    """Priority of each job that was looked after, by cluster."""

    def load(self, work: Connection) -> None:
        """Take what a gateway before this one has changed."""
        with work, work.cursor() as cursor:
            self.runs |= changed_in_the_queue(cursor, self.schedd)

    def changed(self, run_key: int, priorities: Mapping[int, int]) -> None:
        """Look after a run from now on."""
        self.runs.add(run_key)
        self.known.update(priorities)

    def look(self, work: Connection) -> None:
        """Give new jobs of these runs their run's priority, and mend rows that say another.

        A row may be behind: the mirror folds events that are older than the change.
        """
        if not self.runs:
            return
        with work, work.cursor() as cursor:
            self.runs = live_runs(cursor, self.schedd, self.runs)
            jobs = jobs_of(cursor, self.schedd, self.runs)
        self.known = {c: self.known[c] for c in {job.cluster for job in jobs} & self.known.keys()}
        by_run: dict[int, list[Job]] = defaultdict(list)
        for job in jobs:
            if self.known.get(job.cluster) != job.priority or job.priority is None:
                by_run[job.run_key].append(job)
        for run_key, some in by_run.items():
            try:
                self._look_after(work, run_key, some)
            except BindingsError as error:
                log.warning("priority of run %s: %s", run_key, error)

    def _look_after(self, work: Connection, run_key: int, jobs: Collection[Job]) -> None:
        one = next(iter(jobs))
        new = [job for job in jobs if job.cluster not in self.known]
        now = raise_run(one.dagman, one.run_priority, _which(new), self.bindings) if new else {}
        if old := [job for job in jobs if job.cluster in self.known]:
            ads = self.bindings.query(_which(old), _PROJECTION)
            now |= {int(ad["ClusterId"]): int(ad["JobPrio"]) for ad in ads}
        # What left the queue in the meantime is as the mirror says.
        self.known.update({job.cluster: job.priority or 0 for job in jobs} | now)
        with work, work.cursor() as cursor:
            tell_priorities(cursor, run_key, now)
