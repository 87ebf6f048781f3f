"""What the containers of docker/compose.yaml run, without an engine: three masters on the loopback.

Central manager, access point (with gateway and mirror under its master) and an execute machine
know one another by HTCondor tokens only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

from htcondor_operator.blackboard import runs
from htcondor_operator.condor.install import Condor, ensure_condor
from htcondor_operator.condor.pool import stop_master
from htcondor_operator.launcher.ports import any_free
from htcondor_operator.launcher.postgres import Postgres
from htcondor_operator.vocabulary import AttemptKind

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "docker" / "entry.py"

pytestmark = [pytest.mark.pool, pytest.mark.database, pytest.mark.timeout(900)]


@dataclass
class Site:
    """Three containers' worth of processes."""

    folder: Path
    url: str
    condor: Condor
    port: int
    masters: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, role: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("_CONDOR", "CONDOR"))}
        return {
            **env,
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            "OWL_HOME": str(self.folder / role),
            "OWL_CACHE": str(self.condor.release.parent.parent),
            "OWL_SECRETS": str(self.folder / "secrets"),
            "OWL_TOKENS": str(self.folder / "tokens"),
            "OWL_DATABASE_URL": self.url,
            "OWL_RUNS": str(self.folder / "runs"),
            "OWL_POOL_HOST": "127.0.0.1",
            "OWL_POOL_INTERFACE": "127.0.0.1",
            "OWL_POOL_PORT": str(self.port),
            "OWL_OWN_PORT": "0",
            "OWL_CPUS": "2",
        }

    def start(self, role: str) -> None:
        with (self.folder / f"{role}.out").open("ab") as out:
            self.masters[role] = subprocess.Popen(
                [sys.executable, str(ENTRY), role],
                env=self.environment(role),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def health(self, role: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(ENTRY), "health", role],
            env=self.environment(role),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr

    def tool(self, role: str, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        env = self.environment(role) | settings
        env["CONDOR_CONFIG"] = str(self.folder / role / "pool" / "condor_config")
        return subprocess.run(
            [str(self.condor.bin / words[0]), *words[1:]],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def words(self) -> str:
        found = [p for p in self.folder.rglob("*") if p.suffix == ".out" or p.name.endswith("Log")]
        tails = [f"--- {p}\n{p.read_text(errors='replace')[-1500:]}" for p in found if p.is_file()]
        return "\n".join(tails)


def wait_until(what: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.5)
    return False


@pytest.fixture(scope="module")
def site(state_dir: Path, postgres: Postgres, new_database: Callable[[], str]) -> Iterator[Site]:
    cache = Path(os.environ.get("OWL_CACHE") or Path.home() / ".cache" / "owl").absolute()
    folder = state_dir / f"d{uuid.uuid4().hex[:4]}"
    for name in ("tokens", "runs"):
        (folder / name).mkdir(parents=True)
    subprocess.run([str(ROOT / "docker" / "make-secrets"), str(folder / "secrets")], check=True)
    site = Site(folder, new_database(), ensure_condor(cache / "condor", print), any_free())
    try:
        for role in ("central", "access", "execute"):
            site.start(role)
        for role in site.masters:
            good = wait_until(lambda role=role: site.health(role)[0] == 0, 180)
            assert good, f"{role}: {site.health(role)}\n{site.words()}"
        yield site
    finally:
        for master in site.masters.values():
            stop_master(master.pid, 15)
            master.wait(10)
        if not os.environ.get("OWL_KEEP_STATE"):
            shutil.rmtree(folder, ignore_errors=True)


def test_a_workflow_runs_across_the_machines(site: Site) -> None:
    with psycopg2.connect(site.url) as connection, connection.cursor() as cursor:
        key = runs.ensure_run(
            cursor, dag_id="drill", run_id="r1", workflow="drill", dataset="docker01"
        )
        runs.request_attempt(cursor, key, kind=AttemptKind.FIRST)

    def state() -> str:
        with psycopg2.connect(site.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT state FROM owl_run WHERE run_key = %s", (key,))
            return str((cursor.fetchone() or ("",))[0])

    assert wait_until(lambda: state() in {"done", "failed"}, 240), site.words()
    assert state() == "done", site.words()


def test_everybody_is_known_by_a_token(site: Site) -> None:
    done = site.tool(
        "central", "condor_status", "-any", "-af", "MyType", "AuthenticatedIdentity",
        "AuthenticationMethod",
    )  # fmt: skip
    seen = {tuple(line.split()) for line in done.stdout.splitlines()}
    assert ("Scheduler", "owl@owl.pool", "IDTOKENS") in seen, seen
    assert {line[1:] for line in seen if line[0] in {"Machine", "Slot"}} == {
        ("execute@owl.pool", "IDTOKENS")
    }, seen
    # The central manager's own daemons know one another by the master's session.
    assert {line[2] for line in seen} <= {"IDTOKENS", "FAMILY", "undefined"}, seen


def test_a_stranger_is_refused(site: Site, tmp_path: Path) -> None:
    nothing = {
        "_CONDOR_SEC_TOKEN_DIRECTORY": str(tmp_path),
        "_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY": str(tmp_path),
        "_CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE": str(tmp_path / "none"),
        "_CONDOR_SEC_PASSWORD_DIRECTORY": str(tmp_path),
        "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "CLAIMTOBE,ANONYMOUS,FS,PASSWORD,IDTOKENS",
    }
    done = site.tool("execute", "condor_status", "-any", **nothing)
    assert done.returncode != 0, done.stdout


def test_an_execute_machine_may_only_advertise_itself(site: Site) -> None:
    allowed = site.tool("execute", "condor_status", "-schedd", "-af", "Name")
    assert allowed.stdout.strip() == "owl@owl.pool"
    removal = site.tool("execute", "condor_rm", "-name", "owl@owl.pool", "-all")
    assert removal.returncode != 0, removal.stdout
    assert not (site.folder / "execute" / "pool" / "secret" / "passwords.d" / "POOL").exists()


def test_a_role_that_does_not_exist_is_named() -> None:
    done = subprocess.run(
        [sys.executable, str(ENTRY), "queen"],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "queen" in done.stderr
    assert "central" in done.stderr
