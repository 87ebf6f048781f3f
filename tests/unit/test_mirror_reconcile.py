"""What the mirror makes of the schedd's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htcondor_operator.condor.bindings import Bindings, ScheddSilent
from htcondor_operator.mirror.reconcile import Inquirer


class LongHistory(Bindings):
    """A schedd that knows its queue, but takes too long to read its history."""

    def query(
        self, constraint: str, projection: Sequence[str], limit: int = -1
    ) -> list[dict[str, Any]]:
        return [{"ClusterId": 7, "ProcId": 0, "JobStatus": 2}]

    def history(
        self,
        constraint: str,
        projection: Sequence[str],
        match: int = -1,
        since: str | None = None,
    ) -> list[dict[str, Any]]:
        raise ScheddSilent("no answer within 10 s")


def test_a_history_that_takes_too_long_costs_only_itself() -> None:
    inquirer = Inquirer(LongHistory(), 30.0)
    inquirer.ask_about({(5, 0): 1_000_000.0})
    answer = inquirer._ask()
    assert set(answer.queue) == {(7, 0)}
    assert answer.history_asked == frozenset()
