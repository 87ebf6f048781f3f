"""What a container does: ``entry.py ROLE``. Made of the launcher's parts, not a second one.

==================================  ============================================================
install                             HTCondor, as the launcher installs it (for ``docker build``)
central, access, execute            a ``condor_master`` with that role's daemons
gateway, mirror                     OWL's daemons; the access point's master starts them
schema                              Airflow's and OWL's tables, then ends
api-server, scheduler, ...          an Airflow component
health ROLE                         exit code 0 when that role is well
==================================  ============================================================

Between containers every connection is authenticated by an HTCondor token and encrypted. The
signing key is a secret of the central manager and the access point. Execute machines get a token
from the central manager that lets them advertise themselves and nothing else.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from htcondor_operator.condor.hooks import starter_hook_config
from htcondor_operator.condor.install import Condor, ensure_condor
from htcondor_operator.condor.pool import configuration
from htcondor_operator.launcher import probes
from htcondor_operator.launcher.airflow import airflow_settings
from htcondor_operator.launcher.home import CHECKOUT, Home, load_secrets, write_private
from htcondor_operator.vocabulary import OwlError

SECRETS = Path(os.environ.get("OWL_SECRETS", "/run/secrets"))
DOMAIN = "owl.pool"
OWNER = f"owl@{DOMAIN}"
WORKER = f"execute@{DOMAIN}"
COMPONENTS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob"} | {
    "triggerer": "TriggererJob"
}
OWN = ("gateway", "mirror")
DAEMONS = {
    "central": "MASTER, COLLECTOR, NEGOTIATOR",
    "access": "MASTER, SCHEDD, GATEWAY, MIRROR",
    "execute": "MASTER, STARTD",
}
API_PORT = 8080


def database_url() -> str:
    """Return the blackboard's URL; its password is a secret, not a variable."""
    given = os.environ.get("OWL_DATABASE_URL")
    if given:
        return given
    password = quote((SECRETS / "database_password").read_text().strip(), safe="")
    return f"postgresql://owl:{password}@{os.environ.get('OWL_DATABASE_HOST', 'postgres')}/airflow"


# --- HTCondor --------------------------------------------------------------------------------


def pool_config(role: str, condor: Condor, local: Path) -> str:
    """Return the role's condor_config: the private pool's, spread over machines."""
    interface = os.environ.get("OWL_POOL_INTERFACE", "*")
    port = int(os.environ.get("OWL_POOL_PORT", "9618"))
    extra: dict[str, object] = {
        "CONDOR_HOST": os.environ.get("OWL_POOL_HOST", "central"),
        "COLLECTOR_HOST": f"$(CONDOR_HOST):{port}",
        "SHARED_PORT_PORT": port if role == "central" else os.environ.get("OWL_OWN_PORT", "9618"),
        "NETWORK_INTERFACE": interface,
        "BIND_ALL_INTERFACES": interface == "*",
        "UID_DOMAIN": DOMAIN,
        "TRUST_DOMAIN": DOMAIN,
        # Non-root daemons run every job as themselves: the domain is a name, not a DNS suffix.
        "TRUST_UID_DOMAIN": True,
        # A container's name changes; attempts on the blackboard are bound to the schedd's name.
        "SCHEDD_NAME": OWNER,
        "DAEMON_LIST": DAEMONS[role],
        "SEC_DEFAULT_AUTHENTICATION_METHODS": "IDTOKENS",
        "SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
        "SEC_DEFAULT_ENCRYPTION": "REQUIRED",
    }
    if role == "central":
        extra |= {
            "ALLOW_ADVERTISE_STARTD": WORKER,
            "ALLOW_ADVERTISE_MASTER": f"{OWNER}, {WORKER}",
            "ALLOW_READ": f"{OWNER}, {WORKER}",
        }
    if role == "execute":
        extra |= starter_hook_config()
        # Only jobs that ask for telemetry pay for it.
        del extra["STARTER_DEFAULT_JOB_HOOK_KEYWORD"]
    if role == "access":
        extra |= {name.upper(): local / "run" / name for name in OWN}
    cpus = int(os.environ.get("OWL_CPUS") or os.cpu_count() or 1)
    return configuration(condor, local, user="owl", cpus=cpus, extra=extra)


def write_wrapper(name: str, local: Path) -> None:
    """Write what condor_master starts for one of OWL's daemons.

    It gives a program its bare name as argv[0], by which Python looks for itself on PATH and
    misses its environment, and no output (seen in 25.14.1).
    """
    command = shlex.join([sys.executable, str(Path(__file__).resolve()), name])
    log = shlex.quote(str(local / "log" / f"{name.capitalize()}Log"))
    wrapper = local / "run" / name
    wrapper.write_text(f"#!/bin/sh\nexec {command} >>{log} 2>&1\n")
    wrapper.chmod(0o755)


