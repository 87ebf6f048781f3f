"""A real shoveler in a process of its own, for tests that kill it.

``python -m tests.integration.shoveler_process until-empty`` does turns until nothing waits;
``... die-at N`` does one round and kills itself before the N-th statement or commit (counted
together), or ends well when there are not so many.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import psycopg2
import psycopg2.extensions

from htcondor_operator.blackboard.link import Link
from htcondor_operator.queue.pollers.turns import Turns
from htcondor_operator.queue.shoveler.poller import Shoveler
from htcondor_operator.settings import Settings


def until_empty() -> None:
    turns = Turns("SHOVELER", Settings.from_environment())
    sys.stdout.write("working\n")
    sys.stdout.flush()
    while turns.turn(even_if_paused=True).result.note != "Nothing waits.":
        time.sleep(0.01)


class Countdown:
    left = 0

    @classmethod
    def step(cls) -> None:
        cls.left -= 1
        if cls.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingCursor(psycopg2.extensions.cursor):
    def execute(self, *args: Any, **kwargs: Any) -> None:
        Countdown.step()
        super().execute(*args, **kwargs)


class DyingConnection(psycopg2.extensions.connection):
    def __exit__(self, *args: Any) -> None:
        Countdown.step()
        super().__exit__(*args)
        Countdown.step()


def die_at(number: int) -> None:
    Countdown.left = number
    connect = psycopg2.connect
    psycopg2.connect = lambda **dsn: connect(
        **dsn, connection_factory=DyingConnection, cursor_factory=DyingCursor
    )
    Shoveler(Link(Settings.from_environment(), "shoveler")).round()


if __name__ == "__main__":
    if sys.argv[1] == "die-at":
        die_at(int(sys.argv[2]))
    else:
        until_empty()
