"""Follows the datasets of a half through the schedd's event log, as the mirror does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from htcondor_operator.bench.figures import NodeKey, Tally
from htcondor_operator.blackboard.cursor import LogPosition
from htcondor_operator.dagman.events import EventType, JobEvent
from htcondor_operator.mirror.event_log import EventLogReader
from htcondor_operator.mirror.log_files import inspect
from htcondor_operator.vocabulary import ErrorKind, OwlError

LOOK_SECONDS = 0.25
TELL_SECONDS = 5.0

Say = Callable[[str], None]


class Watch:
    """Reads what is new in an event log and counts it.

    Parameters
    ----------
    event_log
        The schedd's event log; only what comes from now on is read.
    datasets
        Whom to watch.
    """

    def __init__(self, event_log: Path, datasets: Collection[str]) -> None:
        # The bindings give local times without a zone.
        os.environ["TZ"] = "UTC"
        time.tzset()
        now = inspect(event_log)
        where = now and LogPosition(now.inode, now.header_id, now.sequence, now.size)
        self._reader = EventLogReader(event_log, where or None)
        self.tally = Tally(frozenset(datasets))

    def close(self) -> None:
        """Close the log."""
        self._reader.close()

    def look(self) -> None:
        """Count what is new."""
        batch = self._reader.read(5000)
        while batch is not None:
            for event in batch.events:
                count(self.tally, event)
            if batch.at_end:
                return
            batch = self._reader.read(5000)

    def wait(self, over: Callable[[], bool], label: str, timeout: float, say: Say) -> float:
        """Look until `over`; return the moment (``time.time()``) when it was.

        Raises
        ------
        OwlError
            After `timeout` seconds.
        """
        began = told = time.monotonic()
        while True:
            self.look()
            if over():
                return time.time()
            now = time.monotonic()
            if now - told > TELL_SECONDS:
                told = now
                say(f"{label}: {self.words()}, load {os.getloadavg()[0]:.1f}")
            if now - began > timeout:
                raise OwlError(
                    ErrorKind.INTERNAL,
                    f"{label} is not over after {timeout:.0f} s: {self.words()}. See owl status "
                    "and owl logs SchedLog, or give a larger --timeout.",
                )
            time.sleep(LOOK_SECONDS)

    def words(self) -> str:
        """Return how far it is."""
        tally = self.tally
        return (
            f"{len(tally.done)} nodes done, {len(tally.dagmans)} DAGMans submitted, "
            f"{len(tally.ended)} of {len(tally.datasets)} ended"
        )


def count(tally: Tally, event: JobEvent) -> None:
    """Let one event change the counts."""
    named = event.text("OwlDataset")
    if named is not None and named in tally.datasets:
        tally.jobs[event.cluster] = (named, event.dagman, event.node)
    if event.cluster not in tally.jobs:
        return
    dataset, dagman, node = tally.jobs[event.cluster]
    if dagman is None:
        _count_dagman(tally, dataset, event)
    elif node is not None:
        key = NodeKey(dataset, node)
        if event.type == EventType.SUBMIT:
            tally.submitted[key] = tally.submitted.get(key, 0) + 1
        elif event.type == EventType.TERMINATED and event.whole("ReturnValue") == 0:
            tally.done[key] = tally.done.get(key, 0) + 1


def _count_dagman(tally: Tally, dataset: str, event: JobEvent) -> None:
    if event.type == EventType.SUBMIT:
        tally.dagmans.setdefault(dataset, set()).add(event.cluster)
        tally.last_launch = max(tally.last_launch, event.time.timestamp())
    elif event.type in {EventType.TERMINATED, EventType.ABORTED}:
        tally.ended.add(dataset)
