"""A sign of life from a thread of its own: it goes on while the schedd keeps the daemon waiting."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.daemons import beat

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0


@dataclass
class Status:
    """What a daemon says about itself; written by its main thread, read by the heartbeat."""

    state: str = "starting"
    detail: dict[str, Any] = field(default_factory=dict)

    def say(self, state: str, **detail: object) -> None:
        """Replace the state, and add to the details."""
        self.state = state
        self.detail = {**self.detail, **detail}


class Heartbeat(threading.Thread):
    """Writes a :class:`Status` every few seconds until it is stopped.

    Parameters
    ----------
    name
        The daemon's name in ``owl_daemon``.
    status
        What to write.
    connect
        Opens a connection in autocommit mode; called again when it breaks.
    """

    def __init__(self, name: str, status: Status, connect: Callable[[], Connection]) -> None:
        super().__init__(name=f"heartbeat of {name}", daemon=True)
        self._daemon_name = name
        self._status = status
        self._connect = connect
        self._stop_event = threading.Event()
        self._connection: Connection | None = None

    def run(self) -> None:
        """Beat until :meth:`stop`."""
        while True:
            self._beat()
            if self._stop_event.wait(BEAT_SECONDS):
                break
        self._status.say("stopped")
        self._beat()

    def stop(self) -> None:
        """Write a last time and end."""
        self._stop_event.set()
        self.join(5.0)

    def _beat(self) -> None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                beat(
                    cursor,
                    name=self._daemon_name,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    state=self._status.state,
                    detail=self._status.detail,
                )
        except psycopg2.Error as error:
            log.warning("no heartbeat: %s", str(error).strip())
            self._connection = None
