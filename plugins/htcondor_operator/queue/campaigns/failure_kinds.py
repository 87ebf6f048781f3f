"""One short name for why a run failed: an exit code's name, a signal, or a kind of error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from htcondor_operator.blackboard.campaign_truth import FailedMember
from htcondor_operator.exit_codes import describe_exit, describe_signal
from htcondor_operator.vocabulary import ErrorKind, NodeState

NOT_LAUNCHED = "not_launched"
"""The DAG run failed before anything was asked of HTCondor."""


@dataclass(frozen=True, order=True)
class FailureKind:
    """Where and why a run failed.

    Parameters
    ----------
    node
        The node that failed first; empty when the run failed as a whole.
    kind
        Name of its exit code or signal, or the kind of error.
    """

    node: str
    kind: str

    def __str__(self) -> str:
        return f"{self.node} {self.kind}".strip()


def failure_kind(failed: FailedMember) -> FailureKind:
    """Return where and why a run failed."""
    return FailureKind(failed.node or "", _kind(failed))


def _kind(failed: FailedMember) -> str:
    if failed.exit_signal:
        return describe_signal(failed.exit_signal)[0]
    if failed.exit_code:
        return describe_exit(failed.exit_code)[0]
    if failed.node_state == NodeState.REMOVED:
        return str(ErrorKind.NODE_REMOVED)
    if failed.error_kind:
        return failed.error_kind
    if failed.node:
        return str(ErrorKind.NODE_FAILED)
    return NOT_LAUNCHED if failed.run_key is None else str(ErrorKind.DAGMAN_DIED)


def count_kinds(failed: Iterable[tuple[FailedMember, int]]) -> list[tuple[FailureKind, int, str]]:
    """Return kinds of failure, the most frequent first, with a dataset that shows each.

    Parameters
    ----------
    failed
        Failures, and how many runs failed so.
    """
    counts: Counter[FailureKind] = Counter()
    example: dict[FailureKind, str] = {}
    for each, n in failed:
        kind = failure_kind(each)
        counts[kind] += n
        example.setdefault(kind, each.fileset)
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(kind, n, example[kind]) for kind, n in order]
