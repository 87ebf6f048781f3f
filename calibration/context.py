"""What every node is given: the dataset, the folders, and how to say what it is doing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from calibration.algorithm import Algorithm
from calibration.exit_codes import CalibrationError, ExitCode
from calibration.suffixes import RAW


def step(text: str) -> None:
    """Say what is being done: one short line on standard output."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Context:
    """One node's call.

    Parameters
    ----------
    node
        Name of the node, for messages.
    dataset
        Checked name, lower case.
    incoming, work, archive, references
        The folders; each dataset has its own below `work` and `archive`.
    members
        Members of an association when they were named on the command line.
    association
        The association for which a member is worked on: its shelf holds members, too.
    replace
        Whether products that are current are to be made again.
    options
        The node's own parameters, by name; each node documents and checks its own.
    algorithm
        Whether STScI's slips are reproduced or corrected.
    """

    node: str
    dataset: str
    incoming: Path
    work: Path
    archive: Path
    references: Path
    members: tuple[str, ...] = ()
    association: str | None = None
    replace: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    algorithm: Algorithm = Algorithm.CALACS

    @property
    def folder(self) -> Path:
        """The dataset's work folder."""
        return self.work / self.dataset

    @property
    def shelf(self) -> Path:
        """The dataset's folder in the archive."""
        return self.archive / self.dataset

    def product(self, suffix: str, dataset: str | None = None) -> Path:
        """Path of ``<dataset>_<suffix>.fits`` in the work folder (of another dataset if named)."""
        name = dataset or self.dataset
        return self.work / name / f"{name}_{suffix}.fits"

    def needs(self, suffix: str, made_by: str, dataset: str | None = None) -> Path:
        """Return the path of an earlier node's file; raise STEP_MISSING when it is not there."""
        path = self.product(suffix, dataset)
        if path.is_file():
            return path
        raise CalibrationError(
            ExitCode.STEP_MISSING,
            f"{path.name} is not in {path.parent}; run {made_by} first",
        )

    def first_of(self, suffixes: tuple[str, ...]) -> Path | None:
        """Return the first of the dataset's files with one of these suffixes."""
        for suffix in suffixes:
            path = self.product(suffix)
            if path.is_file():
                return path
        return None

    def raw(self) -> Path:
        """Return the staged raw file (``_raw``, or a COS event list)."""
        found = self.first_of(RAW_SUFFIXES)
        if found is None:
            return self.needs("raw", "2FITS")
        return found


RAW_SUFFIXES = RAW


@contextmanager
def timed(text: str) -> Iterator[None]:
    """Say what was done and how long it took."""
    start = time.perf_counter()
    yield
    step(f"{text} ({time.perf_counter() - start:.2f} s)")
