"""The console's bundle is what its sources make, small enough, and names the apps as the plugin.

Where node and npm are missing, only what needs no building is checked.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CONSOLE = Path(__file__).resolve().parents[2] / "plugins" / "htcondor_operator" / "console"
SOURCES = CONSOLE / "ui"
BUNDLE = CONSOLE / "static" / "main.js"

MOST_BYTES = 400_000
"""Gzipped: what the first page may cost on a slow line."""


def test_the_bundle_is_small() -> None:
    assert len(gzip.compress(BUNDLE.read_bytes(), 9)) <= MOST_BYTES


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert name == "" or "integrity" in package, name
    assert "registry" not in (SOURCES / "package-lock.json").read_text()
    assert "omit-lockfile-registry-resolved=true" in (SOURCES / ".npmrc").read_text().split()


def test_airflow_finds_nothing_to_run_in_the_sources() -> None:
    assert not list(SOURCES.rglob("*.py"))
    assert not (SOURCES / "node_modules").exists()


def test_the_host_shares_what_is_not_in_the_bundle() -> None:
    head = BUNDLE.read_text()[:1_000]
    for name in ("React", "ReactJSXRuntime", "ReactRouterDOM", "ChakraUI"):
        assert re.search(rf"\b{name}\b", head), name
    # React defines this name; a second React beside the host's would break every hook.
    assert "__CLIENT_INTERNALS_DO_NOT_USE_OR_WARN_USERS" not in BUNDLE.read_text()


def test_the_plugin_registers_the_names_that_the_bundle_sets() -> None:
    plugin = (CONSOLE.parent / "plugin.py").read_text()
    places = re.search(r"_PLACES = \((.*?)\n\)", plugin, re.DOTALL)
    if places is None:
        pytest.skip("the plugin registers no pages yet")
    registered = re.findall(r'\("([^"]+)",', places.group(1))
    routes = re.findall(r'"(owl[^"]*)"', places.group(1))
    assert len(routes) == len(set(routes)), "Airflow drops the second app of a route"
    apps = (SOURCES / "src" / "shell" / "apps.tsx").read_text()
    assert sorted(re.findall(r'^  "(OWL[^"]*)":', apps, re.MULTILINE)) == sorted(registered)


@pytest.mark.timeout(900)  # all tests of the console run, and its packages are installed
@pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="node and npm are missing"
)
def test_the_committed_bundle_is_what_the_sources_make(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SOURCES / "build.sh"), "--out", str(tmp_path)],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    assert (tmp_path / "main.js").read_bytes() == BUNDLE.read_bytes(), (
        "static/main.js is not what the sources make: run plugins/htcondor_operator/console/ui/"
        "build.sh and commit its output."
    )
