"""One connection of a long-lived process: made when it is needed, made anew after an outage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard.connection import connect
from htcondor_operator.settings import Settings


class Link:
    """Transactions on one connection that survives outages: not for two threads at a time.

    Parameters
    ----------
    settings
        Names the database.
    application
        Shown in ``pg_stat_activity``.
    """

    def __init__(self, settings: Settings, application: str) -> None:
        self._settings = settings
        self._application = application
        self._connection: PgConnection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Give a cursor; commit at the end, roll back on an exception.

        After an outage the connection is given up, so that the next transaction makes a new one.
        """
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, application=self._application)
        try:
            with self._connection, self._connection.cursor() as cur:
                yield cur
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; session locks go with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg2.Error):
                connection.close()
