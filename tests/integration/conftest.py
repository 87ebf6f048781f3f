"""Fixtures of the tests that need real daemons."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.launcher.postgres import Postgres
from tests.conftest import drop_database
from tests.integration.airflow_tables import migrate
from tests.integration.gateway_site import Site
from tests.integration.mirror_support import Board


@pytest.fixture(scope="module")
def bindings(pool: PersonalPool) -> Iterator[Bindings]:
    """Calls to the pool, with the patience of a test: a busy machine lets one wait for longer."""
    made = Bindings(timeout=60, submit_timeout=120)
    yield made
    made.close()


@pytest.fixture
def board(database: str) -> Iterator[Board]:
    """The blackboard of this test."""
    made = Board(database)
    yield made
    made.connection.close()


@pytest.fixture
def site(pool: PersonalPool, database: str, run_dir: Path) -> Iterator[Site]:
    """A site without a running gateway: the test starts it."""
    site = Site(pool, database, run_dir)
    yield site
    site.close()


@pytest.fixture(scope="session")
def new_airflow_database(postgres: Postgres, state_dir: Path) -> Callable[[], str]:
    """A function that makes one more fresh database with Airflow's tables and OWL's."""
    migrate(postgres.ensure_database("airflow_template"), state_dir / "airflow_template")

    def make() -> str:
        name = f"airflow_{uuid.uuid4().hex[:12]}"
        postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE airflow_template')
        return postgres.url(name)

    return make


@pytest.fixture
def airflow_database(postgres: Postgres, new_airflow_database: Callable[[], str]) -> Iterator[str]:
    """URL of a fresh database with Airflow's tables and OWL's; dropped afterwards."""
    url = new_airflow_database()
    yield url
    drop_database(postgres, url.partition("?")[0].rpartition("/")[2])
