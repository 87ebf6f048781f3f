"""The launcher as tests use it: the real command with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from htcondor_operator.launcher.api import Api
from htcondor_operator.launcher.environment import read

REPO = Path(__file__).resolve().parents[1]


class Owl:
    """The launcher with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "OWL_")) and name != "CONDOR_CONFIG"
        }
        cache = os.environ.get("OWL_CACHE") or str(Path.home() / ".cache" / "owl")
        paths = os.pathsep.join([str(REPO / "plugins"), str(REPO)])
        self.env |= {"OWL_HOME": str(home), "OWL_CACHE": cache, "PYTHONPATH": paths}
        folders = self.env["PATH"].split(os.pathsep)
        self.env["PATH"] = os.pathsep.join(f for f in folders if not f.startswith(cache))

    def __call__(self, *words: str, code: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "htcondor_operator.launcher", *words],
            cwd=REPO,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def status(self) -> dict:
        return json.loads(self("status", "--json", code=None))

    def api(self, user: str = "admin") -> Api:
        secrets = json.loads((self.home / "secrets.json").read_text())
        return Api(self.status()["address"], user, secrets["passwords"][user])

    def database(self) -> str:
        return read(self.home / "environment")["OWL_DATABASE_URL"]

    def processes(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter() if str(self.home) in _words(p)]


def _words(process: psutil.Process) -> str:
    try:
        return " ".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return ""
