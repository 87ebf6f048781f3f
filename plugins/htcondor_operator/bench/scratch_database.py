"""A throwaway database with Airflow's tables and OWL's, on the server of ``OWL_DATABASE_URL``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql

from htcondor_operator.bench.watch import Say
from htcondor_operator.blackboard.connection import connect_url, libpq_url
from htcondor_operator.launcher.environment import DATABASE
from htcondor_operator.launcher.home import Home
from htcondor_operator.launcher.postgres import Postgres
from htcondor_operator.vocabulary import ErrorKind, OwlError

PREFIX = "owl_bench_"
MIGRATE_SECONDS = 600


@contextmanager
def some_server(url: str, say: Say) -> Iterator[str]:
    """Give the URL of a server: `url`'s, or one of its own while OWL's embedded one is down.

    Raises
    ------
    OwlError
        A site's server does not answer.
    """
    home = Home.current()
    embedded = Postgres(home.postgres)
    if url and (url != embedded.url(DATABASE) or embedded.ready()):
        yield url
        return
    folder = home.root / f"bench-{uuid.uuid4().hex[:8]}"
    say(f"no stack is up: a PostgreSQL in {folder}")
    server = Postgres(folder / "postgres" / "data")
    try:
        server.start()
        yield server.url()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_database(server: str, say: Say) -> Iterator[str]:
    """Make a database beside `server`'s, and drop it whatever happens.

    Parameters
    ----------
    server
        URL of any database of the server; its role must be allowed to make databases.
    say
        Gets words about the progress.

    Yields
    ------
    str
        The new database's URL.
    """
    name = PREFIX + uuid.uuid4().hex[:12]
    try:
        # In here: it may be there although we were stopped before the server's answer.
        _command(server, "CREATE DATABASE {}", name)
        url = beside(server, name)
        say(f"database {name}: Airflow's tables and OWL's")
        _migrate(url)
        yield url
    finally:
        say(f"dropping database {name}")
        _command(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def beside(server: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    parts = urlsplit(libpq_url(server))
    # urlunsplit() would lose the empty host of a unix socket.
    rest = urlunsplit(("", "", "/" + quote(name), parts.query, ""))
    return f"postgresql://{parts.netloc}{rest}"


def _command(server: str, words: str, name: str) -> None:
    try:
        with (
            closing(connect_url(server, application="bench", autocommit=True)) as connection,
            connection.cursor() as cur,
        ):
            cur.execute(sql.SQL(words).format(sql.Identifier(name)))
    except psycopg2.errors.InsufficientPrivilege as error:
        raise OwlError(
            ErrorKind.NOT_WRITABLE,
            "The role of OWL_DATABASE_URL may not make databases: ALTER ROLE ... CREATEDB.",
        ) from error
    except psycopg2.OperationalError as error:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"No answer from the server of OWL_DATABASE_URL ({str(error).strip()}). "
            "Start it (owl up).",
        ) from error


def airflow_environment(url: str, folder: str | Path) -> dict[str, str]:
    """Return the environment of an Airflow that knows of this database only.

    Parameters
    ----------
    url
        The database, Airflow's tables and OWL's.
    folder
        Airflow's and OWL's home.
    """
    package = Path(__file__).resolve().parents[2]
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AIRFLOW", "OWL_HOME", "OWL_DATABASE_URL"))
    }
    return {
        **inherited,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(folder) / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace(
            "postgresql://", "postgresql+psycopg2://", 1
        ),
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": (
            "htcondor_operator.blackboard.manager.BlackboardDBManager"
        ),
        "OWL_HOME": str(folder),
        "OWL_DATABASE_URL": url,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")])),
    }


def _migrate(url: str) -> None:
    """Do what ``airflow db migrate`` does, in a process that knows of this database only."""
    with tempfile.TemporaryDirectory(prefix="owl-bench-") as folder:
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"],
                env=airflow_environment(url, folder),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=MIGRATE_SECONDS,
                check=False,
            )
            if done.returncode == 0:
                return
            words = (done.stderr or done.stdout).strip()[-800:]
            raise OwlError(ErrorKind.INTERNAL, f"airflow db migrate failed: {words}")
        raise OwlError(
            ErrorKind.INTERNAL, f"airflow db migrate took more than {MIGRATE_SECONDS} s."
        )
