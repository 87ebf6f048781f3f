"""The one environment of all services: computed, written to a file, read back."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.condor.hooks import starter_hook_config
from htcondor_operator.condor.install import Condor, installed, site_condor
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.launcher import ports
from htcondor_operator.launcher.airflow import airflow_settings
from htcondor_operator.launcher.home import CHECKOUT, Home, load_secrets
from htcondor_operator.launcher.postgres import Postgres

DATABASE = "airflow"
_FROM_OUTSIDE = ("OWL_CACHE", "OWL_SHARED_DATA", "OWL_CPUS", "TZ", "LANG")


@dataclass(frozen=True)
class Stack:
    """What this home runs itself, and the environment for it."""

    home: Home
    environment: dict[str, str]
    postgres: Postgres | None
    """None: the site's database is used."""
    pool: PersonalPool | None
    """None: the site's HTCondor is used."""
    port: int

    @property
    def address(self) -> str:
        """Address of the UI."""
        return f"http://127.0.0.1:{self.port}"


def outside(home: Home, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the caller's environment without what a stack of OWL's put there."""
    env = dict(os.environ if environment is None else environment)
    own = read(home.environment_file)
    for name in list(env):
        ours = env[name] == own.get(name) and name in {"CONDOR_CONFIG", "OWL_DATABASE_URL"}
        if ours or name.startswith(("AIRFLOW", "_CONDOR_")):
            del env[name]
    inside = (str(home.root), str(home.cache))
    folders = env.get("PATH", os.defpath).split(os.pathsep)
    # Started as root, PATH may name folders that the service user cannot enter.
    usable = [f for f in folders if not f.startswith(inside) and os.access(f, os.X_OK)]
    env["PATH"] = os.pathsep.join(dict.fromkeys(usable))
    return env


def describe(home: Home, *, keep_ports: bool = False) -> Stack:
    """Work out what runs where. Nothing is started."""
    env = outside(home)
    url = env.get("OWL_DATABASE_URL", "")
    postgres = None if url else Postgres(home.postgres)
    if postgres:
        url = postgres.url(DATABASE)
    pool = None if site_condor(env) else _pool(home, env)
    port = ports.choose("api", home.ports_file, keep=keep_ports)
    binaries = Path(sys.executable).parent
    variables = {
        "OWL_HOME": str(home.root),
        "OWL_DATABASE_URL": url,
        "OWL_TEMPLATES": env.get("OWL_TEMPLATES") or str(CHECKOUT / "include" / "templates"),
        "OWL_POLLERS": env.get("OWL_POLLERS") or str(CHECKOUT / "include" / "pollers.yaml"),
        "OWL_ALERTS": env.get("OWL_ALERTS") or str(CHECKOUT / "include" / "alerts.yaml"),
        "OWL_RUNS": env.get("OWL_RUNS") or str(home.root / "runs"),
        "OWL_PYTHON": env.get("OWL_PYTHON", sys.executable),
        **{name: env[name] for name in _FROM_OUTSIDE if name in env},
        **{
            f"OWL_{name.upper()}": env.get(f"OWL_{name.upper()}") or str(home.root / "data" / name)
            for name in ("incoming", "work", "archive", "references", "quarantine")
        },
        **airflow_settings(home, CHECKOUT, url, port, load_secrets(home)),
        "PATH": os.pathsep.join([str(binaries), env["PATH"]]),
        "PYTHONUNBUFFERED": "1",
    }
    if pool:
        variables["CONDOR_CONFIG"] = str(pool.config)
        variables["PATH"] = os.pathsep.join([str(binaries), pool.condor.path(env["PATH"])])
    elif "CONDOR_CONFIG" in env:
        variables["CONDOR_CONFIG"] = env["CONDOR_CONFIG"]
    return Stack(home, variables, postgres, pool, port)


def _pool(home: Home, env: Mapping[str, str]) -> PersonalPool:
    condor = installed(home.condor) or _not_yet(home)
    extra: dict[str, object] = {**starter_hook_config()}
    # Only jobs that ask for telemetry pay for it.
    del extra["STARTER_DEFAULT_JOB_HOOK_KEYWORD"]
    if home.root.resolve().is_relative_to("/tmp"):  # noqa: S108
        # DAGMan's strict mode takes a node log below /tmp for an error.
        extra["DAGMAN_USE_STRICT"] = 0
    # Jobs of the payload wait for disks and interpreters: two per core keep a small machine busy.
    cpus = int(env.get("OWL_CPUS") or max(4, 2 * (os.cpu_count() or 1)))
    return PersonalPool(condor, home.pool, cpus=cpus, extra=extra)


def _not_yet(home: Home) -> Condor:
    usr = home.condor / "usr"
    return Condor(
        usr / "bin", usr / "sbin", usr / "lib/condor", usr / "libexec", usr / "share", usr, ""
    )


def write(stack: Stack) -> None:
    """Write the environment file: ``KEY='value'`` lines for a shell or systemd."""
    from htcondor_operator.launcher.home import write_private

    lines = [f"{key}={shlex.quote(value)}\n" for key, value in sorted(stack.environment.items())]
    write_private(stack.home.environment_file, "".join(lines))


def read(file: Path) -> dict[str, str]:
    """Read an environment file back; a missing one is empty."""
    try:
        text = file.read_text()
    except OSError:
        return {}
    result = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        result[key] = "".join(shlex.split(value))
    return result
