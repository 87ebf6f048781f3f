"""What OWL runs, in which order, and how each service is asked about its health."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from htcondor_operator.condor.pool import stop_master
from htcondor_operator.launcher import probes
from htcondor_operator.launcher.environment import Stack
from htcondor_operator.launcher.postgres import stop_server

Probe = Callable[[float], str]
"""Gets the service's start time; returns "" when it is healthy, else what is wrong."""


@dataclass(frozen=True)
class Service:
    """One supervised process.

    Parameters
    ----------
    name
        What operators call it.
    command
        Program and arguments.
    after
        Services that must be healthy (or, for a single step, done) before this one starts.
    probe
        How to ask about its health.
    once
        A step that ends by itself.
    modules
        Python modules without which there is nothing to start.
    address
        Where it can be reached, for people.
    stop
        A way to stop it that is not SIGTERM: gets the pid and the time limit.
    patience
        Seconds that it gets to stop.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    probe: Probe = probes.nothing
    once: bool = False
    modules: tuple[str, ...] = ()
    address: str = ""
    stop: Callable[[int, float], None] | None = None
    patience: float = 15.0


def services(stack: Stack) -> tuple[Service, ...]:
    """Return the services of a stack in the order in which they start."""
    python = sys.executable
    airflow = (str(Path(python).parent / "airflow"),)
    url = stack.environment["OWL_DATABASE_URL"]
    found: list[Service] = []
    base: tuple[str, ...] = ()
    if stack.postgres:
        found.append(
            Service(
                "postgres",
                tuple(stack.postgres.command()),
                probe=probes.database(stack.postgres.url()),
                stop=stop_server,
                address=str(stack.postgres.socket_dir),
            )
        )
        base = ("postgres",)
    found.append(
        Service(
            "schema", (python, "-m", "htcondor_operator.launcher.schema"), after=base, once=True
        )
    )
    if stack.pool:
        found.append(
            Service(
                "condor",
                tuple(stack.pool.command()),
                probe=probes.pool(stack.pool),
                stop=stop_master,
                address=str(stack.pool.config),
                patience=25.0,
            )
        )
    ready = ("schema", "condor") if stack.pool else ("schema",)
    found += [_daemon("gateway", "htcondor_operator.condor.gateway", url, ready)]
    found += [_daemon("mirror", "htcondor_operator.mirror", url, ready)]
    found += [
        Service(
            "api-server",
            (*airflow, "api-server"),
            after=("schema",),
            # The workers' part of the server (3.3.2) is made when it is first asked, for seconds in
            # which nobody gets an answer: better before anybody is there.
            probe=probes.http(
                f"{stack.address}/api/v2/monitor/health", f"{stack.address}/execution/health"
            ),
            address=stack.address,
        )
    ]
    executor = ("htcondor_operator.executors.htcondor",)
    # A triggerer takes 10 s to end (3.3.2) and has nothing to lose: its triggers are rows.
    parser = probes.airflow_job(url, "DagProcessorJob")
    trigger = probes.airflow_job(url, "TriggererJob")
    for name, probe, options, needs, patience in (
        ("scheduler", probes.scheduler(url), ("--skip-serve-logs",), executor, 15.0),
        ("dag-processor", parser, (), (), 5.0),
        ("triggerer", trigger, ("--skip-serve-logs",), (), 2.0),
    ):
        found.append(
            Service(
                name,
                (*airflow, name, *options),
                after=("schema",),
                probe=probe,
                modules=needs,
                patience=patience,
            )
        )
    return tuple(found)


def _daemon(name: str, module: str, url: str, after: tuple[str, ...]) -> Service:
    return Service(
        name,
        (sys.executable, "-m", module),
        after=after,
        probe=probes.heartbeat(url, name),
        modules=(module,),
    )
