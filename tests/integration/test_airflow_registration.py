"""What a real Airflow makes of this package's entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.schema import VERSION_TABLE, alembic_config
from htcondor_operator.blackboard.tables import metadata
from htcondor_operator.hooks.htcondor import HTCondorHook
from htcondor_operator.launcher.postgres import Postgres
from tests.conftest import drop_database
from tests.integration.airflow_tables import install_into

CHECKOUT = Path(__file__).parents[2]

LOOK = """
import json, sys
from airflow.plugins_manager import _get_plugins
from airflow.providers_manager import ProvidersManager
plugins, errors = _get_plugins()
manager = ProvidersManager()
ours = {
    name: str(module.__file__)
    for name, module in list(sys.modules.items())
    if "/htcondor_operator/" in str(getattr(module, "__file__", None))
}
print("RESULT" + json.dumps({
    "plugins": [plugin.name for plugin in plugins],
    "errors": errors,
    "strangers": sorted(name for name in ours if not name.startswith("htcondor_operator")),
    "hooks": "htcondor" in manager.hooks,
    "hook_class": manager.hooks["htcondor"].hook_class_name,
    "fields": sorted(n for n in manager.connection_form_widgets if "htcondor" in n),
    "executors": [name for name in manager.executor_class_names if "htcondor" in name],
    "notifications": [str(name) for name in manager.notification if "htcondor" in str(name)],
    "db_managers": [name for name in manager.db_managers if "htcondor" in name],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip leaves beside the package, made from pyproject.toml where it is not installed."""
    return install_into(tmp_path_factory.mktemp("site"))


@pytest.fixture
def airflow_env(installed: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{installed}:{CHECKOUT / 'plugins'}:{CHECKOUT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def run(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("lazy", ["True", "False"])
def test_provider_and_plugin_are_registered_once(lazy: str, airflow_env: dict[str, str]) -> None:
    environment = {**airflow_env, "AIRFLOW__CORE__LAZY_DISCOVER_PROVIDERS": lazy}
    out = run(environment, sys.executable, "-c", LOOK)
    found: dict[str, Any] = json.loads(out.rpartition("RESULT")[2])
    assert found["plugins"].count("owl") == 1
    assert found["errors"] == {}
    assert found["strangers"] == []
    assert found["hooks"]
    assert found["hook_class"] == "htcondor_operator.hooks.htcondor.HTCondorHook"
    assert found["fields"] == ["extra__htcondor__database_conn_id"]
    assert found["executors"] == ["htcondor_operator.executors.htcondor.HTCondorExecutor"]
    assert len(found["notifications"]) == 2
    assert found["db_managers"] == ["htcondor_operator.blackboard.manager.BlackboardDBManager"]


def test_airflow_lists_the_provider(airflow_env: dict[str, str]) -> None:
    providers = json.loads(run(airflow_env, "airflow", "providers", "list", "-o", "json"))
    assert "owl-for-airflow" in {provider["package_name"] for provider in providers}


@pytest.mark.database
class TestDatabase:
    @pytest.fixture
    def empty(self, postgres: Postgres) -> Iterator[str]:
        name = f"owl_{uuid.uuid4().hex[:12]}"
        yield postgres.ensure_database(name)
        drop_database(postgres, name)

    def test_airflow_db_migrate_makes_the_blackboard(
        self, empty: str, airflow_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = empty.replace("postgresql://", "postgresql+psycopg2://", 1)
        newest = ScriptDirectory.from_config(alembic_config(empty)).get_current_head()
        manager = "htcondor_operator.blackboard.manager.BlackboardDBManager"
        environment = {
            **airflow_env,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": manager,
        }
        run(environment, "airflow", "db", "migrate")
        run(environment, "airflow", "db", "migrate")
        connection = connect_url(empty, application="test")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE '%%owl%%'")
            names = {name for (name,) in cursor.fetchall()}
            cursor.execute(f"SELECT version_num FROM {VERSION_TABLE}")
            assert cursor.fetchall() == [(newest,)]
        connection.close()
        assert names == set(metadata.tables) | {VERSION_TABLE}

        monkeypatch.setenv("OWL_DATABASE_URL", url)
        assert HTCondorHook(None).test_connection() == (
            False,
            "The database is OWL's blackboard, but no gateway ever worked on it.",
        )
        run(environment, "airflow", "db-manager", "downgrade", manager, "-r", "base", "-y")
        connection = connect_url(empty, application="test")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('owl_run'), to_regclass('dag_run') IS NOT NULL")
            assert cursor.fetchone() == (None, True)
        connection.close()
