"""A whole running stack, as tests see it: the REST API, the blackboard and the ``owl`` command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import yaml

from htcondor_operator.launcher import environment
from htcondor_operator.launcher.api import Api
from htcondor_operator.launcher.home import Home, load_secrets

ROOT = Path(__file__).resolve().parents[2]
OWN_TEMPLATES = Path(__file__).parent / "templates"
PATIENCE = 240.0


def until(what: str, look: Callable[[], Any], timeout: float = PATIENCE, every: float = 0.3) -> Any:
    """Return the first true answer of `look`; fail with the last one after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout:.0f} s, last answer {answer!r}")
        time.sleep(every)


@dataclass(frozen=True)
class Stack:
    """The stack of one home.

    Parameters
    ----------
    home
        Its ``OWL_HOME``.
    control
        Folder for the drills' control files.
    variables
        The caller's environment, with which ``./owl`` finds that home.
    """

    home: Home
    control: Path
    variables: dict[str, str]

    @cached_property
    def environment(self) -> dict[str, str]:
        """The services' environment."""
        return environment.read(self.home.environment_file)

    @cached_property
    def templates(self) -> Path:
        """The folder of the workflows, which tests may add to."""
        return Path(self.environment["OWL_TEMPLATES"])

    def user(self, name: str = "operator") -> Api:
        """Log in."""
        passwords = load_secrets(self.home).passwords
        return Api(self.environment["AIRFLOW__API__BASE_URL"], name, passwords[name], timeout=90)

    @cached_property
    def operator(self) -> Api:
        """The user who clears, marks and triggers."""
        return self.user("operator")

    def sql(self, text: str, **values: Any) -> list[dict[str, Any]]:
        """Ask the blackboard."""
        url = self.environment["OWL_DATABASE_URL"]
        with closing(psycopg2.connect(url, connect_timeout=60)) as connection:
            connection.autocommit = True
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(text, values)
                return [dict(row) for row in cursor.fetchall()]

    def owl(self, *words: str, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run ``./owl WORDS``."""
        return subprocess.run(
            [str(ROOT / "owl"), *words],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def services(self) -> dict[str, dict[str, Any]]:
        """Return what ``./owl status --json`` tells of the services."""
        answer = self.owl("status", "--json")
        services: dict[str, dict[str, Any]] = json.loads(answer.stdout)["services"]
        return services

    def is_healthy(self) -> bool:
        """Whether every service is."""
        return all(word["healthy"] for word in self.services().values())


def variables_of(home: Path, templates: Path, cache: Path) -> dict[str, str]:
    """Return an environment in which ``./owl`` means this home and no other."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OWL_", "AIRFLOW", "_CONDOR"))}
    env.pop("CONDOR_CONFIG", None)
    if "OWL_SHARED_DATA" in os.environ:
        env["OWL_SHARED_DATA"] = os.environ["OWL_SHARED_DATA"]
    # Waiting drill jobs sit in a slot each, and cost nothing.
    return {
        **env,
        "OWL_HOME": str(home),
        "OWL_CACHE": str(cache),
        "OWL_TEMPLATES": str(templates),
        "OWL_CPUS": "40",
        "OWL_ALERTS": str(home / "alerts.yaml"),
        "OWL_POLLERS": str(home / "pollers.yaml"),
    }


def install_alerts(home: Path) -> None:
    """Give a new home a file of alerts that a test may change, and looks that follow quickly."""
    (home / "alerts.yaml").write_text("rules: []\nchannels: []\n")
    pollers = yaml.safe_load((ROOT / "include" / "pollers.yaml").read_text())
    for poller in pollers:
        if poller["kind"] == "alerts":
            poller["interval"] = 3
    (home / "pollers.yaml").write_text(yaml.safe_dump(pollers))


def share_environment(home: Path, prefix: Path) -> None:
    """Let a new home use the Python environment that the tests run in, if ``./owl`` made it."""
    if (prefix / ".packages").exists():
        (home / "venv").symlink_to(prefix)


def install_templates(folder: Path) -> None:
    """Put the shipped workflows and the tests' own ones into `folder`."""
    for source in (ROOT / "include" / "templates", OWN_TEMPLATES):
        shutil.copytree(source, folder, dirs_exist_ok=True)
