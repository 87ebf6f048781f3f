"""Whether a workflow's programs exist, asked before anything is submitted.

Without this a missing program is found by DAGMan, one node at a time, after its retries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from htcondor_operator.dagman.model import Dag, Node
from htcondor_operator.vocabulary import ErrorKind, OwlError

_COMMAND = re.compile(r"^\s*(\+?[A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(.*?)\s*$")
_CONTAINER = ("container_image", "docker_image")


def submit_commands(description: str) -> dict[str, str]:
    """Return the commands of a submit description, names in lower case, the last one of a name."""
    joined = re.sub(r"\\\r?\n", " ", description)
    found: dict[str, str] = {}
    for line in joined.splitlines():
        if not line.lstrip().startswith("#") and (match := _COMMAND.match(line)):
            found[match.group(1).lower()] = match.group(2)
    return found


def _description(dag: Dag, node: Node, folder: Path) -> str | None:
    if node.inline is not None:
        return node.inline
    if node.submit is None:
        return None
    if node.submit in dag.descriptions:
        return dag.descriptions[node.submit]
    path = folder / (node.directory or "") / node.submit
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _program(commands: Mapping[str, str], shared: bool) -> str | None:
    """Return the program if it can be checked on this machine."""
    program = commands.get("executable", "").strip('"')
    if not program.startswith("/") or "$" in program:
        return None
    if any(name in commands for name in _CONTAINER):
        return None
    elsewhere = commands.get("transfer_executable", "true").lower() in {"false", "no", "0"}
    return None if elsewhere and not shared else program


def programs(dag: Dag, folder: Path, *, shared: bool) -> Iterable[tuple[str, str]]:
    """Yield (node, absolute path) of every program that must exist on this machine."""
    for node in dag.nodes.values():
        if node.noop or node.done:
            continue
        for script in node.scripts.values():
            if script.executable.startswith("/"):
                yield node.name, script.executable
        description = _description(dag, node, folder)
        if description is not None:
            program = _program(submit_commands(description), shared)
            if program is not None:
                yield node.name, program


def check_executables(dag: Dag, folder: Path, *, shared: bool) -> None:
    """Raise if a node's program does not exist or cannot be executed.

    Parameters
    ----------
    dag
        The workflow.
    folder
        Where the DAG file is: relative submit files are found from there.
    shared
        Whether programs that are not transferred are on a file system that this machine shares.

    Raises
    ------
    OwlError
        With kind ``missing_executable``.
    """
    good: set[str] = set()
    for node, program in programs(dag, folder, shared=shared):
        if program in good:
            continue
        if not Path(program).is_file():
            raise OwlError(
                ErrorKind.MISSING_EXECUTABLE,
                f"Node {node}: executable {program} does not exist. "
                "Install it or correct the template, then clear the launch task.",
            )
        if not os.access(program, os.X_OK):
            raise OwlError(
                ErrorKind.MISSING_EXECUTABLE,
                f"Node {node}: executable {program} cannot be executed by user {os.geteuid()}. "
                "Correct its mode, then clear the launch task.",
            )
        good.add(program)
