"""Hold, release, remove and priority, of runs and of nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from tests.integration.gateway_site import ROOT, Site, wait_for

pytestmark = [pytest.mark.pool, pytest.mark.database]


_OWL = "from htcondor_operator.cli import main; main()"


def _waiting_run(site: Site, dataset: str) -> tuple[int, int]:
    """Start a drill whose nodes B and C wait; return its key and DAGMan's cluster."""
    control = site.home / "control"
    control.mkdir()
    for node in "BC":
        (control / f"{dataset}.{node}.wait").touch()
    site.start()
    run = site.request("drill", dataset, control=str(control))
    cluster = site.live(run)["cluster"]
    ran = control / f"{dataset}.ran"
    # Not only matched, and nothing of A is left.
    wait_for(
        "B and C",
        lambda: ran.exists() and {"B start", "C start"} <= set(ran.read_text().splitlines()),
    )
    wait_for("no A", lambda: set(_queued(site, cluster)) == {"B", "C"})
    return run, cluster


def _statuses(site: Site, cluster: int, status: int) -> set[str]:
    jobs = site.jobs(f"DAGManJobId == {cluster} && JobStatus == {status}")
    return {job["DAGNodeName"] for job in jobs}


def _executions(site: Site, node: str) -> list[bool]:
    """Return of each execution of a node's job whether it is over."""
    known = site.value("SELECT executions FROM owl_node WHERE node = %(n)s", n=node)
    return [one[2] is not None for one in known or []]


def _go_on(site: Site, dataset: str) -> None:
    for path in (site.home / "control").glob(f"{dataset}.*.wait"):
        path.unlink()


@pytest.mark.timeout(600)
def test_a_node_is_held_released_and_prioritised(site: Site) -> None:
    run, cluster = _waiting_run(site, "c1")
    assert site.command("hold", run, "B") == f"done: Node B of run {run} (c1): 1 job held."
    wait_for("the hold", lambda: _statuses(site, cluster, 5) == {"B"})
    (job,) = site.jobs(f'DAGManJobId == {cluster} && DAGNodeName == "B"')
    assert job["HoldReason"].startswith("to hold it (by test)")
    assert site.command("hold", run, "B").startswith("done: ")
    assert "already held" in site.command("hold", run, "B")
    assert site.command("priority", run, "C", priority=77).endswith("1 job priority 77.")
    (job,) = site.jobs(f'DAGManJobId == {cluster} && DAGNodeName == "C"')
    assert job["JobPrio"] == 77
    words = site.command("hold", run, "E")
    assert words == f"failed: Node E of run {run} (c1) has no job in the queue."
    assert site.command("release", run, "B").endswith("1 job released.")
    _go_on(site, "c1")
    # A job that is released before its shadow has ended is not matched again for about a minute.
    assert site.ended(cluster, 240)["ExitCode"] == 0


@pytest.mark.timeout(600)
def test_a_run_is_held_released_and_removed(site: Site) -> None:
    run, cluster = _waiting_run(site, "c2")
    site.start_mirror()
    assert site.command("hold", run).endswith("3 jobs held.")
    wait_for("the hold", lambda: _statuses(site, cluster, 5) == {"B", "C"})
    # A job that is released before its shadow has ended is not matched again for about a minute.
    time.sleep(3)
    assert site.command("release", run).endswith("3 jobs released.")
    wait_for("B and C again", lambda: _statuses(site, cluster, 2) == {"B", "C"}, 240)
    # The mirror knows both executions, and that the first one was the start.
    wait_for("two executions", lambda: _executions(site, "C") == [True, False])
    assert site.value(
        "SELECT started_at = (executions -> 0 ->> 1)::timestamptz AND ended_at IS NULL "
        "AND lag_s < 60 AND (executions -> 0 ->> 2)::timestamptz"
        "    < (executions -> 1 ->> 1)::timestamptz FROM owl_node WHERE node = 'C'"
    )
    assert site.command("priority", run, priority=5).startswith("done: ")
    assert site.value("SELECT priority FROM owl_run") == 5
    have = {j.get("DAGNodeName"): j["JobPrio"] for j in site.jobs(f"DAGManJobId == {cluster}")}
    assert have == {"B": 25, "C": 35}
    assert site.command("remove", run).startswith("done: ")
    assert site.ended(cluster)["JobStatus"] in {3, 4}
    wait_for("an empty queue", lambda: not site.jobs(f"DAGManJobId == {cluster}"))
    assert site.command("remove", run) == f"failed: Run {run} (c2) has no job in the queue."


def _rows(site: Site, run: int) -> dict[str, int]:
    return dict(site.rows("SELECT node, priority FROM owl_node WHERE run_key = %(r)s", r=run))


