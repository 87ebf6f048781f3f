"""CPU seconds of whole families of processes, from the kernel's own accounts."""

from __future__ import annotations

import os
from collections.abc import Mapping

import psutil

from htcondor_operator.launcher.home import Home
from htcondor_operator.launcher.supervisor import last_words


def cpu_seconds(pid: int) -> float:
    """Return what a process and all its descendants have used, the ended ones included.

    The kernel adds a child's account to its parent's when the parent takes note of its end, so
    the sum over the living counts everybody once.
    """
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0.0
    return sum(map(_own, family))


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def read_cpu(home: Home) -> dict[str, float]:
    """Return the CPU seconds of every living service of a home so far."""
    return {name: cpu_seconds(word.pid) for name, word in last_words(home).items() if word.pid}


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what each service used between two readings."""
    return {name: max(0.0, after[name] - before[name]) for name in before if name in after}


def machine() -> dict[str, object]:
    """Return what the figures depend on: cores, memory and how busy they are."""
    return {
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }
