"""Forgets what is too old, in a thread and a connection of its own: the mirror never waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.retention import Retention, forget

log = logging.getLogger(__name__)

_FIRST_SECONDS, _EVERY_SECONDS = 300.0, 3600.0
_BATCH = 5000


class Janitor(threading.Thread):
    """Applies the retention once an hour.

    Parameters
    ----------
    connect
        Opens a connection that is not in autocommit mode.
    retention
        How long things are kept.
    """

    def __init__(self, connect: Callable[[], Connection], retention: Retention) -> None:
        super().__init__(name="janitor", daemon=True)
        self._connect = connect
        self._retention = retention
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread; a batch that is under way is finished by the server or rolled back."""
        self._stopped.set()

    def run(self) -> None:
        """Forget until stopped."""
        pause = _FIRST_SECONDS
        while not self._stopped.wait(pause):
            pause = _EVERY_SECONDS
            try:
                self.forget()
            except psycopg2.Error as error:
                log.warning("nothing was forgotten: %s", str(error).strip())

    def forget(self) -> dict[str, int]:
        """Delete what is too old; return rows deleted per table."""
        connection = self._connect()
        try:
            with connection.cursor() as cur:
                deleted = forget(cur, self._retention, connection.commit, _BATCH)
        finally:
            connection.close()
        if any(deleted.values()):
            log.info("forgotten: %s", deleted)
        return deleted
