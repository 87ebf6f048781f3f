"""axe-core in a page of the console: the rules of WCAG 2.1, levels A and AA."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.conftest import _cache
from tests.e2e.live_stack import ROOT

BUILD = ROOT / "plugins" / "htcondor_operator" / "console" / "ui" / "build.sh"
OURS = (
    ".owl-console",
    *(f"[data-scope={kind}][data-part=content]" for kind in ("dialog", "menu", "popover")),
)
"""What is ours of a page; Airflow's own faults are Airflow's to mend."""

_RUN = """async ([ours, only]) => {
  const shown = ours.flatMap((one) => [...document.querySelectorAll(one)])
    .filter((one) => one.offsetParent !== null || getComputedStyle(one).position === "fixed");
  const options = only.length
    ? { runOnly: { type: "rule", values: only } }
    : { runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] } };
  options.resultTypes = ["violations"];
  const { violations, passes } = await axe.run({ include: shown }, options);
  return [passes.length, violations.map((rule) => [rule.id, rule.nodes.map((node) =>
    `${node.target.join(" ")}: ${(node.any.concat(node.all, node.none)[0] || {}).message}`)])];
}"""


@cache
def source() -> str:
    """Return axe-core, a development package of the console's sources."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are missing: axe-core cannot be installed")
    done = subprocess.run(
        [str(BUILD), "--packages"],
        env={**os.environ, "OWL_CACHE": str(_cache())},
        capture_output=True,
        text=True,
        check=True,
    )
    return (Path(done.stdout.split()[-1]) / "axe-core" / "axe.min.js").read_text()


def violations(page: Page, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what breaks a rule in our part of a page, by rule; `only` names some rules."""
    if not page.evaluate("() => typeof axe !== 'undefined'"):
        page.evaluate(source())
    passed, broken = page.evaluate(_RUN, [list(OURS), list(only)])
    assert passed, "axe has looked at nothing"
    return dict(broken)
