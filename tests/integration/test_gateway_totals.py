"""The gateway tells how many jobs wait, and the shoveler hears it."""

from __future__ import annotations

import subprocess
from contextlib import closing

import pytest

from htcondor_operator.blackboard.claim_rows import pool_idle_jobs
from htcondor_operator.blackboard.connection import connect_url
from tests.integration.gateway_site import Site, wait_for

pytestmark = [pytest.mark.pool, pytest.mark.database]

_SUBMIT = """
executable = /bin/true
requirements = TARGET.NoMachineHasThis =?= True
{more}
queue {number}
"""


def submit(site: Site, number: int, more: str) -> str:
    file = site.home / f"{number}.sub"
    file.write_text(_SUBMIT.format(number=number, more=more))
    done = subprocess.run(
        ["condor_submit", "-terse", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.partition(".")[0]


def test_idle_jobs_are_told(site: Site) -> None:
    site.empty_queue()
    clusters = [submit(site, 7, ""), submit(site, 2, "hold = true")]
    try:
        site.start()
        connection = connect_url(site.url, application="test", autocommit=True)
        with closing(connection), connection.cursor() as cur:
            assert wait_for("the totals", lambda: pool_idle_jobs(cur, 60)) == 7
            cur.execute("SELECT detail -> 'pool' FROM owl_daemon WHERE name = 'gateway'")
            ((pool,),) = cur.fetchall()
            assert (pool["running"], pool["held"]) == (0, 2)
            # What was said long ago is not known any more.
            assert pool_idle_jobs(cur, 0) is None
    finally:
        subprocess.run(["condor_rm", *clusters], capture_output=True, check=True)
