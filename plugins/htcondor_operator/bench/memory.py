"""``owl bench memory``: the peak memory of the payload's nodes, per detector, and what to ask for.

Runs nodes on simulated exposures as jobs run them, each a process of its own. The peak is that of
the process and all of its children together: HTCondor counts them all.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from htcondor_operator.vocabulary import ErrorKind, OwlError

DETECTORS = ("ACS/HRC", "ACS/WFC", "WFC3/UVIS", "STIS/CCD")
TABLE = Path("_shared", "memory.json")
HEADROOM = 1.25
STEP_MB = 128
"""Slots are cut in such steps (MODIFY_REQUEST_EXPR_REQUESTMEMORY): less gains nothing."""

MINIMUM_MB = 256
"""RF with the CRDS library and real rules takes 95 MB, which simulated exposures do not show."""

_MEMBER = ("2FITS", "RF", "BC", "CA")
#: Of every instrument: CRCOMB and MD have nothing to do, and little need, where they do not apply.
_AFTER = ("CRCOMB", "MD", "AC", "INGEST_SCI", "PVW", "CL")
_EVERY_S = 0.02
_FOLDERS = ("incoming", "work", "archive", "references")

Say = Callable[[str], None]
Peaks = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Plan:
    """What is measured: which detectors, associations of how many members, where."""

    detectors: tuple[str, ...] = DETECTORS
    members: int = 4
    small: bool = False
    scratch: Path | None = None


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """Return the peaks by detector and node, and what follows from them."""
    peaks: Peaks = {}
    for detector in plan.detectors:
        with tempfile.TemporaryDirectory(prefix="owl-memory-", dir=plan.scratch) as folder:
            peaks[detector] = dict(_detector(Path(folder), detector, plan, say))
    return {"members": plan.members, "headroom": HEADROOM, "step_mb": STEP_MB, "peak_mb": peaks}


def request_mb(peak_mb: float) -> int:
    """Return what a job asks for whose peak is `peak_mb`."""
    return max(MINIMUM_MB, math.ceil(peak_mb * HEADROOM / STEP_MB) * STEP_MB)


def requests_of(instrument: str, peaks: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return the requests (MB) of an instrument's nodes: a template does not know the detector."""
    out: dict[str, int] = {}
    for detector, nodes in peaks.items():
        if detector.partition("/")[0] == instrument:
            for node, peak in nodes.items():
                out[node] = max(out.get(node, 0), request_mb(peak))
    if "REUSE" in out:  # it calibrates in the same job when the archive's product is out of date
        out["REUSE"] = max(out["REUSE"], out["CA"])
    return out


def _detector(root: Path, detector: str, plan: Plan, say: Say) -> Iterator[tuple[str, int]]:
    for name in _FOLDERS:
        (root / name).mkdir()
    words = ["--detector", detector, "--members", str(plan.members), "--telemetry"]
    words += ["--small"] if plan.small else []
    text, _ = _run(root, "simulate", "--incoming", "incoming", "--references", "references", *words)
    association, *members = json.loads(text)["datasets"]
    peaks: dict[str, int] = {}
    named = ["--members", ",".join(members)]
    steps: list[tuple[str, str, list[str]]] = [
        (node, member, []) for member in members for node in _MEMBER
    ]
    steps += [(node, association, named) for node in _AFTER]
    steps += [(node, members[0], ["--association", association]) for node in ("FETCH", "REUSE")]
    if detector == "ACS/WFC":  # with CTE correction CA makes a second branch
        more = ["simulate", "--incoming", "incoming", "--references", "references"]
        text, _ = _run(root, *more, "--detector", detector, *words[5:], "--cte",
                       "--dataset", "jsimw9c1q")  # fmt: skip
        steps += [(node, json.loads(text)["datasets"][0], []) for node in _MEMBER]
    for node, dataset, options in steps:
        _, peak = _run(root, node, "--dataset", dataset, *_folders(), *options)
        peaks[node] = max(peaks.get(node, 0), peak)
    for node, peak in peaks.items():
        say(f"{detector} {node}: {peak} MB")
        yield node, peak


def _folders() -> list[str]:
    return [f"--{name}={name}" for name in _FOLDERS]


def _run(root: Path, *words: str) -> tuple[str, int]:
    """Run a command of the payload; return its output and its peak in MB."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    checkout = str(Path(__file__).resolve().parents[3])
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (checkout, environment.get("PYTHONPATH")))
    )
    with (root / "out").open("w+") as out, (root / "err").open("w+") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "calibration", *words],
            cwd=root, env=environment, stdout=out, stderr=err,
        )  # fmt: skip
        peak = 0
        family = psutil.Process(process.pid)
        while True:
            peak = max(peak, _resident(family), _high_water(process.pid))
            if process.poll() is not None:
                break
            time.sleep(_EVERY_S)
        if process.returncode:
            raise OwlError(
                ErrorKind.INTERNAL,
                f"calibration {words[0]} ended with code {process.returncode}: "
                f"{(root / 'err').read_text().strip()}",
            )
    return (root / "out").read_text(), math.ceil(peak / 2**20)


def _high_water(pid: int) -> int:
    """Return the kernel's own mark, which sees what lies between two samples, of one process.

    Not ``ru_maxrss``: a child begins with its parent's.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _resident(process: psutil.Process) -> int:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for one in family:
        try:
            total += int(one.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return total


_SIZE = re.compile(r"memory: [^,}]+")


def rewritten(text: str, wanted: Mapping[str, int]) -> str:
    """Return a workflow.yaml whose ``resources`` ask for what follows from the peaks.

    Nodes that need no more than the smallest request stay with ``default``.
    """
    head, mark, rest = text.partition("\nresources:\n")
    body, end, sample = rest.partition("\nsample:")
    lines = body.split("\n")
    sizes = {"default": MINIMUM_MB, **wanted}
    for number, line in enumerate(lines):
        node = line.strip().partition(":")[0]
        size = sizes.pop(node, None)
        if size is not None:
            lines[number] = _SIZE.sub(f"memory: {size}MB", line)
    lines += [f"  {node}: {{memory: {mb}MB}}" for node, mb in sizes.items() if mb > MINIMUM_MB]
    return head + mark + "\n".join(lines) + end + sample


def nodes_of(template: str) -> set[str]:
    """Return the payload's nodes that a template names (an association also reuses members)."""
    found = set(re.findall(r'"(\w+)"', template))
    return found | {"REUSE"} if "association(" in template else found


def apply(figures: Mapping[str, Any], templates: Path) -> list[str]:
    """Write the table and the requests of all workflows; return those that changed."""
    from htcondor_operator.dagman.workflows import DECLARATION, load_workflows

    table = templates / TABLE
    table.write_text(json.dumps(figures, indent=1) + "\n")
    changed = []
    for name, workflow in load_workflows(templates).items():
        used = nodes_of(workflow.template.read_text())
        wanted = {
            node: mb
            for node, mb in requests_of(workflow.instrument or "", figures["peak_mb"]).items()
            if node in used
        }
        path = templates / name / DECLARATION
        before = path.read_text()
        after = rewritten(before, wanted) if wanted else before
        if after != before:
            path.write_text(after)
            changed.append(name)
    return changed