def _queued(site: Site, cluster: int) -> dict[str, int]:
    jobs = site.jobs(f"DAGManJobId == {cluster}")
    return {job["DAGNodeName"]: job["JobPrio"] for job in jobs}


def test_a_runs_priority_is_added_to_that_of_each_node_of_later_ones_too(site: Site) -> None:
    """The workflow gives A to E 10 to 50. DAGMan itself never hears of the change."""
    run, cluster = _waiting_run(site, "c5")
    site.start_mirror()
    (site.home / "control" / "c5.D.wait").touch()
    assert site.command("priority", run, "C", priority=77).endswith("1 job priority 77.")
    assert site.command("priority", run, priority=5).endswith(
        "3 jobs priority 5 added to what the workflow gives them."
    )
    assert _queued(site, cluster) == {"B": 25, "C": 82}
    (dagman,) = site.jobs(f"ClusterId == {cluster}")
    assert dagman["JobPrio"] == 5
    assert site.command("priority", run, priority=3).startswith("done: ")
    assert _queued(site, cluster) == {"B": 23, "C": 80}
    wait_for("the rows", lambda: {k: _rows(site, run)[k] for k in "BC"} == {"B": 23, "C": 80})

    # Another gateway finds the run again, and D and E get the priority as they appear.
    site.kill()
    for node in "BC":
        (site.home / "control" / f"c5.{node}.wait").unlink()
    # B and C may stay in the queue for a moment after DAGMan has read of their end.
    wait_for("D alone", lambda: _queued(site, cluster) == {"D": 40})
    site.start()
    wait_for("the priority of D", lambda: _queued(site, cluster) == {"D": 43})
    wait_for("the row of D", lambda: _rows(site, run)["D"] == 43)
    (site.home / "control" / "c5.E.wait").touch()
    (site.home / "control" / "c5.D.wait").unlink()
    wait_for("the priority of E", lambda: _queued(site, cluster) == {"E": 53})
    (site.home / "control" / "c5.E.wait").unlink()
    assert site.ended(cluster)["ExitCode"] == 0


def test_a_run_submitted_with_a_priority_is_lowered_by_no_more_than_it_was_raised(
    site: Site,
) -> None:
    control = site.home / "control"
    control.mkdir()
    (control / "c6.A.wait").touch()
    run = site.request("drill", "c6", control=str(control))
    site.rows("UPDATE owl_run SET priority = 100")
    site.start()
    cluster = site.live(run)["cluster"]
    wait_for("A", lambda: _queued(site, cluster) == {"A": 110})
    assert site.command("priority", run, priority=-3).startswith("done: ")
    assert _queued(site, cluster) == {"A": 7}
    site.command("remove", run)


def test_owl_run(site: Site) -> None:
    run, cluster = _waiting_run(site, "c3")

    def owl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _OWL, "run", *arguments],
            env={
                **os.environ,
                "OWL_DATABASE_URL": site.url,
                "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    held = owl("hold", "c3", "--node", "B", "--by", "ann", "--reason", "look at it")
    assert (held.returncode, held.stdout) == (0, f"Node B of run {run} (c3): 1 job held.\n")
    (job,) = site.jobs(f'DAGManJobId == {cluster} && DAGNodeName == "B"')
    assert job["HoldReason"].startswith("look at it (by ann)")
    missing = owl("remove", "c3", "--node", "E")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "has no job in the queue" in missing.stderr
    assert owl("remove", "unknown").returncode == 2
    assert owl("priority", "c3", "100000").returncode == 2
    shown = json.loads(owl("show", "c3", "--json").stdout)
    assert shown["attempts"][0]["cluster"] == cluster
    assert [node["node"] for node in shown["nodes"]] == list("ABCDE")
    listed = json.loads(owl("list", "--json").stdout)
    assert [(r["dataset"], r["nodes"], r["done"]) for r in listed] == [("c3", 5, 0)]
    assert "c3" in owl("list").stdout
    assert "drill" in owl("show", "c3").stdout
    assert owl("remove", "c3", "--by", "ann").returncode == 0
    site.ended(cluster)


def test_a_run_is_removed_before_its_submission(site: Site) -> None:
    run = site.request("drill", "c4")
    site.rows(
        "INSERT INTO owl_command (verb, run_key, requested_by) VALUES ('remove', %(r)s, 'ann')",
        r=run,
    )
    site.start()  # it hears commands before it looks for attempts
    row = wait_for("the removal", lambda: (r := site.attempt(run))["state"] == "removed" and r)
    assert "Removed before it was submitted by ann" in row["error_message"]
    assert site.dagmans(run) == []
