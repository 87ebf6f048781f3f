"""The pool as its collector tells it: slots, what runs in them, machines that come and go."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.blackboard import pool_rows
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.pool_rows import write_snapshot
from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.mirror.pool import PROJECTION, snapshot

pytestmark = [pytest.mark.pool, pytest.mark.database]


def told(bindings: Bindings, cur: Any) -> dict[str, Any]:
    slots, machines = snapshot(bindings.slots(PROJECTION))
    write_snapshot(cur, slots, machines)
    return pool_rows.overview(cur)


def jobs_of(cur: Any, found: dict[str, Any]) -> list[str]:
    machines = [machine["machine"] for machine in found["machines"]]
    return [slot["job"] for name in machines for slot in pool_rows.slots_of(cur, name, [])]


def test_slots_jobs_and_machines(pool: Any, database: str, tmp_path: Path) -> None:
    submit = tmp_path / "sleep.sub"
    submit.write_text("executable = /bin/sleep\narguments = 600\nrequest_memory = 64\nqueue\n")
    done = subprocess.run(
        ["condor_submit", "-terse", str(submit)], capture_output=True, text=True, check=True
    )
    cluster = done.stdout.split(".")[0]
    bindings = Bindings(timeout=60)
    connection = connect_url(database, application="test", autocommit=True)
    with closing(connection), connection.cursor() as cur:
        try:
            end = time.monotonic() + 120
            # Another test's job may still be there, but this one's has to come.
            while f"{cluster}.0" not in jobs_of(cur, found := told(bindings, cur)):
                assert time.monotonic() < end, found
                time.sleep(0.5)
            assert found["users"]
            machine = found["machines"][0]
            assert machine["present"]
            assert machine["cpus"] >= 1
            assert machine["memory_mb"] > 0
            assert machine["busy_slots"] >= 1
            assert "CondorVersion" in machine["software"]
            # A machine that the collector does not know any more has left; it may come again.
            write_snapshot(cur, [], [])
            gone = pool_rows.overview(cur)["machines"][0]
            assert not gone["present"]
            assert gone["left_at"]
            back = told(bindings, cur)["machines"][0]
            assert back["present"]
            assert back["left_at"] is None
            assert back["joined_at"] > gone["joined_at"]
        finally:
            bindings.close()
            subprocess.run(["condor_rm", cluster], capture_output=True, check=True)
