from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from htcondor_operator.condor.pool import PersonalPool

pytestmark = pytest.mark.pool

CHAIN = """\
SUBMIT-DESCRIPTION true {
  universe = vanilla
  executable = /bin/true
  log = nodes.log
  request_memory = 16
  request_disk = 1024
  My.OwlRun = 7
  should_transfer_files = NO
}
JOB A true
JOB B true
PARENT A CHILD B
"""

SUBMIT = """
import htcondor2, sys
sub = htcondor2.Submit.from_dag(sys.argv[1], {})
sub["initialdir"] = sys.argv[2]
sub["My.OwlRun"] = "7"
print(htcondor2.Schedd().submit(sub).cluster())
"""


def _wait(what, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.2)
    return False


def test_a_dag_runs_and_its_events_carry_the_attributes(pool: PersonalPool, run_dir: Path):
    dag = run_dir / "chain.dag"
    dag.write_text(CHAIN)
    done = subprocess.run(
        [sys.executable, "-c", SUBMIT, dag.name, str(run_dir)],
        cwd=run_dir,
        env=pool.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cluster = int(done.stdout)

    def finished() -> bool:
        text = pool.event_log.read_text()
        return "TriggerEventTypeNumber = 5\n" in text and f"005 ({cluster:03d}." in text

    assert _wait(finished, 180), pool.event_log.read_text()[-2000:]
    text = pool.event_log.read_text()
    assert 'DAGNodeName = "B"' in text
    assert "OwlRun = 7" in text
    assert f"DAGManJobId = {cluster}" in text


def test_the_pool_runs_on_the_loopback_only(pool: PersonalPool):
    out = subprocess.run(
        [str(pool.condor.bin / "condor_status"), "-any", "-json", "-attributes", "MyAddress"],
        env=pool.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    addresses = [ad["MyAddress"] for ad in json.loads(out) if "MyAddress" in ad]
    assert addresses
    assert all(address.startswith("<127.0.0.1:") for address in addresses)


def test_databases_are_fresh_and_separate(database: str, new_database):
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM owl_run")
        assert cursor.fetchone() == (0,)
    assert new_database() != database
