"""The executor against Airflow's own scheduler code and database (see tests/airflow_site)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXECUTORS = "LocalExecutor,HTCondorExecutor:htcondor_operator.executors.htcondor.HTCondorExecutor"


@pytest.mark.database
@pytest.mark.timeout(600)
def test_scenarios(postgres, state_dir):
    url = postgres.ensure_database("airflow_site")
    home = state_dir / "airflow_site"
    home.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": EXECUTORS,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-this-test-only",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace(
            "postgresql://", "postgresql+psycopg2://", 1
        ),
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": (
            "htcondor_operator.blackboard.manager.BlackboardDBManager"
        ),
        "OWL_DATABASE_URL": url,
        "OWL_HOME": str(home),
        "OWL_TEMPLATES": str(ROOT / "include" / "templates"),
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
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
