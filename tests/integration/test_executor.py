"""The executor against Airflow's own scheduler code and database (see tests/airflow_site)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.airflow_tables import ROOT, airflow_environment

EXECUTORS = "LocalExecutor,HTCondorExecutor:htcondor_operator.executors.htcondor.HTCondorExecutor"


@pytest.mark.database
@pytest.mark.timeout(900)
def test_scenarios(postgres, state_dir):
    url = postgres.ensure_database("airflow_site")
    home = state_dir / "airflow_site"
    home.mkdir()
    environment = {
        **airflow_environment(url, home),
        "AIRFLOW__CORE__EXECUTOR": EXECUTORS,
    }
    scenarios = str(ROOT / "tests" / "airflow_site" / "scenario_executor.py")
    for command in (
        ["-m", "airflow", "db", "migrate"],
        ["-m", "pytest", "-p", "no:cacheprovider", "-q", "--no-header", scenarios],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
