"""``owl test``: the style checks, the types and the tests, in this order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from htcondor_operator.launcher import environment
from htcondor_operator.launcher.home import CHECKOUT, Home

NO_TESTS = 5
"""The exit code of pytest when nothing was collected."""

SUITES = {"fast": (("unit",),), "all": (("unit", "integration"), ("e2e",))}


def run(home: Home, suite: str, options: list[str]) -> int:
    """Run all checks; the last line is pytest's own. Returns 0 when everything is well."""
    binaries = Path(sys.executable).parent
    env = _environment(home, binaries)
    steps = {
        "ruff check": [str(binaries / "ruff"), "check", "."],
        "ruff format": [str(binaries / "ruff"), "format", "--check", "."],
        # Strict by its configuration: the option would undo the exceptions there.
        "mypy": [str(binaries / "mypy")],
    }
    codes = {name: _step(name, command, env) for name, command in steps.items()}
    sys.stdout.write("".join(f"{n}: {'ok' if not c else 'FAILED'}\n" for n, c in codes.items()))
    for names in SUITES[suite]:
        folders = [f"tests/{name}" for name in names if any_tests(CHECKOUT / "tests" / name)]
        sys.stdout.write(f"pytest: {' '.join(folders)}\n")
        sys.stdout.flush()
        pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *folders]
        # End-to-end tests share one stack, so they run in one process.
        pytest += [] if "e2e" in names else ["-n", "2", "--dist", "loadfile"]
        code = subprocess.run([*pytest, *options], cwd=CHECKOUT, env=env, check=False).returncode
        # Options may choose tests of one part only.
        code = 0 if code == NO_TESTS and options else code
        codes[f"pytest {' '.join(names)}"] = code
    failed = [name for name, code in codes.items() if code]
    sys.stdout.write(f"owl test: {'FAILED: ' + ', '.join(failed) if failed else 'all is well'}\n")
    return max(codes.values())


def any_tests(folder: Path) -> bool:
    """Whether a folder holds tests (pytest takes an empty one for an error)."""
    return any(folder.rglob("test_*.py"))


def _step(name: str, command: list[str], env: dict[str, str]) -> int:
    began = time.monotonic()
    code = subprocess.run(command, cwd=CHECKOUT, env=env, check=False).returncode
    sys.stdout.write(f"{name}: {time.monotonic() - began:.1f} s\n")
    sys.stdout.flush()
    return code


def _environment(home: Home, binaries: Path) -> dict[str, str]:
    """Return an environment in which tests do not see a running stack."""
    env = environment.outside(home)
    own = {name for name in env if name.startswith("OWL_")}
    for name in own - {"OWL_SHARED_DATA", "OWL_KEEP_STATE"}:
        del env[name]
    scratch = home.root / "test"
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        **env,
        "PATH": os.pathsep.join([str(binaries), env["PATH"]]),
        "OWL_CACHE": str(home.cache),
        "OWL_TEST_STATE": str(scratch / "state"),
        # Airflow makes files in its home as soon as it is imported.
        "AIRFLOW_HOME": str(scratch / "airflow"),
        "RUFF_CACHE_DIR": str(scratch / "ruff"),
        "MYPY_CACHE_DIR": str(scratch / "mypy"),
        "PYTHONUNBUFFERED": "1",
    }
