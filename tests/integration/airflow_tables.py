"""A database with Airflow's real tables, made by ``airflow db migrate``, and DAGs in it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def install_into(folder: Path) -> Path:
    """Make what pip leaves beside the package, unless it is installed; return where it lies.

    Airflow finds plugins (and with them timetables) by entry points only.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution("owl-for-airflow")
        return folder
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"owl_for_airflow-{project['version']}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return folder


def airflow_environment(url: str, home: Path) -> dict[str, str]:
    """The environment of a process that uses `url` as Airflow's database."""
    return {
        **os.environ,
        "PYTHONPATH": f"{install_into(home / 'site')}:{ROOT / 'plugins'}:{ROOT}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-this-test-only",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace(
            "postgresql://", "postgresql+psycopg2://", 1
        ),
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": (
            "htcondor_operator.blackboard.manager.BlackboardDBManager"
        ),
        "OWL_DATABASE_URL": url,
        "OWL_HOME": str(home),
        "OWL_TEMPLATES": str(ROOT / "include" / "templates"),
    }


def migrate(url: str, home: Path) -> None:
    """Make Airflow's tables and OWL's."""
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=airflow_environment(url, home),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-3000:]


def add_dag(cur: Any, dag_id: str, *, paused: bool = False, max_active_runs: int = 1000) -> None:
    """Write a serialized DAG's rows as the dag-processor does (without its code)."""
    cur.execute(
        """
        INSERT INTO dag_bundle (name, active) VALUES ('dags-folder', true) ON CONFLICT DO NOTHING;
        INSERT INTO dag (dag_id, is_paused, is_stale, bundle_name, timetable_type,
                         max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs,
                         has_task_concurrency_limits, exceeds_max_non_backfill,
                         partition_mapper_info)
        VALUES (%(dag)s, %(paused)s, false, 'dags-folder', '', 10000, %(runs)s, 0, false, false,
                '[]');
        INSERT INTO dag_version (id, version_number, dag_id, created_at, last_updated)
        VALUES (gen_random_uuid(), 1, %(dag)s, now(), now()),
               (gen_random_uuid(), 2, %(dag)s, now(), now());
        """,
        {"dag": dag_id, "paused": paused, "runs": max_active_runs},
    )
