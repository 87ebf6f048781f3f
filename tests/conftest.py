"""Real daemons for the tests: a private HTCondor pool and an embedded PostgreSQL.

Each pytest-xdist worker has its own of both, started when a test first asks, so that workers
never wait for one another. The installed HTCondor is shared: ``$OWL_CACHE`` (``~/.cache/owl``).
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from htcondor_operator.condor.install import ensure_condor
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.launcher.postgres import THROWAWAY, Postgres
from htcondor_operator.vocabulary import OwlError

# Airflow writes its configuration there when it is first imported, and not in one step: workers
# that begin at the same moment would read half a file.
if "AIRFLOW_HOME" in os.environ and "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["AIRFLOW_HOME"] += f"/{os.environ['PYTEST_XDIST_WORKER']}"

# Whether a change may land must not depend on chance: every run tries the same examples, which
# change with the test alone. Nor on the machine: it may pause for seconds within any example.
settings.register_profile(
    "owl", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("owl")


def _cache() -> Path:
    return Path(os.environ.get("OWL_CACHE") or Path.home() / ".cache" / "owl").absolute()


@pytest.fixture(scope="session")
def state_dir() -> Iterator[Path]:
    """A folder of this worker, not below /tmp (DAGMan refuses logs there); removed afterwards."""
    if os.getuid() == 0:
        pytest.skip("HTCondor and PostgreSQL refuse to run as root: use ./owl test")
    base = Path(os.environ.get("OWL_TEST_STATE") or _cache() / "tests")
    # Short: a unix socket's path has at most 107 characters.
    folder = base / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    yield folder
    if not os.environ.get("OWL_KEEP_STATE"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pool(state_dir: Path) -> Iterator[PersonalPool]:
    """A running private pool; the process's environment points at it as long as it runs."""
    condor = ensure_condor(_cache() / "condor", print)
    pool = PersonalPool(condor, state_dir / "pool")
    pool.start()
    before = {name: os.environ.get(name) for name in ("CONDOR_CONFIG", "PATH")}
    # The bindings read their configuration when they are first imported.
    os.environ.update({name: pool.environment()[name] for name in before})
    try:
        yield pool
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        pool.stop()


@pytest.fixture
def run_dir(state_dir: Path) -> Path:
    """A fresh folder in which DAGMan accepts to work."""
    folder = state_dir / "runs" / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def postgres(state_dir: Path) -> Iterator[Postgres]:
    """A running PostgreSQL server with one template database that holds OWL's tables."""
    server = Postgres(state_dir / "postgres" / "data", THROWAWAY)
    server.start()
    try:
        _make_template(server.ensure_database("owl_template"))
        yield server
    finally:
        server.stop()


def _make_template(url: str) -> None:
    import sqlalchemy as sa

    from htcondor_operator.blackboard.tables import metadata

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    metadata.create_all(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def new_database(postgres: Postgres) -> Callable[[], str]:
    """A function that makes one more fresh database with OWL's tables and returns its URL."""

    def make() -> str:
        name = f"owl_{uuid.uuid4().hex[:12]}"
        postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE owl_template')
        return postgres.url(name)

    return make


@pytest.fixture
def database(postgres: Postgres, new_database: Callable[[], str]) -> Iterator[str]:
    """URL of a fresh database of this test; dropped afterwards, whoever is still connected."""
    url = new_database()
    yield url
    drop_database(postgres, url.partition("?")[0].rpartition("/")[2])


def drop_database(postgres: Postgres, name: str) -> None:
    """Remove a database.

    PostgreSQL gives up when one of those whom it sent away has not gone after five seconds: what
    is left behind so goes with its server.
    """
    with suppress(OwlError):
        postgres.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames and logs beside the checkout; tests skip without it."""
    named = os.environ.get("OWL_SHARED_DATA")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(named) if named else beside
    if not folder.is_dir():
        pytest.skip("no ../shared/data")
    return folder
