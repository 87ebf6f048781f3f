"""Submission of a DAG that can be repeated: what is in the queue already is attached, not doubled.

The job ad of every DAGMan carries ``OwlRun`` and ``OwlAttempt``. Whoever does not know whether a
submission went through asks the schedd for them: first the queue, then the history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htcondor_operator.condor.bindings import Bindings, history_before
from htcondor_operator.condor.run_folder import disk_errors
from htcondor_operator.vocabulary import AttemptKind, ErrorKind, OwlError

Key = tuple[int, int]
"""A run's key and the number of its attempt."""

CLOCK_SECONDS = 120.0
"""How far the clocks of database and schedd may be apart."""

ATTRIBUTES = ("ClusterId", "OwlRun", "OwlAttempt", "JobStatus")


@dataclass(frozen=True)
class Submission:
    """All that a submission of one attempt needs."""

    run_key: int
    attempt: int
    kind: AttemptKind
    dataset: str
    priority: int
    dag_file: Path
    requested_at: float
    resumes: bool = False
    """Whether a rescue file was written that DAGMan must read."""

    @property
    def key(self) -> Key:
        """Run and attempt."""
        return self.run_key, self.attempt

    @property
    def wanted(self) -> Wanted:
        """What to ask the schedd for."""
        return Wanted(self.key, self.dag_file.parent, self.requested_at)


def options(submission: Submission) -> dict[str, str | int | bool]:
    """Return the options of ``Submit.from_dag``.

    ``Force`` renames every rescue file to ``.old``: right for a fresh start, never for a rescue.
    """
    common: dict[str, str | int | bool] = {
        "BatchName": submission.dataset,
        "Priority": submission.priority,
        "SuppressNotification": True,
    }
    if submission.resumes:
        return {**common, "AutoRescue": 1, "UpdateSubmit": True}
    return {**common, "Force": True}


def commands(submission: Submission) -> dict[str, str]:
    """Return the submit commands that are added to DAGMan's own job."""
    return {
        "initialdir": str(submission.dag_file.parent),
        "My.OwlRun": str(submission.run_key),
        "My.OwlAttempt": str(submission.attempt),
        "My.OwlDataset": quoted(submission.dataset),
        # Since 25.10 a scheduler-universe job that exits non-zero waits 300 s for its restart.
        "My.DisableCoolDown": "True",
    }


@dataclass(frozen=True)
class Wanted:
    """What tells an attempt's DAGMan from all others.

    Run keys are unique in one blackboard, but a schedd may serve several, and keeps jobs of one
    that was thrown away. So the folder belongs to it, and the time of the request.
    """

    key: Key
    folder: Path
    requested_at: float

    def constraint(self) -> str:
        """Return the expression that is true for that job."""
        run, attempt = self.key
        return (
            f"(OwlRun =?= {run} && OwlAttempt =?= {attempt} && Iwd =?= {quoted(self.folder)} "
            f"&& QDate >= {int(self.requested_at - CLOCK_SECONDS)})"
        )


def quoted(value: object) -> str:
    """Return a ClassAd string."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def constraint(wanted: Collection[Wanted]) -> str:
    """Return a constraint for the DAGMan jobs of these attempts."""
    return f"JobUniverse == 7 && ({' || '.join(one.constraint() for one in wanted)})"


def _clusters(ads: Iterable[Mapping[str, Any]]) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for ad in ads:
        key = int(ad["OwlRun"]), int(ad["OwlAttempt"])
        # Should there ever be two, every reader must agree on one: the first.
        found[key] = min(int(ad["ClusterId"]), found.get(key, int(ad["ClusterId"])))
    return found


def find_submitted(
    schedd: Bindings, wanted: Collection[Wanted], *, doubtful: bool
) -> dict[Key, int]:
    """Return the clusters of those attempts that the schedd has, or had.

    Parameters
    ----------
    schedd
        Whom to ask.
    wanted
        The attempts in question.
    doubtful
        Whether one of them can have been submitted and ended: only then the history is asked.
    """
    if not wanted:
        return {}
    found = _clusters(schedd.query(constraint(wanted), ATTRIBUTES))
    missing = [one for one in wanted if one.key not in found]
    if missing and doubtful:
        earliest = min(one.requested_at for one in missing) - CLOCK_SECONDS
        stop = history_before(earliest)
        found |= _clusters(schedd.history(constraint(missing), ATTRIBUTES, -1, stop))
    return found


def prepare_folder(submission: Submission) -> None:
    """Remove what an earlier DAGMan left that would lead this one astray.

    A halt file would keep it from starting anything. The caller has made sure that no DAGMan of
    this file is alive.
    """
    with disk_errors(submission.dag_file.parent):
        submission.dag_file.with_name(f"{submission.dag_file.name}.halt").unlink(missing_ok=True)


def refused(submission: Submission, words: str) -> OwlError:
    """Return HTCondor's refusal as an error for the operator."""
    return OwlError(
        ErrorKind.SUBMIT_REFUSED,
        f"HTCondor refused {submission.dag_file}: {words.strip()} "
        "Correct the cause, then clear the launch task.",
    )
