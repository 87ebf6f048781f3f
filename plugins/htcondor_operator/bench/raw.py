"""The raw side: the same DAG files, submitted by HTCondor's bindings and by nothing else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htcondor_operator.condor.run_folder import create_run_folder, dag_file_for
from htcondor_operator.condor.submission import quoted
from htcondor_operator.dagman.render import render
from htcondor_operator.dagman.workflows import load_workflow
from htcondor_operator.settings import Settings


@dataclass(frozen=True)
class RawDag:
    """A DAG file that is ready to be submitted."""

    dataset: str
    file: Path


def render_dags(settings: Settings, workflow: str, datasets: list[str]) -> list[RawDag]:
    """Write the DAG files that Airflow's side would run, in a folder of their own."""
    declared = load_workflow(settings.templates / workflow)
    dags = []
    for dataset in datasets:
        folder = raw_folder(settings) / dataset
        context = {
            "dataset": dataset,
            "run": 0,
            "run_dir": folder,
            "work_dir": settings.work,
            "archive_dir": settings.archive,
            "incoming_dir": settings.incoming,
            "references_dir": settings.references,
            "python": settings.python,
        }
        file = dag_file_for(folder, workflow, dataset)
        create_run_folder(file, render(declared, context).text)
        dags.append(RawDag(dataset, file))
    return dags


def raw_folder(settings: Settings) -> Path:
    """Return where the raw side's folders are."""
    return settings.runs / "bench_raw"


def remove_folders(dags: list[RawDag]) -> None:
    """Remove the folders of DAGs that are over."""
    for dag in dags:
        shutil.rmtree(dag.file.parent, ignore_errors=True)


class RawSchedd:
    """The bindings, as a script of the site would use them."""

    def __init__(self) -> None:
        import htcondor2

        self._htcondor: Any = htcondor2
        self._schedd: Any = htcondor2.Schedd()

    def submit(self, dag: RawDag) -> int:
        """Submit one DAG and return the cluster of its DAGMan.

        It names the dataset, which tells it in the event log, but no run: the mirror leaves it.
        """
        options = {"BatchName": dag.dataset, "SuppressNotification": True, "Force": True}
        description = self._htcondor.Submit.from_dag(str(dag.file), options)
        description["initialdir"] = str(dag.file.parent)
        description["My.OwlDataset"] = quoted(dag.dataset)
        return int(self._schedd.submit(description).cluster())

    def in_queue(self) -> int:
        """Return how many DAGMan jobs are in the queue, anybody's."""
        return len(self._schedd.query("JobUniverse == 7", ["ClusterId"]))
