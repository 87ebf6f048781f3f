"""What the mirror does beside following the log: each in a thread and a connection of its own."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing

import psycopg2
from psycopg2.extensions import connection as Connection

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0


class Background(threading.Thread, ABC):
    """Works again and again; starts over with a new connection when the database goes away.

    Parameters
    ----------
    name
        Of the thread.
    waits
        What the log says while it cannot work: "the catalogue waits".
    connect
        Opens a connection that is not in autocommit mode.
    every_seconds
        Pause when there is nothing more to do.
    """

    def __init__(
        self, name: str, waits: str, connect: Callable[[], Connection], every_seconds: float
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._waits = waits
        self._connect = connect
        self._every = every_seconds
        self._stopped = threading.Event()

    @abstractmethod
    def work(self, connection: Connection) -> bool:
        """Do what there is to do; return whether there is more at once."""

    def stop(self) -> None:
        """End the thread; what is not done now is done by the next one."""
        self._stopped.set()

    def run(self) -> None:
        """Work until stopped."""
        pause = self._every
        while not self._stopped.wait(pause):
            try:
                self._session()
                pause = self._every
            except (psycopg2.Error, OSError) as error:
                log.warning("%s: %s", self._waits, str(error).strip())
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:  # a mistake here must not end the only thread that does it
                log.exception("%s", self._waits)
                pause = _LONGEST_PAUSE

    def _session(self) -> None:
        with closing(self._connect()) as connection:
            while not self._stopped.is_set():
                if not self.work(connection):
                    self._stopped.wait(self._every)
