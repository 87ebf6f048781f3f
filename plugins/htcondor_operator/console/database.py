"""Connections for the console: few, short, and never waiting for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2

from htcondor_operator.blackboard.connection import connect
from htcondor_operator.settings import Settings

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

STATEMENT_SECONDS = 20
KEPT = 16
"""A page asks for half a dozen things at once; PostgreSQL has to have room for all of them."""


class Connections:
    """Idle connections that are used again; a broken one is thrown away.

    Not a pool with a limit: the threads of the web server are one.
    """

    def __init__(self) -> None:
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = connect(Settings.from_environment(), application="console")
        with connection, connection.cursor() as cur:
            cur.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1000:.0f}")
        return connection

    def _give(self, connection: Connection) -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < KEPT:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Give a cursor; commit at the end, roll back on an error.

        A connection that has died while it lay idle is replaced once, before anything was done.
        """
        connection = self._living()
        try:
            with connection, connection.cursor() as cur:
                yield cur
        except psycopg2.Error:
            if connection.closed:
                self.forget()
            raise
        finally:
            self._give(connection)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Give a connection for functions that make their own transactions."""
        connection = self._living()
        try:
            yield connection
        except psycopg2.Error:
            if connection.closed:
                self.forget()
            raise
        finally:
            _clean(connection)
            self._give(connection)

    def _living(self) -> Connection:
        connection = self._take()
        try:
            with connection, connection.cursor() as cur:
                cur.execute("SELECT 1")
        except psycopg2.Error:
            # Gone, or left in the middle of something.
            connection.close()
            self.forget()
            connection = self._take()
        return connection

    def forget(self) -> None:
        """Close all idle connections: the server has gone away."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _clean(connection: Connection) -> None:
    """End what was left open, so that the next one does not find a broken transaction."""
    try:
        if not connection.closed:
            connection.rollback()
    except psycopg2.Error:
        connection.close()


connections = Connections()
"""Of this process."""
