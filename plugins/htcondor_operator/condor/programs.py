"""Programs of the machine that the installation of a private HTCondor needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from htcondor_operator.vocabulary import ErrorKind, OwlError

COMPOSE = (
    "Use a site's HTCondor (put condor_master on PATH or set CONDOR_CONFIG), or run the "
    "containers instead: docker compose -f docker/compose.yaml up"
)


def require(*programs: str) -> None:
    """Refuse a machine that lacks one of `programs`."""
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE,
            f"this machine has no {', '.join(missing)}: OWL can only install a private HTCondor "
            f"on Debian. {COMPOSE}",
        )


def run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a program to its end; its last words become the error."""
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE, f"{command[0]} did not end within 300 s. {COMPOSE}"
        ) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise OwlError(
            ErrorKind.MISSING_EXECUTABLE,
            f"{command[0]} ended with code {done.returncode}: {' '.join(words)}",
        )
    return done.stdout
