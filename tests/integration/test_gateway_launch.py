"""Attempt 1: from a row in the blackboard to a DAGMan in the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.gateway_site import Site, wait_for

pytestmark = [pytest.mark.pool, pytest.mark.database]


def test_a_run_goes_from_wanted_to_its_end(site: Site) -> None:
    site.start()
    run = site.request("drill", "drill001")
    row = site.live(run)
    assert row["submitted_at"]
    assert row["schedd"] == site.bindings.schedd_name()
    assert row["error_kind"] is None
    folder, dag_file, graph, digest = site.rows(
        "SELECT run_dir, dag_file, graph, template_hash FROM owl_run"
    )[0]
    assert folder == str(site.home / "runs" / "drill" / "drill001" / f"r{run}")
    assert dag_file == f"{folder}/drill_drill001.dag"
    assert graph["nodes"][0] == "A"
    assert digest
    assert (Path(folder) / "logs").is_dir()
    nodes = site.rows("SELECT node, task_id, try, state FROM owl_node ORDER BY node")
    assert nodes == [(name, name, 0, "unready") for name in "ABCDE"]
    ad = site.ended(row["cluster"])
    assert ad["ExitCode"] == 0
    assert (ad["OwlRun"], ad["OwlAttempt"], ad["OwlDataset"]) == (run, 1, "drill001")
    ran = (Path(folder) / "control" / "drill001.ran").read_text().split("\n")
    assert sorted(line for line in ran if line.endswith("done")) == [f"{n} done" for n in "ABCDE"]
    assert site.value("SELECT state FROM owl_daemon WHERE name = 'gateway'") == "running"


def test_sixty_launches_at_once_are_one_batch(site: Site) -> None:
    site.start()
    wait_for("the gateway", lambda: site.rows("SELECT 1 FROM owl_daemon WHERE state = 'running'"))
    site.rows("BEGIN")
    for number in range(60):
        site.request("bench_true", f"bench{number:03d}")
    site.rows("COMMIT")
    wait_for(
        "60 live attempts",
        lambda: site.value("SELECT count(*) FROM owl_attempt WHERE state = 'live'") == 60,
    )
    # Each look of the gateway claims all that it finds; a schedd that was slow to answer once may
    # have cost another look. How many seconds it takes is the bench's business.
    assert len(site.rows("SELECT DISTINCT claimed_at FROM owl_attempt")) <= 3
    assert len(site.rows("SELECT DISTINCT cluster FROM owl_attempt")) == 60
