"""The console's API inside Airflow's web application (see tests/airflow_site)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.airflow_tables import ROOT, airflow_environment, migrate
from tests.integration.test_executor import EXECUTORS


@pytest.mark.database
@pytest.mark.timeout(900)
def test_scenarios(postgres: Any, state_dir: Path) -> None:
    url = postgres.ensure_database("airflow_console")
    home = state_dir / "airflow_console"
    migrate(url, home)
    folder = ROOT / "tests" / "airflow_site"
    names = ("console", "http", "console_actions")
    scenarios = [str(folder / f"scenario_{name}.py") for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--no-header", *scenarios],
        env={
            **airflow_environment(url, home),
            "AIRFLOW__API__BASE_URL": "http://testserver",
            "AIRFLOW__CORE__EXECUTOR": EXECUTORS,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
