"""The folders and commands of the payload's tests: every node is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.exit_codes import TABLE, ExitCode

ROOT = Path(__file__).resolve().parents[2]
MEMBER_NODES = ("2FITS", "RF", "BC", "CA")


@dataclass
class Site:
    """The folders of one test."""

    root: Path

    def run(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "calibration", *arguments], input=given,
            env=environment, cwd=self.root, capture_output=True,
            text=True, check=False, timeout=120,
        )  # fmt: skip

    def node(self, name: str, dataset: str, *options: str) -> subprocess.CompletedProcess[str]:
        names = ("incoming", "work", "archive", "references")
        folders = [f"--{n}={self.root / n}" for n in names]
        return self.run(name, "--dataset", dataset, *folders, *options)

    def must(self, name: str, dataset: str, *options: str) -> str:
        done = self.node(name, dataset, *options)
        assert done.returncode == 0, done.stderr
        assert done.stdout
        return done.stdout

    def fails(
        self, name: str, dataset: str, code: ExitCode, *words: str, options: tuple[str, ...] = ()
    ) -> None:
        """The node ends with this code and one line that has these words."""
        done = self.node(name, dataset, *options)
        assert done.returncode == code, (done.returncode, done.stderr)
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"calibration: {name}: {TABLE[code][0]}: ")
        for word in words:
            assert word in done.stderr

    def simulate(self, *arguments: str) -> list[str]:
        done = self.run(
            "simulate", "--incoming", "incoming", "--references", "references", *arguments
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout)["datasets"])

    def manifest(self, dataset: str) -> dict[str, Any]:
        path = self.root / "archive" / dataset / "manifest.json"
        return dict(json.loads(path.read_text()))

    def archived(self, dataset: str, name: str) -> Path:
        return self.root / "archive" / dataset / name


def make_site(folder: Path) -> Site:
    """Return a site with empty folders."""
    for name in ("incoming", "work", "archive", "references"):
        (folder / name).mkdir()
    return Site(folder)
