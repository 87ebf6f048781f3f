"""Airflow's settings, as the environment variables that every component gets."""

from __future__ import annotations

from pathlib import Path

from htcondor_operator.launcher.home import USERS, Home, Secrets

EXECUTORS = (
    "LocalExecutor:htcondor_operator.executors.local.FewWorkersExecutor,"
    "HTCondorExecutor:htcondor_operator.executors.htcondor.HTCondorExecutor"
)
"""A comma separates executors; a semicolon would mean teams."""

POOL = "htcondor"
POOL_SLOTS = 1_000_000
"""The Airflow pool of mirrored nodes: HTCondor decides what runs, not Airflow."""


def airflow_settings(
    home: Home, checkout: Path, database_url: str, port: int, secrets: Secrets
) -> dict[str, str]:
    """Return ``AIRFLOW_HOME`` and ``AIRFLOW__SECTION__KEY`` for all components."""
    address = f"http://127.0.0.1:{port}"
    settings: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": checkout / "dags",
            # The package is installed and registers itself; scanning would do so twice.
            "plugins_folder": home.airflow / "plugins",
            "executor": EXECUTORS,
            "execution_api_server_url": f"{address}/execution/",
            "fernet_key": secrets.fernet,
            "load_examples": False,
            # See dag_processor.
            "dagbag_import_timeout": 180,
            "dags_are_paused_at_creation": False,
            # Mirrored nodes occupy neither slots nor workers, so these must not be limits.
            "parallelism": 1000,
            "max_active_tasks_per_dag": 100_000,
            "max_active_runs_per_dag": 1500,
            "simple_auth_manager_users": ",".join(f"{u}:{role}" for u, role in USERS.items()),
            "simple_auth_manager_passwords_file": home.passwords_file,
        },
        "database": {
            "sql_alchemy_conn": sqlalchemy_url(database_url, "psycopg2"),
            "sql_alchemy_conn_async": sqlalchemy_url(database_url, "asyncpg"),
            "external_db_managers": "htcondor_operator.blackboard.manager.BlackboardDBManager",
        },
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "base_url": address,
            "secret_key": secrets.session,
            "workers": 1,
            "expose_config": "non-sensitive-only",
        },
        "api_auth": {"jwt_secret": secrets.jwt},
        "scheduler": {
            "max_tis_per_query": 512,
            # The executor's turn comes once in a loop: a shorter pause is a shorter way from an
            # event to the grid, for about 1 % of a core.
            "scheduler_idle_sleep_time": 0.3,
            # At the most: the executor says in each loop how many (executors/turns.py).
            "max_dagruns_per_loop_to_schedule": 100,
            "enable_health_check": False,
        },
        "dag_processor": {
            "refresh_interval": 15,
            "min_file_process_interval": 30,
            # A parse that is killed takes all DAGs of its file out of Airflow until the next one
            # is through: a busy machine needs more than half a minute for one.
            "dag_file_processor_timeout": 300,
        },
        # A killed triggerer's pollers go on with the next one once it is thought dead.
        "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 10},
        "logging": {
            "base_log_folder": home.airflow / "logs",
            "colored_console_log": False,
            # The log tab shows what the job itself wrote.
            "logging_config_class": "htcondor_operator.executors.task_logs.LOGGING_CONFIG",
        },
        "usage_data_collection": {"enabled": False},
    }
    result = {"AIRFLOW_HOME": str(home.airflow)}
    for section, options in settings.items():
        for key, value in options.items():
            result[f"AIRFLOW__{section.upper()}__{key.upper()}"] = str(value)
    return result


def sqlalchemy_url(url: str, driver: str) -> str:
    """Return a libpq URL as SQLAlchemy wants it for `driver`."""
    return f"postgresql+{driver}://{url.partition('://')[2]}"
