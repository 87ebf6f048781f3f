"""``owl bench campaign``: the same chains of ``/bin/true`` raw and through Airflow, in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection as Connection

from htcondor_operator.bench import processes, raw, through_airflow
from htcondor_operator.bench.figures import Half, NodeKey, Pair, summary
from htcondor_operator.bench.watch import Say, Watch
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.dagman.render import sample_graph
from htcondor_operator.dagman.workflows import load_workflow
from htcondor_operator.launcher import environment
from htcondor_operator.launcher.api import Api
from htcondor_operator.launcher.home import Home, load_secrets
from htcondor_operator.launcher.supervisor import supervisor_pid
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

WORKFLOW = "bench_true"
PAUSE_SECONDS = 5.0
"""Between halves: claims of slots and the scheduler's last rounds shall not count for the next."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    datasets: int
    pairs: int
    timeout: float
    sides: tuple[str, ...] = ("raw", "airflow")


@dataclass
class Campaign:
    """One running stack and what is measured on it."""

    plan: Plan
    home: Home
    settings: Settings
    api: Api
    connection: Connection
    event_log: Path
    say: Say

    def __post_init__(self) -> None:
        workflow = load_workflow(self.settings.templates / WORKFLOW)
        self.nodes = sample_graph(workflow).nodes
        # Names that no earlier campaign had, so that nothing is attached to or found done.
        self._name = f"b{int(time.time()):x}"

    def run(self) -> dict[str, object]:
        """Measure all pairs and return the figures."""
        self.api.wait_for_dag(WORKFLOW)
        before = processes.machine()
        pairs = []
        for number in range(self.plan.pairs):
            sides = self.plan.sides if number % 2 == 0 else self.plan.sides[::-1]
            halves = [self._half(side, number) for side in sides]
            pairs.append(Pair(*halves))
            self.say(f"pair {number + 1}: ratio {pairs[-1].wall_ratio:.3f}")
        with self.connection, self.connection.cursor() as cur:
            exact = through_airflow.has_commit_times(cur)
        return {
            "datasets": self.plan.datasets,
            "nodes_per_dataset": len(self.nodes),
            "pairs": self.plan.pairs,
            **summary(pairs),
            "lag_until": "commit" if exact else "begin of the transaction",
            "machine": {**before, "load_average_after": list(os.getloadavg())},
        }

    def _half(self, side: str, number: int) -> Half:
        time.sleep(PAUSE_SECONDS)
        datasets = [
            f"{self._name}{side[0]}{number}n{k:04d}" for k in range(1, self.plan.datasets + 1)
        ]
        label = f"{side} {number + 1}/{self.plan.pairs}"
        measure = self._raw if side == "raw" else self._airflow
        half = measure(datasets, label)
        self.say(
            f"{label}: {half.wall_s:.1f} s, launches {half.launches_s:.1f} s, "
            f"lost {half.lost}, duplicated {half.duplicated}"
        )
        return half

    def _raw(self, datasets: list[str], label: str) -> Half:
        schedd = raw.RawSchedd()
        dags = raw.render_dags(self.settings, WORKFLOW, datasets)

        def launch() -> None:
            for dag in dags:
                schedd.submit(dag)

        def over(watch: Watch) -> bool:
            return len(watch.tally.ended) == len(datasets)

        half = self._measure("raw", datasets, label, launch, over)
        raw.remove_folders(dags)
        return half

    def _airflow(self, datasets: list[str], label: str) -> Half:
        def launch() -> None:
            through_airflow.trigger(self.api, WORKFLOW, datasets)

        def over(watch: Watch) -> bool:
            # As on the raw side DAGMan must be gone, and Airflow must know that all is over.
            if len(watch.tally.ended) < len(datasets):
                return False
            with self.connection, self.connection.cursor() as cur:
                return not through_airflow.unfinished(cur, WORKFLOW, datasets)

        return self._measure("airflow", datasets, label, launch, over)

    def _measure(
        self,
        side: str,
        datasets: list[str],
        label: str,
        launch: Callable[[], None],
        over: Callable[[Watch], bool],
    ) -> Half:
        watch = Watch(self.event_log, datasets)
        load = os.getloadavg()[0]
        cpu = processes.read_cpu(self.home)
        busy = processes.busy_seconds()
        began = time.time()
        launch()
        ended = watch.wait(lambda: over(watch), label, self.plan.timeout, self.say)
        busy = processes.busy_seconds() - busy
        cpu = processes.used(cpu, processes.read_cpu(self.home))
        watch.close()
        wanted = {NodeKey(dataset, node) for dataset in datasets for node in self.nodes}
        missing = watch.tally.missing(wanted)
        lags: tuple[list[float], list[float]] = ([], [])
        if side == "airflow":
            with self.connection, self.connection.cursor() as cur:
                missing |= wanted - through_airflow.good_nodes(cur, WORKFLOW, datasets)
                exact = through_airflow.has_commit_times(cur)
                lags = (
                    through_airflow.mirror_lags(cur, WORKFLOW, datasets, exact=exact),
                    through_airflow.task_instance_lags(cur, WORKFLOW, datasets, exact=exact),
                )
        return Half(
            side=side,
            wall_s=ended - began,
            launches_s=watch.tally.last_launch - began,
            nodes=len(wanted),
            lost=len(missing),
            duplicated=watch.tally.duplicated(),
            cpu_s=cpu,
            load=(load, os.getloadavg()[0]),
            other_cores=max(0.0, busy - sum(cpu.values())) / (ended - began),
            mirror_lags=lags[0],
            task_instance_lags=lags[1],
        )


def campaign(plan: Plan, say: Say) -> dict[str, object]:
    """Run a campaign on the stack of ``OWL_HOME``.

    Raises
    ------
    OwlError
        The stack is not up, or a half does not end in time.
    """
    home = Home.current()
    if not supervisor_pid(home):
        raise OwlError(ErrorKind.INTERNAL, f"nothing runs in {home.root}: owl up, then again.")
    stack = environment.describe(home, keep_ports=True)
    settings = Settings.from_environment()
    api = Api(stack.address, "admin", load_secrets(home).passwords["admin"], timeout=90)
    with closing(connect(settings, application="owl bench")) as connection:
        return Campaign(plan, home, settings, api, connection, _event_log(), say).run()


def _event_log() -> Path:
    import htcondor2

    named = htcondor2.param.get("EVENT_LOG")
    if not named:
        raise OwlError(ErrorKind.BAD_CONF, "EVENT_LOG is not set in HTCondor's configuration.")
    return Path(str(named))
