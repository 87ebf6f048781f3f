"""Names of the nodes that workflows can have, for people who choose among them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from htcondor_operator.dagman.render import sample_graph
from htcondor_operator.dagman.workflows import load_workflow, workflow_folders
from htcondor_operator.vocabulary import OwlError


def node_names(templates: Path, workflows: Collection[str]) -> list[str]:
    """Return the names of all nodes of some workflows, sorted.

    A template that cannot be used has none: what is wrong with it is told elsewhere.

    Parameters
    ----------
    templates
        The folder of the workflows.
    workflows
        Names; those without a template are left out.
    """
    if not templates.is_dir():
        return []
    wanted = set(workflows)
    version = _version(templates)
    folders = [folder for folder in workflow_folders(templates) if folder.name in wanted]
    return sorted({node for folder in folders for node in _nodes(folder, version)})


def _version(templates: Path) -> int:
    """Return a number that another version of the templates does not have."""
    found = []
    for path in sorted(templates.rglob("*")):
        # An editor's file may be gone again.
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return hash(tuple(found))


@lru_cache(maxsize=256)
def _nodes(folder: Path, _version: int) -> tuple[str, ...]:
    # The version is for the cache only: a template may use parts of other folders.
    try:
        return sample_graph(load_workflow(folder)).nodes
    except OwlError:
        return ()
