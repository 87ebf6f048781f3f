"""Later attempts: exactly the right nodes run again, and never two DAGMans at a time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.integration.gateway_site import Site, wait_for

pytestmark = [pytest.mark.pool, pytest.mark.database]


def _control(site: Site, *names: str) -> Path:
    control = site.home / "control"
    control.mkdir(exist_ok=True)
    for name in names:
        (control / name).touch()
    return control


def _ran(control: Path, dataset: str) -> Counter[str]:
    return Counter((control / f"{dataset}.ran").read_text().splitlines())


def test_a_rescue_runs_what_is_not_done(site: Site) -> None:
    control = _control(site, "d1.D.fail")
    site.start()
    run = site.request("drill", "d1", control=str(control))
    assert site.ended(site.live(run)["cluster"])["ExitCode"] == 1
    (control / "d1.D.fail").unlink()
    site.rescue(run, 2, done="ABC")
    row = site.live(run, 2)
    # DAGMan itself wrote number 1 when it gave up.
    assert row["rescue_file"] == str(site.folder(run) / "drill_d1.dag.rescue002")
    assert row["done_nodes"] == ["A", "B", "C"]
    ad = site.ended(row["cluster"])
    assert (ad["ExitCode"], ad["OwlAttempt"]) == (0, 2)
    ran = _ran(control, "d1")
    assert {n: ran[f"{n} done"] for n in "ABCDE"} == dict.fromkeys("ABCDE", 1)
    assert (ran["D failed"], ran["D start"]) == (1, 2)


def test_a_live_run_is_cleared_and_a_running_branch_is_spared(site: Site) -> None:
    control = _control(site, "d2.B.wait", "d2.C.wait")
    site.start()
    site.start_mirror()
    run = site.request("drill", "d2", control=str(control))
    old = site.live(run)["cluster"]
    wait_for("B and C", lambda: _ran_if(control, "d2") >= Counter(["B start", "C start"]))
    site.rescue(run, 2, done="A", spared="B")
    c_job = f'DAGManJobId == {old} && DAGNodeName == "C"'
    wait_for("C's job to be removed", lambda: not site.jobs(c_job))
    assert site.attempt(run, 2)["state"] == "clearing"
    assert site.jobs(f'DAGManJobId == {old} && DAGNodeName == "B"'), "B must go on"
    (control / "d2.C.wait").unlink()
    (control / "d2.B.wait").unlink()

    def submitted() -> bool:
        both = f"JobUniverse == 7 && OwlRun == {run}"
        assert len(site.jobs(both)) <= 1, "two DAGMans of one run"
        return site.attempt(run, 2)["state"] == "live"

    wait_for("the second attempt", submitted)
    row = site.attempt(run, 2)
    assert row["done_nodes"] == ["A", "B"]
    carried = site.rows(
        "SELECT node, state, spared FROM owl_node WHERE attempt = 2 AND carried_from = 1 ORDER BY 1"
    )
    assert carried == [("A", "done", False), ("B", "done", False)]
    assert site.ended(row["cluster"])["ExitCode"] == 0
    ran = _ran(control, "d2")
    assert {n: ran[f"{n} done"] for n in "ABCDE"} == dict.fromkeys("ABCDE", 1)
    assert (ran["B start"], ran["C start"]) == (1, 2)


def test_a_run_is_removed_while_its_rescue_waits_for_a_spared_node(site: Site) -> None:
    control = _control(site, "d5.B.wait", "d5.C.wait")
    site.start()
    site.start_mirror()
    run = site.request("drill", "d5", control=str(control))
    old = site.live(run)["cluster"]
    wait_for("B and C", lambda: _ran_if(control, "d5") >= Counter(["B start", "C start"]))
    site.rescue(run, 2, done="A", spared="B")
    c_job = f'DAGManJobId == {old} && DAGNodeName == "C"'
    wait_for("C's job to be removed", lambda: not site.jobs(c_job))
    assert site.jobs(f'DAGManJobId == {old} && DAGNodeName == "B"'), "B must go on"
    site.rows(
        "INSERT INTO owl_command (verb, run_key, requested_by) VALUES ('remove', %(r)s, 'ann')",
        r=run,
    )
    wait_for("the removal", lambda: site.attempt(run, 2)["state"] == "removed")
    wait_for("an empty queue", lambda: not site.jobs(f"ClusterId == {old} || DAGManJobId == {old}"))
    wait_for("the first attempt's end", lambda: site.attempt(run, 1)["state"] == "removed")
    site.ended(old)
    assert site.dagmans(run) == [old]


def _ran_if(control: Path, dataset: str) -> Counter[str]:
    return _ran(control, dataset) if (control / f"{dataset}.ran").exists() else Counter()


def test_a_held_run_is_cleared_as_a_whole(site: Site) -> None:
    control = _control(site, "d3.B.wait")
    site.start()
    run = site.request("drill", "d3", control=str(control))
    old = site.live(run)["cluster"]
    wait_for("B", lambda: _ran_if(control, "d3")["B start"])
    assert site.command("hold", run).startswith("done")
    wait_for(
        "the hold", lambda: [j for j in site.jobs(f"ClusterId == {old}") if j["JobStatus"] == 5]
    )
    (control / "d3.B.wait").unlink()
    site.want(run, 2, "fresh")
    row = site.live(run, 2)
    assert not site.jobs(f"ClusterId == {old} || DAGManJobId == {old}")
    assert row["done_nodes"] == []
    assert row["rescue_file"] is None
    assert site.ended(row["cluster"])["ExitCode"] == 0
    ran = _ran(control, "d3")
    assert ran["A done"] == 2
    # The rescue file that the removed DAGMan wrote is put aside.
    names = [path.name for path in site.folder(run).glob("*.rescue*")]
    assert all(name.endswith(".old") for name in names)


def test_killed_while_clearing_goes_on(site: Site) -> None:
    control = _control(site, "d4.A.wait")
    site.start()
    run = site.request("drill", "d4", control=str(control))
    old = site.live(run)["cluster"]
    wait_for("A", lambda: _ran_if(control, "d4")["A start"])
    # Its first look begins the clearing, the next one gets no further.
    site.stall("OLD.state = 'clearing'")
    site.want(run, 2, "fresh")
    wait_for("clearing", lambda: site.attempt(run, 2)["state"] == "clearing")
    site.kill()
    (control / "d4.A.wait").unlink()
    site.end_stall()
    assert site.attempt(run, 2)["state"] == "clearing"
    site.start()
    row = site.live(run, 2)
    assert row["cluster"] > old
    assert site.dagmans(run) == [old, row["cluster"]]
    site.ended(row["cluster"])
