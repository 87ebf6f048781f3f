"""OWL's home: every file that the launcher makes has its place here."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
"""The folder with ``dags/``, ``include/`` and ``tests/``: the clone, or its copy in the home."""

USERS = {"admin": "admin", "operator": "op", "viewer": "viewer"}
"""Users of the UI and their roles."""


@dataclass(frozen=True)
class Home:
    """Folders and files below ``OWL_HOME``."""

    root: Path

    @staticmethod
    def current() -> Home:
        """Return the home named by ``OWL_HOME`` (``.owl`` beside the code by default)."""
        return Home(Path(os.environ.get("OWL_HOME") or CHECKOUT / ".owl").absolute())

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.root / "airflow"

    @property
    def postgres(self) -> Path:
        """The embedded PostgreSQL's cluster."""
        return self.root / "postgres" / "data"

    @property
    def pool(self) -> Path:
        """The private pool's folder."""
        return self.root / "pool"

    @property
    def condor(self) -> Path:
        """Where the private HTCondor is installed, shared between homes by ``OWL_CACHE``."""
        return self.cache / "condor"

    @property
    def cache(self) -> Path:
        """Downloads, which several homes may share."""
        return Path(os.environ.get("OWL_CACHE") or self.root / "cache").absolute()

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What the supervisor tells and by what it is found."""
        return self.root / "run"

    @property
    def state_file(self) -> Path:
        """The supervisor's last words about every service."""
        return self.run / "supervisor.json"

    @property
    def lock_file(self) -> Path:
        """Held by the one supervisor of this home."""
        return self.run / "supervisor.lock"

    @property
    def environment_file(self) -> Path:
        """Every service's environment."""
        return self.root / "environment"

    @property
    def ports_file(self) -> Path:
        """The ports that were chosen once."""
        return self.root / "ports.json"

    @property
    def passwords_file(self) -> Path:
        """Passwords of the UI's users."""
        return self.airflow / "passwords.json"

    def make(self) -> None:
        """Make the folders that every service expects."""
        for folder in (self.root, self.airflow, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("incoming", "work", "archive", "references", "quarantine"):
            (self.root / "data" / name).mkdir(parents=True, exist_ok=True)
        (self.root / "runs").mkdir(exist_ok=True)


@dataclass(frozen=True)
class Secrets:
    """Keys that Airflow's components share, and the UI's passwords; made once."""

    jwt: str
    fernet: str
    session: str
    passwords: dict[str, str]


def load_secrets(home: Home) -> Secrets:
    """Return the home's secrets; make them first if there are none."""
    path = home.root / "secrets.json"
    if not path.exists():
        made = {
            "jwt": secrets.token_urlsafe(48),
            "fernet": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "session": secrets.token_urlsafe(48),
            "passwords": {user: secrets.token_urlsafe(9) for user in USERS},
        }
        write_private(path, json.dumps(made, indent=1))
    found = Secrets(**json.loads(path.read_text()))
    if not home.passwords_file.exists():
        write_private(home.passwords_file, json.dumps(found.passwords) + "\n")
    return found


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; readers see the old or the new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def digest(*paths: Path) -> str:
    """Return a hash of files' names and contents; folders count with all that is in them."""
    sha = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                sha.update(file.name.encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()
