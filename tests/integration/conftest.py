"""Fixtures of the tests that need real daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from htcondor_operator.condor.pool import PersonalPool
from tests.integration.gateway_site import Site


@pytest.fixture
def site(pool: PersonalPool, database: str, run_dir: Path) -> Iterator[Site]:
    """A site without a running gateway: the test starts it."""
    site = Site(pool, database, run_dir)
    yield site
    site.close()
