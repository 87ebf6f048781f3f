"""The poller of kind ``shoveler``: what its rounds do, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from htcondor_operator.blackboard.link import Link
from htcondor_operator.blackboard.outcome_rows import sweep_outcomes
from htcondor_operator.blackboard.queue_tally import compact
from htcondor_operator.queue.pollers.kinds import RoundResult
from htcondor_operator.queue.shoveler.shoveling import Batch, shovel_batch
from htcondor_operator.settings import Settings

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from htcondor_operator.queue.pollers.declarations import Declaration

SWEEP_S = 2.0
"""Seconds between two looks at what became of shoveled entries."""

COMPACT_S = 30.0
"""Seconds between two foldings of the tally, which each batch makes longer."""

PATIENCE_S = 30
"""A transaction that stands still for so long is ended by the server: its claims are free again."""


@dataclass
class Shoveler:
    """Shovels one batch each round, and looks from time to time what became of earlier ones.

    Parameters
    ----------
    link
        Connection to Airflow's database.
    clock
        Seconds, only going up.
    """

    link: Link
    clock: Callable[[], float] = time.monotonic
    _due: dict[str, float] = field(default_factory=dict)

    def round(self) -> RoundResult:
        """Shovel one batch; `found` is the number of entries that are now in Airflow."""
        counts: dict[str, int] = {}
        if self._is_due("sweep", SWEEP_S):
            # First, because what is over makes room.
            with self._transaction() as cur:
                counts.update(sweep_outcomes(cur))
        with self._transaction() as cur:
            batch = shovel_batch(cur)
        if self._is_due("compact", COMPACT_S):
            with self._transaction() as cur:
                compact(cur)
        counts["shoveled"] = batch.shoveled
        return RoundResult(
            batch.shoveled, {name: n for name, n in counts.items() if n}, _note(batch)
        )

    def close(self) -> None:
        """Give the connection back."""
        self.link.close()

    @contextmanager
    def _transaction(self) -> Iterator[Cursor]:
        with self.link.transaction() as cur:
            # A shoveler whose host vanished would keep its locks until TCP notices, hours later.
            cur.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{PATIENCE_S}s'")
            yield cur

    def _is_due(self, what: str, interval_s: float) -> bool:
        now = self.clock()
        if now < self._due.get(what, now):
            return False
        self._due[what] = now + interval_s
        return True


def make_poller(declaration: Declaration, settings: Settings) -> Shoveler:
    """Make the shoveler; its limits are in the database (``owl shoveler``)."""
    return Shoveler(Link(settings, f"poller {declaration.name}"))


def _note(batch: Batch) -> str:
    """Return one sentence: what was shoveled, or why nothing was."""
    if batch.busy:
        return "Another process is shoveling."
    done = batch.plan.by_type()
    if batch.shoveled:
        return f"{batch.shoveled} shoveled: " + ", ".join(
            f"{n} {type_}" for type_, n in sorted(done.items())
        )
    waits = batch.plan.waits
    if not waits:
        return "Nothing waits." if not batch.stopped else "Stopped (owl shoveler start)."
    return "; ".join(f"{type_}: {words}" for type_, words in sorted(waits.items()))[:500]
