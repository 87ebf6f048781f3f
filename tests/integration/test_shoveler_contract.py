"""The shoveler's DAG runs under Airflow's own scheduler code (tests/airflow_site)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.airflow_tables import ROOT, airflow_environment
from tests.integration.test_executor import EXECUTORS


@pytest.mark.database
@pytest.mark.timeout(400)
def test_scenarios_of_the_shoveler(airflow_database, state_dir):
    home = state_dir / "airflow_shoveler"
    home.mkdir()
    environment = {
        **airflow_environment(airflow_database, home),
        "AIRFLOW__CORE__EXECUTOR": EXECUTORS,
    }
    scenarios = str(ROOT / "tests" / "airflow_site" / "scenario_shoveler.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--no-header", scenarios],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
