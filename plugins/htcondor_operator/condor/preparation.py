"""From a request to a DAG file on disk: everything that is checked before HTCondor is asked."""

from __future__ import annotations

import os
from pathlib import Path

from htcondor_operator.blackboard.attempts import OpenAttempt, Prepared
from htcondor_operator.condor.executables import check_executables
from htcondor_operator.condor.run_folder import create_run_folder, dag_file_for, run_dir_for
from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.model import Dag
from htcondor_operator.dagman.parser import read_dag
from htcondor_operator.dagman.render import render
from htcondor_operator.dagman.workflows import Workflow, load_workflow, workflow_folders
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import (
    ErrorKind,
    OwlError,
    dataset_name,
    node_name,
    priority,
    workflow_name,
)

DAG_FILE = "dag_file"
"""The parameter that names a DAG file which is used as it is."""


def prepare(attempt: OpenAttempt, settings: Settings) -> Prepared:
    """Make the run's folder and return what the blackboard has to know of it.

    Raises
    ------
    OwlError
        With what is wrong and how to mend it; then nothing was written.
    """
    dataset_name(attempt.dataset)
    priority(attempt.priority)
    if DAG_FILE in attempt.params:
        return _given(attempt)
    return _rendered(attempt, settings)


def check_again(attempt: OpenAttempt, dag_file: Path) -> None:
    """Check the programs of a DAG that ran before: they may be gone since."""
    dag = read_dag(dag_file)
    check_executables(dag, dag_file.parent, shared=DAG_FILE not in attempt.params)


def _given(attempt: OpenAttempt) -> Prepared:
    path = Path(str(attempt.params[DAG_FILE]))
    if not path.is_absolute():
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"params.{DAG_FILE} {str(path)!r} is not an absolute path. Give the whole path.",
        )
    if not path.is_file():
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"params.{DAG_FILE} {str(path)!r} does not exist. Correct the path.",
        )
    if not os.access(path.parent, os.W_OK):
        raise OwlError(
            ErrorKind.NOT_WRITABLE,
            f"Cannot write beside {path}, where DAGMan keeps its files. "
            f"Make {path.parent} writable for user {os.geteuid()}.",
        )
    dag = read_dag(path)
    for name in dag.nodes:
        node_name(name)
    check_executables(dag, path.parent, shared=False)
    return Prepared(
        attempt.key, str(path.parent), str(path), workflow_graph(dag), None, _retries(dag)
    )


def _rendered(attempt: OpenAttempt, settings: Settings) -> Prepared:
    workflow = _workflow(attempt.workflow, settings.templates)
    run_dir = run_dir_for(settings.runs, workflow.name, attempt.dataset, attempt.run_key)
    rendered = render(workflow, _context(attempt, settings, run_dir))
    check_executables(rendered.dag, run_dir, shared=True)
    dag_file = dag_file_for(run_dir, workflow.name, attempt.dataset)
    create_run_folder(dag_file, rendered.text)
    return Prepared(
        attempt.key,
        str(run_dir),
        str(dag_file),
        rendered.graph,
        rendered.template_hash,
        _retries(rendered.dag),
    )


def _retries(dag: Dag) -> dict[str, int]:
    return {name: node.retries for name, node in dag.nodes.items()}


def _workflow(name: str, templates: Path) -> Workflow:
    """Load one workflow: what is wrong with another one is no reason to refuse this run."""
    known = {folder.name: folder for folder in workflow_folders(templates)}
    if workflow_name(name) not in known:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"There is no workflow {name!r} in {templates}; "
            f"known: {', '.join(sorted(known)) or 'none'}.",
        )
    return load_workflow(known[name])


def _context(attempt: OpenAttempt, settings: Settings, run_dir: Path) -> dict[str, object]:
    return {
        "dataset": attempt.dataset,
        "run": attempt.run_key,
        "run_dir": run_dir,
        # Two runs of one dataset must not write into the same folder.
        "work_dir": settings.work / f"r{attempt.run_key}",
        "archive_dir": settings.archive,
        "incoming_dir": settings.incoming,
        "references_dir": settings.references,
        "python": settings.python,
        # Jobs find the payload where the gateway does, wherever they run on the same file system.
        "pythonpath": _absolute_path_list(os.environ.get("PYTHONPATH", "")),
        "priority": attempt.priority,
        "params": attempt.params,
    }


def _absolute_path_list(value: str) -> str:
    return os.pathsep.join(str(Path(part).absolute()) for part in value.split(os.pathsep) if part)
