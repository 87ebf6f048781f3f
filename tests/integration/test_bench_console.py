from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from htcondor_operator.launcher.postgres import Postgres
from tests.integration.airflow_tables import ROOT, install_into

pytestmark = pytest.mark.database

COMMAND = "from htcondor_operator.cli import main; main()"


@pytest.mark.timeout(300)
def test_a_small_console_is_measured(postgres: Postgres, tmp_path: Path) -> None:
    sizes = ("--runs", "2000", "--queue", "1000", "--rounds", "1", "--every", "41")
    words = (*sizes, "--no-browser", "--json")
    bench = subprocess.run(
        [sys.executable, "-c", COMMAND, "bench", "console", *words],
        env={
            **os.environ,
            "PYTHONPATH": f"{install_into(tmp_path / 'site')}:{ROOT / 'plugins'}:{ROOT}",
            "OWL_DATABASE_URL": postgres.url(),
            "OWL_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert bench.returncode == 0, bench.stderr
    told = json.loads(bench.stdout)
    assert told["nodes"] == 18_000
    # Which is larger is chance: the one is of all answers, the other of medians.
    assert told["page_ms"] > 0
    assert told["slowest_ms"] > 0
    assert len(told["detail"]["slowest"]) == 20
    assert set(told["p95_ms_by_page"]) == {
        "flow", "run", "errors", "queue", "history", "pollers", "campaigns", "campaign", "pool",
        "archive", "flow corners", "totals corners", "errors corners", "archive corners",
    }  # fmt: skip
    assert 50 < told["bundle_kb"] <= 400
    assert told["not_measured"] == ["first_row_s", "refresh_500_ms"]
    assert set(told["missed"]).isdisjoint(told["not_measured"])
    listed = subprocess.run(
        [sys.executable, "-c", _LEFT, postgres.url()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert listed.stdout.split() == []


_LEFT = """
import sys, psycopg2
cur = psycopg2.connect(sys.argv[1]).cursor()
cur.execute("SELECT datname FROM pg_database WHERE datname LIKE 'owl\\_bench\\_%'")
print(*(name for (name,) in cur.fetchall()))
"""
