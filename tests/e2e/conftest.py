"""One whole stack for all end-to-end tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from owl_site import Owl


@pytest.fixture(scope="session")
def owl(state_dir: Path) -> Iterator[Owl]:
    """A running stack: ``owl("status")`` runs a command, ``owl.api()`` speaks to Airflow."""
    runner = Owl(state_dir / "e2e")
    try:
        runner("up")
        yield runner
    finally:
        runner("down", "--purge", code=None)
