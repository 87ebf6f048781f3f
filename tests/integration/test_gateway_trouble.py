"""Crashes, a schedd that stands still, and requests that cannot be fulfilled."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import psutil
import pytest

from tests.integration.gateway_site import Site, wait_for

pytestmark = [pytest.mark.pool, pytest.mark.database]

# Just before the cluster would be known.
_RECORD = "NEW.cluster IS NOT NULL"


def test_killed_between_submission_and_record_attaches(site: Site) -> None:
    site.stall(_RECORD)
    site.start()
    run = site.request("drill", "drill002", sleep_s=3)
    (cluster,) = wait_for("the DAGMan", lambda: site.dagmans(run))
    assert site.attempt(run)["state"] == "submitting"
    assert site.attempt(run)["cluster"] is None
    site.kill()
    site.end_stall()
    site.start()
    assert site.live(run)["cluster"] == cluster
    assert site.dagmans(run) == [cluster]


def test_killed_and_dagman_ended_meanwhile_attaches_from_the_history(site: Site) -> None:
    site.stall(_RECORD)
    site.start()
    run = site.request("drill", "drill003")
    (cluster,) = wait_for("the DAGMan", lambda: site.dagmans(run))
    site.kill()
    site.end_stall()
    site.ended(cluster)
    site.start()
    assert site.live(run)["cluster"] == cluster
    assert site.dagmans(run) == [cluster]


def test_a_stopped_schedd_is_waited_for(site: Site) -> None:
    site.start()
    wait_for("the gateway", lambda: site.rows("SELECT 1 FROM owl_daemon WHERE state = 'running'"))
    master = site.pool._master
    assert master is not None
    (schedd,) = [p for p in psutil.Process(master.pid).children() if "schedd" in p.name()]
    schedd.suspend()
    try:
        run = site.request("drill", "drill004")
        row = wait_for(
            "a note",
            lambda: (r := site.attempt(run))["error_kind"] == "schedd_silent" and r,
        )
        assert row["state"] == "wanted"
        assert "does not answer" in row["error_message"]
        # Bad requests are answered all the same, and the heart beats on.
        bad = site.request("no_such_workflow", "drill005")
        beat = site.value("SELECT beat_at FROM owl_daemon")
        wait_for(
            "a beat that says why",
            lambda: site.value(
                "SELECT beat_at > %(b)s AND state = 'schedd_silent' FROM owl_daemon", b=beat
            ),
        )
        assert site.refused(bad)["error_kind"] == "bad_conf"
    finally:
        schedd.resume()
    row = site.live(run)
    assert row["error_message"] is None
    assert len(site.dagmans(run)) == 1


def test_a_schedd_that_is_killed_is_found_again(site: Site) -> None:
    site.start()
    wait_for("the gateway", lambda: site.rows("SELECT 1 FROM owl_daemon WHERE state = 'running'"))
    master = site.pool._master
    assert master is not None
    parent = psutil.Process(master.pid)
    (schedd,) = [p for p in parent.children() if "schedd" in p.name()]
    # The note is there only until condor_master, after about ten seconds, starts another schedd.
    parent.suspend()
    try:
        schedd.kill()
        wait_for("the schedd's end", lambda: schedd.status() == psutil.STATUS_ZOMBIE)
        run = site.request("drill", "drill008")
        wait_for("a note", lambda: site.attempt(run)["error_kind"] == "schedd_silent")
    finally:
        parent.resume()
    site.live(run)
    assert len(site.dagmans(run)) == 1


def _templates(folder: Path, executable: str) -> str:
    workflow = folder / "templates" / "broken"
    workflow.mkdir(parents=True)
    (workflow / "workflow.yaml").write_text(
        "description: x\ntype: TEST\nsample: {dataset: x1}\n", encoding="utf-8"
    )
    (workflow / "workflow.dag.j2").write_text(
        f"JOB A {{\n executable = {executable}\n request_memory = 1MB\n"
        " request_disk = 1MB\n request_cpus = 1\n}\n",
        encoding="utf-8",
    )
    return str(workflow.parent)


def test_a_missing_executable_is_refused(site: Site) -> None:
    site.environment["OWL_TEMPLATES"] = _templates(site.home, "/no/such/program")
    site.start()
    run = site.request("broken", "x2")
    row = site.refused(run)
    assert row["error_kind"] == "missing_executable"
    assert "/no/such/program" in row["error_message"]
    assert "Node A" in row["error_message"]
    assert not (site.home / "runs").exists()
    assert site.dagmans(run) == []
    # Mended, and wanted again: the next attempt is a first one in all but its number.
    workflow = site.home / "templates" / "broken" / "workflow.dag.j2"
    workflow.write_text(workflow.read_text().replace("/no/such/program", "/bin/true"))
    site.want(run, 2, "fresh")
    site.ended(site.live(run, 2)["cluster"])


def test_an_unwritable_folder_is_refused(site: Site) -> None:
    site.start()
    runs = site.home / "runs"
    runs.mkdir(mode=0o500)
    row = site.refused(site.request("drill", "drill006"))
    assert row["error_kind"] == "not_writable"
    assert str(runs) in row["error_message"]


def test_a_full_disk_is_refused_and_leaves_nothing(site: Site) -> None:
    site.start()
    wait_for("the gateway", lambda: site.rows("SELECT 1 FROM owl_daemon WHERE state = 'running'"))
    assert site.process is not None
    # A limit on the size of files gives the process a real EFBIG from the kernel.
    resource.prlimit(site.process.pid, resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
    run = site.request("drill", "drill007")
    row = site.refused(run)
    assert row["error_kind"] == "disk_full"
    assert "Make room" in row["error_message"]
    assert [p for p in (site.home / "runs").rglob("*") if p.is_file()] == []
    assert list((site.home / "runs" / "drill" / "drill007").iterdir()) == []
    infinity = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(site.process.pid, resource.RLIMIT_FSIZE, infinity)
    site.want(run, 2, "fresh")
    site.live(run, 2)


@pytest.mark.parametrize(
    ("workflow", "dataset", "params", "kind"),
    [
        ("drill", "../../etc", {}, "bad_name"),
        ("drill", "x; rm -rf", {}, "bad_name"),
        ("no_such", "x1", {}, "bad_conf"),
        ("drill", "x1", {"sleep_s": "long"}, "bad_conf"),
        ("drill", "x1", {"dag_file": "relative.dag"}, "bad_conf"),
        ("drill", "x1", {"dag_file": "/no/such.dag"}, "bad_conf"),
    ],
)
def test_bad_requests(
    site: Site, workflow: str, dataset: str, params: dict[str, object], kind: str
) -> None:
    site.start()
    run = site.request(workflow, dataset, **params)
    assert site.refused(run)["error_kind"] == kind
    assert site.dagmans(run) == []


def test_any_dag_file_runs_in_its_own_folder(site: Site) -> None:
    folder = site.home / "other"
    folder.mkdir()
    dag_file = folder / "any.dag"
    dag_file.write_text("JOB A a.sub\nJOB B a.sub\nPARENT A CHILD B\n")
    sub = "executable = /bin/true\nrequest_memory=1MB\nrequest_disk=1MB\nqueue\n"
    (folder / "a.sub").write_text(sub)
    site.start()
    run = site.request("some_dag", "any", dag_file=str(dag_file))
    row = site.live(run)
    assert site.folder(run) == folder
    assert site.ended(row["cluster"])["ExitCode"] == 0
    assert sorted(r[0] for r in site.rows("SELECT node FROM owl_node")) == ["A", "B"]


def test_a_second_gateway_stands_by(site: Site) -> None:
    site.start()
    wait_for("the gateway", lambda: site.rows("SELECT 1 FROM owl_daemon WHERE state = 'running'"))
    first = site.process
    assert first is not None
    site.start()
    try:
        run = site.request("bench_true", "bench001")
        site.live(run)
        claimed = site.attempt(run)["claimed_by"]
        assert claimed.endswith(f":{first.pid}")
    finally:
        os.kill(first.pid, signal.SIGTERM)
        first.wait(60)
    run = site.request("bench_true", "bench002")
    assert site.process is not None
    site.live(run)
    assert site.attempt(run)["claimed_by"].endswith(f":{site.process.pid}")
