"""The run's folder: made at once or not at all, and errors of the disk in words.

The folder appears by one rename. After a crash it is either there with the right file in it, or
not there: both are continued without a question.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from htcondor_operator.vocabulary import ErrorKind, OwlError

LOGS = "logs"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def run_dir_for(runs: Path, workflow: str, dataset: str, run_key: int) -> Path:
    """Return where a run's folder is."""
    return runs / workflow / dataset / f"r{run_key}"


def dag_file_for(run_dir: Path, workflow: str, dataset: str) -> Path:
    """Return the run's DAG file, which is named for the people who look into the folder."""
    return run_dir / f"{workflow}_{dataset}.dag"


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors about `path` into errors that an operator can act on."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _FULL:
            raise OwlError(
                ErrorKind.DISK_FULL,
                f"No room to write {where} ({error.strerror}). "
                f"Make room on the file system of {path}, then clear the launch task.",
            ) from error
        raise OwlError(
            ErrorKind.NOT_WRITABLE,
            f"Cannot write {where} ({error.strerror}). "
            f"Make {path} writable for user {os.geteuid()}, then clear the launch task.",
        ) from error


def write_durably(path: Path, text: str) -> None:
    """Write `path` so that it is whole or absent, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def create_run_folder(dag_file: Path, text: str) -> None:
    """Make the folder of `dag_file` with the file and ``logs/`` in it.

    A folder that is there already (the gateway died after it made it) is kept; its DAG file is
    replaced when the template has changed since.

    Raises
    ------
    OwlError
        With kind ``disk_full`` or ``not_writable``; nothing is left behind.
    """
    folder = dag_file.parent
    with disk_errors(folder):
        if folder.is_dir():
            (folder / LOGS).mkdir(exist_ok=True)
            if not dag_file.exists() or dag_file.read_text(encoding="utf-8") != text:
                write_durably(dag_file, text)
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            (temporary / LOGS).mkdir(parents=True)
            write_durably(temporary / dag_file.name, text)
            temporary.rename(folder)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