def pool(role: str) -> NoReturn:
    """Become the condor_master of a role."""
    home = Home.current()
    condor = ensure_condor(home.condor, print)
    local = home.pool
    for name in ("log", "spool", "execute", "lock", "run"):
        (local / name).mkdir(parents=True, exist_ok=True)
    keys, tokens = local / "secret" / "passwords.d", local / "secret" / "tokens.d"
    for folder in (keys, tokens):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = local / "condor_config"
    write_private(config, pool_config(role, condor, local))
    for name in OWN if role == "access" else ():
        write_wrapper(name, local)
    os.environ["CONDOR_CONFIG"] = str(config)
    os.environ["PATH"] = condor.path(os.environ["PATH"])
    shared = Path(os.environ.get("OWL_TOKENS", home.root / "tokens"))
    if role == "execute":
        write_private(tokens / "pool", wait_for(shared / "execute"))
    else:
        write_private(keys / "POOL", (SECRETS / "pool_key").read_text())
        write_private(tokens / "pool", token(OWNER))
    if role == "central":
        write_private(
            shared / "execute", token(WORKER, "ADVERTISE_STARTD", "ADVERTISE_MASTER", "READ")
        )
    os.execvp("condor_master", ["condor_master", "-f"])  # noqa: S606


def token(identity: str, *levels: str) -> str:
    """Return a fresh token, limited to some levels of authorisation."""
    limits = [word for level in levels for word in ("-authz", level)]
    command = ["condor_token_create", "-identity", identity, "-key", "POOL", *limits]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(file: Path, seconds: float = 120.0) -> str:
    """Return a file's text as soon as it is there."""
    end = time.monotonic() + seconds
    while not file.exists():
        if time.monotonic() > end:
            sys.exit(f"entry: {file} is not there after {seconds:.0f} s: is `central` running?")
        time.sleep(0.5)
    return file.read_text()


# --- OWL and Airflow -------------------------------------------------------------------------


def daemon(module: str) -> NoReturn:
    """Become one of OWL's daemons."""
    os.environ["OWL_DATABASE_URL"] = database_url()
    os.environ.setdefault("OWL_PYTHON", sys.executable)
    os.execv(sys.executable, [sys.executable, "-m", module])  # noqa: S606


def airflow_environment() -> None:
    """Set what the launcher sets, with the containers' addresses."""
    home = Home.current()
    home.make()
    own = home.root / "secrets.json"
    if not own.exists():
        own.symlink_to(SECRETS / "airflow")
    url = database_url()
    os.environ |= airflow_settings(home, CHECKOUT, url, API_PORT, load_secrets(home)) | {
        "OWL_DATABASE_URL": url,
        "AIRFLOW__API__HOST": "0.0.0.0",  # noqa: S104 - published on the loopback only
        "AIRFLOW__API__BASE_URL": os.environ.get("OWL_BASE_URL", f"http://127.0.0.1:{API_PORT}"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://api-server:{API_PORT}/execution/",
    }


def airflow(component: str) -> NoReturn:
    """Become an Airflow component."""
    airflow_environment()
    program = str(Path(sys.executable).with_name("airflow"))
    os.execv(program, [program, component, *COMPONENTS[component]])  # noqa: S606


def schema() -> NoReturn:
    """Make or upgrade the tables."""
    airflow_environment()
    command = [sys.executable, "-m", "htcondor_operator.launcher.schema"]
    os.execv(sys.executable, command)  # noqa: S606


# --- health ----------------------------------------------------------------------------------


def health(role: str) -> int:
    """Say what is wrong with a role, if anything."""
    if role in DAEMONS:
        problem = pool_health(role)
    elif role == "api-server":
        problem = probes.http(f"http://127.0.0.1:{API_PORT}/api/v2/monitor/health")(0)
    else:
        problem = probes.airflow_job(database_url(), JOBS[role])(1)
    if problem:
        sys.stderr.write(f"{role}: {problem}\n")
    return 1 if problem else 0


def pool_health(role: str) -> str:
    """Return what a role of the pool lacks; for the access point OWL's daemons, too."""
    home = Home.current()
    condor = ensure_condor(home.condor, print)
    os.environ["CONDOR_CONFIG"] = str(home.pool / "condor_config")
    kinds = {"central": {"Negotiator"}, "access": {"Scheduler"}, "execute": {"Machine", "Slot"}}
    here = ask(condor, "condor_config_val", "FULL_HOSTNAME").strip()
    found = ask(condor, "condor_status", "-any", "-af", "MyType", "Machine")
    if not any((kind, here) in map(_pair, found.splitlines()) for kind in kinds[role]):
        return f"the collector knows no {' or '.join(sorted(kinds[role]))} on {here}: {found}"
    if role != "access":
        return ""
    url = database_url()
    words = {name: probes.heartbeat(url, name)(1) for name in OWN}
    return " ".join(f"{name}: {word}" for name, word in words.items() if word)


def ask(condor: Condor, *command: str) -> str:
    """Return what one of HTCondor's tools says."""
    done = subprocess.run(
        [str(condor.bin / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout or done.stderr


def _pair(line: str) -> tuple[str, str]:
    kind, _, machine = line.partition(" ")
    return kind, machine.strip()


def main(words: list[str]) -> int:
    """Become what the first word says."""
    match words:
        case ["install"]:
            ensure_condor(Home.current().condor, print)
        case ["health", role]:
            return health(role)
        case ["schema"]:
            schema()
        case ["gateway"]:
            daemon("htcondor_operator.condor.gateway")
        case ["mirror"]:
            daemon("htcondor_operator.mirror")
        case [role] if role in DAEMONS:
            pool(role)
        case [component] if component in COMPONENTS:
            airflow(component)
        case _:
            roles = ", ".join([*DAEMONS, *COMPONENTS, "schema", "health ROLE"])
            sys.exit(f"entry: {' '.join(words) or 'nothing'} is none of {roles}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OwlError as error:
        sys.exit(f"entry: {error.kind.value}: {error.message}")
