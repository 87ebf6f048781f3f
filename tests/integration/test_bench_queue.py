from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.launcher.postgres import Postgres

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
SMALL = ("--queue", "2000", "--history", "10000", "--bulk", "1000", "--batches", "2")


def start(url: str, home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from htcondor_operator.cli import main; main()",
            "bench",
            "queue",
            *SMALL,
            *words,
        ],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            "OWL_DATABASE_URL": url,
            "OWL_HOME": str(home),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_over(url: str) -> list[str]:
    with closing(connect_url(url, application="test")) as own, own.cursor() as cur:
        cur.execute("SELECT datname FROM pg_database WHERE datname LIKE 'owl\\_bench\\_%'")
        return [name for (name,) in cur.fetchall()]


def test_a_small_queue_is_measured_and_the_database_dropped(
    postgres: Postgres, tmp_path: Path
) -> None:
    bench = start(postgres.url(), tmp_path, "--json")
    out, err = bench.communicate(timeout=300)
    assert bench.returncode == 0, err
    told = json.loads(out)
    for name in told["expected"]:
        assert told[name] > 0
    assert set(told["missed"]) <= set(told["expected"])
    assert told["detail"]["dagruns_created"] == 1000
    assert told["detail"]["rows"] == {"queue": 2004, "history": 11000}
    assert "vacuum, analyze" in err
    assert left_over(postgres.url()) == []


def test_stopped_in_the_middle_it_drops_its_database(postgres: Postgres, tmp_path: Path) -> None:
    bench = start(postgres.url(), tmp_path)
    end = time.monotonic() + 60
    while not left_over(postgres.url()):
        assert time.monotonic() < end
        time.sleep(0.1)
    bench.terminate()
    bench.communicate(timeout=60)
    assert bench.returncode == 143
    assert left_over(postgres.url()) == []


def test_without_a_stack_it_brings_its_own_server(state_dir: Path) -> None:
    home = state_dir / "no-stack"
    home.mkdir()
    bench = start("", home, "--json")
    out, err = bench.communicate(timeout=300)
    assert bench.returncode == 0, err
    assert "no stack is up" in err
    assert json.loads(out)["status_ms"] > 0
    assert list(home.glob("bench-*")) == []


def test_a_role_that_may_not_make_databases(postgres: Postgres, tmp_path: Path) -> None:
    postgres.execute("CREATE ROLE nobody_much LOGIN")
    bench = start(postgres.url().replace(f"{postgres.user}@", "nobody_much@"), tmp_path)
    _, err = bench.communicate(timeout=60)
    assert bench.returncode == 2
    assert "may not make databases: ALTER ROLE ... CREATEDB" in err
