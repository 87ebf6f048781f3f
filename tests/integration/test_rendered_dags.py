"""Every shipped workflow, rendered, against the real condor_submit_dag and a real DAGMan."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.dagman.render import render, sample_context
from htcondor_operator.dagman.workflows import load_workflows

pytestmark = [pytest.mark.pool, pytest.mark.timeout(900)]

WORKFLOWS = load_workflows(Path(__file__).parents[2] / "include" / "templates")


def write(name: str, run_dir: Path, **change: Any) -> Path:
    context = {
        **sample_context(WORKFLOWS[name]),
        "run": 42,
        "run_dir": str(run_dir),
        # The payload's command line on a program that accepts everything and does nothing.
        "python": "/bin/true",
        **change,
    }
    path = run_dir / f"{name}_{context['dataset']}.dag"
    path.write_text(render(WORKFLOWS[name], context).text)
    (run_dir / "logs").mkdir()
    return path


def tool(pool: PersonalPool, *words: str, cwd: Path) -> str:
    done = subprocess.run(
        words,
        cwd=cwd,
        env=pool.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def submit(pool: PersonalPool, dag: Path, *options: str) -> None:
    tool(pool, "condor_submit_dag", *options, dag.name, cwd=dag.parent)


def end_of(dag: Path, timeout: float = 360) -> str:
    """Wait for DAGMan's end and return the last line of its log that tells its exit code."""
    log = dag.with_name(f"{dag.name}.dagman.out")
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        text = log.read_text() if log.exists() else ""
        endings = [line for line in text.splitlines() if "EXITING WITH STATUS" in line]
        if endings and not dag.with_name(f"{dag.name}.lock").exists():
            return endings[-1].rpartition(" ")[2]
        time.sleep(0.2)
    raise AssertionError(f"{log} does not end:\n{text[-3000:]}")


def history(pool: PersonalPool, dag: Path, jobs: int) -> list[dict[str, Any]]:
    """Return what the schedd's history says of so many jobs.

    The schedd may write it after DAGMan, which reads of a job's end in the job's log, has ended.
    """
    names = (
        "DAGNodeName,JobPrio,Out,Err,UserLog,Arguments,OwlRun,OwlDataset,OwlFileset,ExitCode,"
        "ClusterId"
    )
    constraint = f'DAGNodeName isnt undefined && Iwd == "{dag.parent}"'
    words = ("condor_history", "-json", "-attributes", names, "-constraint", constraint)
    limit = time.monotonic() + 60
    while True:
        out = tool(pool, *words, cwd=dag.parent)
        found: list[dict[str, Any]] = json.loads(out or "[]")
        if len(found) >= jobs or time.monotonic() > limit:
            return found
        time.sleep(0.2)


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_condor_submit_dag_accepts_it(name: str, pool: PersonalPool, run_dir: Path) -> None:
    dag = write(name, run_dir)
    submit(pool, dag, "-no_submit")
    assert dag.with_name(f"{dag.name}.condor.sub").exists()


def test_association_runs_through_dagman(pool: PersonalPool, run_dir: Path) -> None:
    dag = write(
        "sdp_prearch_acs_asn",
        run_dir,
        params={"members": ["jcdn01abq", "jcdn01acq"]},
        incoming_dir="/in coming",
    )
    submit(pool, dag, "-priority", "100")
    assert end_of(dag) == "0"
    jobs = {job["DAGNodeName"]: job for job in history(pool, dag, 2 * 4 + 6)}
    assert len(jobs) == 2 * 4 + 6
    member = jobs["RF_2"]
    assert member["Arguments"].startswith(
        "-m calibration RF --dataset jcdn01acq --incoming /in' 'coming --work "
    )
    assert (member["OwlRun"], member["OwlDataset"], member["OwlFileset"]) == (
        42,
        "jcdn01010",
        "jcdn01acq",
    )
    assert jobs["CRCOMB"]["OwlFileset"] == "jcdn01010"
    assert jobs["CRCOMB"]["Arguments"].endswith(" --members jcdn01abq,jcdn01acq")
    assert member["Arguments"].endswith(" --references /references")
    assert member["JobPrio"] == 120
    files = [job[key] for job in jobs.values() for key in ("Out", "Err", "UserLog")]
    assert len(set(files)) == len(files)
    assert all((run_dir / name).is_file() for name in files)
    assert dag.with_name(f"{dag.name}.status").is_file()


def test_drill_fails_on_demand_and_is_rescued(pool: PersonalPool, run_dir: Path) -> None:
    control = run_dir / "con trol"
    control.mkdir()
    (control / "drill001.B.fail").write_text("27\n")
    dag = write("drill", run_dir, params={"control": str(control)})
    submit(pool, dag)
    assert end_of(dag) == "1"
    ran = (control / "drill001.ran").read_text().split("\n")
    assert {"A done", "B failed", "C done"} < set(ran)
    assert not any(line.startswith(("D", "E")) for line in ran)
    failed = next(job for job in history(pool, dag, 3) if job["DAGNodeName"] == "B")
    assert failed["ExitCode"] == 27
    assert "was told to fail" in (run_dir / failed["Err"]).read_text()

    (control / "drill001.B.fail").unlink()
    dag.with_name(f"{dag.name}.dagman.out").unlink()
    submit(pool, dag, "-update_submit")
    assert end_of(dag) == "0"
    again = (control / "drill001.ran").read_text().split("\n")[len(ran) - 1 :]
    assert [line for line in again if line.endswith("done")] == ["B done", "D done", "E done"]
