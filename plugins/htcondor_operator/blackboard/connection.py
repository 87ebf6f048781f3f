"""Connections to the blackboard for everything that is not Airflow's own ORM session."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg2
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import parse_dsn

from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

CONNECT_TIMEOUT_S = 30
"""A server that does not run refuses at once; one on a busy machine may rest for a while."""
STATEMENT_TIMEOUT_S = 60

# Options of asyncpg's URLs that libpq does not know.
_ASYNCPG_ONLY = frozenset(
    {"prepared_statement_cache_size", "prepared_statement_name_func", "command_timeout"}
)


def libpq_url(url: str, variable: str = "OWL_DATABASE_URL") -> str:
    """Return a database URL as libpq understands it.

    SQLAlchemy's ``postgresql+psycopg2://`` and ``postgresql+asyncpg://`` become ``postgresql://``;
    a unix socket (``postgresql://user@/name?host=/folder``) stays one.

    Raises
    ------
    OwlError
        ``BAD_CONF``, without the password, when it is empty or not PostgreSQL.
    """
    parts = urlsplit(url)
    dialect = parts.scheme.partition("+")[0]
    if dialect not in {"postgresql", "postgres"}:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{variable} {'is not set' if not url else f'has the scheme {parts.scheme!r}'}. "
            "Give the URL of Airflow's PostgreSQL database, postgresql://user@host/name.",
        )
    query = [
        ("sslmode" if key == "ssl" else key, value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
        if key not in _ASYNCPG_ONLY
    ]
    # urlunsplit() would turn an empty host into no host: "postgresql:/name".
    return f"postgresql://{parts.netloc}" + urlunsplit(
        ("", "", parts.path or "/", urlencode(query, safe="/"), "")
    )


def connect(settings: Settings, *, application: str, autocommit: bool = False) -> PgConnection:
    """Open a connection to the blackboard that never waits for ever.

    Parameters
    ----------
    settings
        Names the database (``OWL_DATABASE_URL``).
    application
        Shown in ``pg_stat_activity``, so that an administrator sees whose connection it is.
    autocommit
        Each statement its own transaction (for LISTEN).
    """
    return connect_url(settings.database_url, application=application, autocommit=autocommit)


def connect_url(url: str, *, application: str, autocommit: bool = False) -> PgConnection:
    """Open a connection to a blackboard by its URL; see :func:`connect`."""
    dsn = {
        # A dead network is noticed in about half a minute instead of two hours.
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        **parse_dsn(libpq_url(url)),
        "application_name": f"owl {application}",
    }
    limit = f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000}"
    # The URL's own options come last, so that they win.
    dsn["options"] = f"{limit} {dsn.get('options', '')}".strip()
    connection: PgConnection = psycopg2.connect(**dsn)
    connection.autocommit = autocommit
    return connection
