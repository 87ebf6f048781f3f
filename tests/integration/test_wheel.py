"""What a site gets that installs the package into an Airflow of its own, without a clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest

from htcondor_operator.launcher.postgres import Postgres

pytest.importorskip("hatchling")

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugins" / "htcondor_operator"

LOOK = """
import json
from fastapi.testclient import TestClient
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.plugins_manager import _get_plugins
import htcondor_operator
from htcondor_operator.dag_factory import make_dags
from htcondor_operator.settings import Settings, shipped

plugins, errors = _get_plugins()
web = TestClient(create_app(apps="core"), base_url="http://testserver")
user = SimpleAuthManagerUser(username="a", role="admin")
login = {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}
(owl,) = [
    one for one in web.get("/api/v2/plugins", headers=login).json()["plugins"]
    if one["name"] == "owl"
]
settings = Settings.from_environment()
print("RESULT" + json.dumps({
    "package": htcondor_operator.__file__,
    "plugins": [plugin.name for plugin in plugins],
    "errors": errors,
    "apps": {a["name"]: web.get("/" + a["bundle_url"]).status_code for a in owl["react_apps"]},
    "icons": [web.get("/" + app["icon"]).status_code for app in owl["react_apps"]],
    "links": len(owl["operator_extra_links"]),
    "api": [web.get("/owl/api/flow", headers=h).status_code for h in (login, {})],
    "dags": sorted(make_dags(settings.templates)),
    "declarations": [settings.pollers.is_file(), settings.alerts.is_file()],
    "dag_files": sorted(file.name for file in (shipped() / "dags").glob("*.py")),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run({}, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel, and with the dependencies of this one."""
    root = tmp_path_factory.mktemp("site")
    run({}, sys.executable, "-m", "venv", "--without-pip", str(root / "venv"))
    python = root / "venv" / "bin" / "python"
    (packages,) = (root / "venv" / "lib").glob("python3*/site-packages")
    run({}, "uv", "pip", "install", "-q", "--no-deps", "--python", str(python), str(wheel))
    # All but the clone, which may be installed here: by its name and by what leads to it.
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        ours = path.name.startswith(("owl_for_airflow", "htcondor_operator", "calibration"))
        if not ours and path.suffix != ".pth" and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return root


def run(environment: dict[str, str], *words: str, cwd: Path | None = None) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OWL_", "AIRFLOW", "PYTHON"))}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        words,
        env={**env, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_wheel_has_what_the_package_needs_and_no_sources_of_the_console(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        bundle = archive.read("htcondor_operator/console/static/main.js")
    assert bundle == (PLUGIN / "console" / "static" / "main.js").read_bytes()
    for folder, place in (
        (ROOT / "include", "htcondor_operator/shipped"),
        (ROOT / "dags", "htcondor_operator/shipped/dags"),
        (PLUGIN / "blackboard" / "migrations", "htcondor_operator/blackboard/migrations"),
        (PLUGIN / "condor" / "hooks", "htcondor_operator/condor/hooks"),
    ):
        there = [f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
        assert there
        assert {f"{place}/{file.relative_to(folder)}" for file in there} <= names
    assert not {n for n in names if "console/ui" in n or "node_modules" in n or "/tests/" in n}


@pytest.mark.database
def test_an_airflow_with_the_package_has_the_console(site: Path, postgres: Postgres) -> None:
    url = postgres.ensure_database("airflow_wheel")
    # As docs/operations.md says for an Airflow that is there already.
    environment = {
        "AIRFLOW_HOME": str(site / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-this-test-only" * 4,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql:", "postgresql+psycopg2:"),
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": (
            "htcondor_operator.blackboard.manager.BlackboardDBManager"
        ),
        "OWL_DATABASE_URL": url,
    }
    python = str(site / "venv" / "bin" / "python")
    run(environment, python, "-m", "airflow", "db", "migrate", cwd=site)
    out = run(environment, python, "-c", LOOK, cwd=site)
    found: dict[str, Any] = json.loads(out.rpartition("RESULT")[2])
    assert Path(found["package"]).is_relative_to(site)
    assert found["plugins"].count("owl") == 1
    assert found["errors"] == {}
    places = ("OWL", "OWL dataset", "OWL node", "OWL card")
    assert found["apps"] == dict.fromkeys(places, 200)
    assert set(found["icons"]) == {200}
    assert found["links"] == 5
    assert found["api"] == [200, 401]
    shipped = sorted(path.parent.name for path in (ROOT / "include").rglob("workflow.yaml"))
    assert found["dags"] == shipped
    assert found["declarations"] == [True, True]
    assert found["dag_files"] == sorted(path.name for path in (ROOT / "dags").glob("*.py"))


def test_the_command_is_there(site: Path) -> None:
    owl = str(site / "venv" / "bin" / "owl")
    assert "rescue" in run({}, owl, "--help", cwd=site)
    rendered = run({}, owl, "workflow", "render", "drill", "--dataset", "x1", cwd=site)
    assert "JOB A" in rendered
