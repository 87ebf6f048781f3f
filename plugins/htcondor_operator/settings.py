"""Where everything is: read once from the environment, the same in every process.

The launcher writes these variables into one file (``$OWL_HOME/environment``) and starts every
service with them; a site that has its own services sets them itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Folders, addresses and limits.

    Parameters
    ----------
    home
        All state (``OWL_HOME``).
    database_url
        ``postgresql://`` URL of the blackboard, which is Airflow's metadata database
        (``OWL_DATABASE_URL``).
    templates
        Folder with one sub-folder per workflow (``OWL_TEMPLATES``).
    runs
        One folder per run is made below it (``OWL_RUNS``). Never below ``/tmp``: DAGMan refuses.
    incoming, work, archive, references
        Folders of the payload (``OWL_INCOMING``, ``OWL_WORK``, ``OWL_ARCHIVE``,
        ``OWL_REFERENCES``). Nodes read deliveries from `incoming` itself; files land in folders
        below it, from which pollers move what is good.
    quarantine
        Where pollers move what is bad (``OWL_QUARANTINE``).
    pollers
        The file that declares the pollers (``OWL_POLLERS``).
    alerts
        The file with the rules of alerts and the channels (``OWL_ALERTS``).
    python
        Interpreter that node jobs use (``OWL_PYTHON``).
    """

    home: Path
    database_url: str
    templates: Path
    runs: Path
    incoming: Path
    work: Path
    archive: Path
    references: Path
    quarantine: Path
    pollers: Path
    alerts: Path
    python: str

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; folders that are not named lie below ``OWL_HOME``."""
        env = os.environ if environment is None else environment
        home = Path(env.get("OWL_HOME", ".owl")).absolute()

        def folder(variable: str, default: Path) -> Path:
            return Path(env.get(variable) or default).absolute()

        include = shipped()
        data = home / "data"
        return Settings(
            home=home,
            database_url=env.get("OWL_DATABASE_URL", ""),
            templates=folder("OWL_TEMPLATES", include / "templates"),
            runs=folder("OWL_RUNS", home / "runs"),
            incoming=folder("OWL_INCOMING", data / "incoming"),
            work=folder("OWL_WORK", data / "work"),
            archive=folder("OWL_ARCHIVE", data / "archive"),
            references=folder("OWL_REFERENCES", data / "references"),
            quarantine=folder("OWL_QUARANTINE", data / "quarantine"),
            pollers=folder("OWL_POLLERS", include / "pollers.yaml"),
            alerts=folder("OWL_ALERTS", include / "alerts.yaml"),
            python=env.get("OWL_PYTHON", sys.executable),
        )


def shipped() -> Path:
    """Return the folder of what comes with OWL: workflows, declarations of pollers and alerts.

    That is ``include`` of a clone. An installed package has it inside, with the DAG files in
    ``dags``.
    """
    here = Path(__file__).resolve()
    installed = here.with_name("shipped")
    return installed if installed.is_dir() else here.parents[2] / "include"
