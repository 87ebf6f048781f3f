"""A thread of the mirror outlives a database that goes away, and its own mistakes."""

from __future__ import annotations

import threading
from typing import Any, cast

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from htcondor_operator.mirror import background
from htcondor_operator.mirror.background import Background


class _Connection:
    def __init__(self) -> None:
        self.closed_by_owner = False

    def close(self) -> None:
        self.closed_by_owner = True


class _Thread(Background):
    """Fails as it is told, then works and says so."""

    def __init__(self, failures: list[Exception]) -> None:
        super().__init__("test", "the test waits", self._open, 0.001)
        self.failures = failures
        self.opened: list[_Connection] = []
        self.worked = threading.Event()

    def _open(self) -> Connection:
        self.opened.append(_Connection())
        return cast(Any, self.opened[-1])

    def work(self, connection: Connection) -> bool:
        if self.failures:
            raise self.failures.pop(0)
        self.worked.set()
        return False


@pytest.mark.parametrize(
    "failure", [psycopg2.OperationalError("gone"), OSError("no folder"), ValueError("a mistake")]
)
def test_starts_over_with_a_new_connection(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(background, "_LONGEST_PAUSE", 0.01)
    thread = _Thread([failure, failure])
    thread.start()
    assert thread.worked.wait(60)
    thread.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert len(thread.opened) == 3
    assert all(each.closed_by_owner for each in thread.opened)


def test_does_not_pause_while_there_is_more() -> None:
    left = [True] * 50
    done = threading.Event()
    pauses: list[float | None] = []
    before_the_end: list[int] = []

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout)
            return super().wait(timeout)

    class Busy(_Thread):
        def work(self, connection: Connection) -> bool:
            if not left:
                before_the_end.append(len(pauses))
                done.set()
                return False
            return left.pop()

    thread = Busy([])
    thread._stopped = Stopped()
    thread.start()
    assert done.wait(60)
    thread.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert before_the_end[0] == 1, "only the pause with which it begins"
