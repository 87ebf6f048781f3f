"""Whether what goes into the queue fits the workflow that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from htcondor_operator.dagman.workflows import (
    Workflow,
    check_params,
    load_workflow,
    workflow_folders,
)
from htcondor_operator.vocabulary import ErrorKind, OwlError, workflow_name


def the_workflow(templates: Path, name: str) -> Workflow:
    """Return a workflow that must be there.

    Raises
    ------
    OwlError
        With the workflows that there are.
    """
    folders = {folder.name: folder for folder in workflow_folders(templates)}
    if workflow_name(name, "type") not in folders:
        raise OwlError(
            ErrorKind.BAD_NAME,
            f"type {name!r} is not a workflow; there are {', '.join(sorted(folders))}.",
        )
    return load_workflow(folders[name])


def payload_fault(templates: Path, type_: str, payload: Mapping[str, Any]) -> str | None:
    """Return why a payload does not fit its workflow; None when it does.

    None also when the workflow cannot be read: then its DAG says so, and nothing is shoveled.
    """
    try:
        workflow = the_workflow(templates, type_)
    except OwlError:
        return None
    try:
        check_params(workflow, payload)
    except OwlError as error:
        return error.message.removesuffix(" Correct it in the run's conf.")
    return None
