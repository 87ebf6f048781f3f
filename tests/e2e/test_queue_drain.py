"""Five hundred entries drain while what drains them is killed: none lost, none twice.

``OWL_DRAIN_SEEDS`` names further seeds (comma-separated) for the moments of the kills.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.e2e.live_stack import Stack, until

ENTRIES = 500
SEEDS = tuple(os.environ.get("OWL_DRAIN_SEEDS", "1").split(","))
VICTIMS = ("triggerer", "scheduler", "postgres")
RUNS_OF = (
    "SELECT count(*) AS n FROM dag_run WHERE dag_id = 'e2e_one' AND conf->>'dataset' LIKE %(p)s"
)


def number_of_runs(stack: Stack, prefix: str) -> int:
    return int(stack.sql(RUNS_OF, p=f"{prefix}%")[0]["n"])


def struck(stack: Stack, name: str) -> int | None:
    """Kill -9 a service; return its pid.

    None: it was not there. What has lost its database to the kill before may just be ending, or
    about to start again.
    """
    pid: int | None = stack.services()[name]["pid"]
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return pid
    return None


def kill(stack: Stack, name: str) -> None:
    """Kill -9 a service, and see the supervisor bring it back."""
    pid = until(f"{name} is struck", lambda: struck(stack, name))
    until(
        f"{name} is back",
        lambda: (word := stack.services()[name])["healthy"] and word["pid"] != pid,
        every=1,
    )


@pytest.mark.e2e
@pytest.mark.parametrize("seed", SEEDS)
def test_every_entry_becomes_one_run_whatever_dies(alone: Stack, seed: str) -> None:
    stack, dice = alone, random.Random(seed)
    prefix = f"drain{seed}x{dice.randrange(10**6)}"
    names = [f"{prefix}-{number:03d}" for number in range(ENTRIES)]
    payload = json.dumps({"control": str(stack.control)})
    file = stack.control / f"{prefix}.csv"
    quoted = payload.replace('"', '""')
    lines = [f'{name},{dice.randrange(5)},"{quoted}"' for name in names]
    file.write_text("\n".join(["fileset,priority,payload", *lines]) + "\n")
    # Slowly enough that every kill finds the queue half full.
    settings = ("batch=10", "starts_per_minute=1200")
    done = stack.owl("shoveler", "set", *settings, "--reason", "drain test")
    assert done.returncode == 0, done.stderr
    added = stack.owl("queue", "add", "--type", "e2e_one", "--csv", str(file))
    assert added.returncode == 0, added.stdout + added.stderr
    for victim in dice.sample(VICTIMS, len(VICTIMS)):
        time.sleep(dice.uniform(1, 4))
        kill(stack, victim)
    until(
        "all are shoveled",
        lambda: number_of_runs(stack, prefix) >= ENTRIES,
        timeout=300,
        every=1,
    )
    until(
        "all are done",
        lambda: (
            not stack.sql(
                """SELECT 1 FROM owl_queue_history WHERE fileset LIKE %(p)s AND outcome <> 'done'
               UNION ALL SELECT 1 FROM owl_queue WHERE fileset LIKE %(p)s LIMIT 1""",
                p=f"{prefix}%",
            )
        ),
        timeout=400,
        every=2,
    )
    ordinary = ("batch=100", "starts_per_minute=none")
    assert stack.owl("shoveler", "set", *ordinary, "--reason", "drained").returncode == 0
    runs = stack.sql(
        "SELECT conf->>'dataset' AS dataset, state FROM dag_run WHERE conf->>'dataset' LIKE %(p)s",
        p=f"{prefix}%",
    )
    assert Counter(row["dataset"] for row in runs) == Counter(names)
    assert {row["state"] for row in runs} == {"success"}
    history = stack.sql(
        "SELECT fileset FROM owl_queue_history WHERE fileset LIKE %(p)s", p=f"{prefix}%"
    )
    assert Counter(row["fileset"] for row in history) == Counter(names)
    # The jobs' own word: each ran once.
    for name in names:
        assert (stack.control / f"{name}.ran").read_text() == "ONE start\nONE done\n", name
