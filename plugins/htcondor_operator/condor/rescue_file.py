"""The rescue file of a DAG: which number comes next, and how it is written.

DAGMan takes the file with the highest number. The files of earlier attempts are kept: they are
the run's history.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from htcondor_operator.condor.run_folder import disk_errors, write_durably
from htcondor_operator.vocabulary import ErrorKind, OwlError

_NUMBER = re.compile(r"\.rescue(\d{3,})")


def next_rescue_number(dag_name: str, names: Iterable[str], limit: int) -> int:
    """Return the number after the highest one among `names`, the files beside the DAG file.

    Raises
    ------
    OwlError
        When DAGMan would not read that number (``DAGMAN_MAX_RESCUE_NUM``).
    """
    found = [
        int(match.group(1))
        for name in names
        if name.startswith(dag_name) and (match := _NUMBER.fullmatch(name[len(dag_name) :]))
    ]
    number = max(found, default=0) + 1
    if number > limit:
        raise OwlError(
            ErrorKind.SUBMIT_REFUSED,
            f"Rescue number {number} of {dag_name} is above DAGMAN_MAX_RESCUE_NUM = {limit}. "
            "Raise that setting, or clear the whole run for a fresh attempt.",
        )
    return number


def rescue_text(done: Collection[str], note: str) -> str:
    """Return a rescue file that says only which nodes are done."""
    return "\n".join([f"# {note}", *(f"DONE {node}" for node in sorted(done)), ""])


def write_rescue(dag_file: Path, done: Collection[str], note: str, limit: int) -> Path:
    """Write the next rescue file of `dag_file` and return its path."""
    with disk_errors(dag_file.parent):
        names = [entry.name for entry in dag_file.parent.iterdir()]
        number = next_rescue_number(dag_file.name, names, limit)
        path = dag_file.with_name(f"{dag_file.name}.rescue{number:03d}")
        write_durably(path, rescue_text(done, note))
    return path
