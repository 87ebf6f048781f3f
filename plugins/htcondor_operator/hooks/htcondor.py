"""``HTCondorHook``: an Airflow Connection to the blackboard, and through it to the gateway."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg2
from airflow.sdk import BaseHook

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.health import Beat, beats, mirror_lag
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import OwlError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from psycopg2.extensions import connection as PgConnection


class HTCondorHook(BaseHook):
    """Reach HTCondor the way OWL does: by the blackboard that the gateway works off.

    No process but the gateway talks to a schedd, so a connection of type ``htcondor`` names the
    blackboard's database: by its own host, database, login and password; or by
    ``database_conn_id`` in its extra, a Postgres connection; or, when it names neither (or does
    not exist), ``OWL_DATABASE_URL`` of the process.

    Parameters
    ----------
    htcondor_conn_id
        Id of the connection; None for ``OWL_DATABASE_URL``.
    """

    conn_name_attr = "htcondor_conn_id"
    default_conn_name = "htcondor_default"
    conn_type = "htcondor"
    hook_name = "HTCondor (OWL)"

    def __init__(self, htcondor_conn_id: str | None = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.htcondor_conn_id = htcondor_conn_id

    def database_url(self) -> str:
        """Return the URL of the blackboard's database."""
        if self.htcondor_conn_id is None:
            return Settings.from_environment().database_url
        connection = self.get_connection(self.htcondor_conn_id)
        other = connection.extra_dejson.get("database_conn_id")
        if other:
            connection = self.get_connection(other)
        return connection_url(connection) or Settings.from_environment().database_url

    def get_conn(self) -> PgConnection:
        """Open a connection to the blackboard; the caller closes it."""
        return connect_url(self.database_url(), application="hook")

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the gateway is alive and its schedd answers."""
        try:
            with closing(self.get_conn()) as connection, connection.cursor() as cursor:
                alive, lag = beats(cursor), mirror_lag(cursor)
        except OwlError as error:
            return False, error.message
        except psycopg2.Error as error:
            return False, f"The blackboard does not answer: {str(error).strip()}"
        return verdict(alive, lag)


def connection_url(connection: Connection) -> str:
    """Return the PostgreSQL URL of an Airflow Connection; empty if it names no database."""
    if not connection.schema:
        return ""
    login = quote(connection.login or "", safe="")
    if connection.password:
        login += f":{quote(connection.password, safe='')}"
    host = connection.host or ""
    query = ""
    if host.startswith("/"):
        # A folder is a unix socket's, and no part of a URL's authority.
        host, query = "", f"?host={quote(host, safe='')}"
    port = f":{connection.port}" if connection.port and host else ""
    at = "@" if login else ""
    return f"postgresql://{login}{at}{host}{port}/{quote(connection.schema, safe='')}{query}"


def verdict(alive: list[Beat], lag: float | None) -> tuple[bool, str]:
    """Judge the daemons' heartbeats, in words for the person who pressed "Test"."""
    gateways = [beat for beat in alive if beat.name == "gateway"]
    if not gateways:
        return False, "The database is OWL's blackboard, but no gateway ever worked on it."
    words = [beat.sentence() for beat in alive]
    if lag is not None:
        words.append(f"The mirror is {lag:.1f} s behind HTCondor.")
    return any(beat.is_fresh for beat in gateways), " ".join(words)
