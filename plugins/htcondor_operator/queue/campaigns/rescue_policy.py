"""Which failed runs are rescued without a person, how often and when: pure decisions.

The setting ``rescue.policy`` is a list of rules; the first that fits a failure decides::

    [{"kinds": ["dagman_died"], "times": 2, "after_s": 60},
     {"kinds": ["disk_full"], "nodes": ["AR"], "workflows": ["wf3_*"], "times": 1, "after_s": 900}]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from htcondor_operator.blackboard.rescue_candidates import Candidate
from htcondor_operator.queue.campaigns.failure_kinds import FailureKind, failure_kind
from htcondor_operator.vocabulary import ErrorKind, OwlError

SETTING = "rescue.policy"
HORIZON_S = 86_400.0
"""Failures older than this are people's business."""

REMOVED_BY_SYSTEM = "node_removed_by_system"
"""Kind of a removal that nobody asked for (a periodic expression, an administrator's policy)."""

ANY = ("*",)


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    kinds, nodes, workflows
        Patterns (``*``) of which one each must fit; a run without a failed node has the node "".
    times
        So many rescues of a run at the most; 0 for never.
    after_s
        Not before so many seconds after the failure.
    """

    kinds: tuple[str, ...]
    nodes: tuple[str, ...] = ANY
    workflows: tuple[str, ...] = ANY
    times: int = 1
    after_s: float = 60.0

    def fits(self, failure: FailureKind, workflow: str) -> bool:
        """Whether it decides about this failure."""
        return (
            _one(self.kinds, failure.kind)
            and _one(self.nodes, failure.node)
            and _one(self.workflows, workflow)
        )


def _one(patterns: tuple[str, ...], word: str) -> bool:
    return any(fnmatchcase(word, pattern) for pattern in patterns)


Policy = tuple[Rule, ...]

DEFAULT: Policy = (
    Rule(kinds=("dagman_died", REMOVED_BY_SYSTEM, "schedd_silent"), times=2, after_s=60),
    # "Run again elsewhere", "Make room, then run the node again".
    Rule(kinds=("os_memory_error", "disk_full"), times=1, after_s=600),
)
"""Trouble of machines and grid only; what is wrong with data or calibration is for people."""


@dataclass(frozen=True)
class Decision:
    """What is done about a candidate: rescued now, later (`wait_s`), or not (`why`)."""

    rescue: bool
    kind: str
    wait_s: float | None = None
    why: str = ""


def decide(candidate: Candidate, policy: Policy) -> Decision:
    """Decide about one failed run."""
    failure = failure_kind(candidate.failed)
    if failure.kind == ErrorKind.NODE_REMOVED:
        if candidate.removed_by_people:
            return Decision(False, str(failure), why="somebody removed it")
        failure = FailureKind(failure.node, REMOVED_BY_SYSTEM)
    rule = next((rule for rule in policy if rule.fits(failure, candidate.failed.type)), None)
    kind = str(failure)
    if rule is None:
        return Decision(False, kind, why="no rule is for it")
    if candidate.rescues >= rule.times:
        times = "never" if not rule.times else f"{rule.times} at the most"
        return Decision(False, kind, why=f"rescued {candidate.rescues} times; {times}")
    wait = rule.after_s - candidate.age_s
    if wait > 0:
        return Decision(False, kind, wait_s=wait, why="its time has not come")
    return Decision(True, kind)


def read_policy(value: object) -> Policy:
    """Read the setting; None (never set) is :data:`DEFAULT`.

    Raises
    ------
    OwlError
        ``BAD_CONF``: the rule's number, the field and what it must be.
    """
    if value is None:
        return DEFAULT
    if not isinstance(value, list):
        raise _wrong("", value, "a list of rules")
    return tuple(_rule(number, item) for number, item in enumerate(value, 1))


def _rule(number: int, item: object) -> Rule:
    where = f" rule {number}"
    if not isinstance(item, Mapping):
        raise _wrong(where, item, "a mapping with kinds, nodes, workflows, times, after_s")
    unknown = sorted(set(item) - set(Rule.__dataclass_fields__))
    if unknown:
        raise _wrong(f"{where}: {unknown[0]}", item[unknown[0]], "left out: it is not known")
    if "kinds" not in item:
        raise _wrong(f"{where}: kinds", None, "a list of kinds, such as dagman_died")
    times, after = item.get("times", 1), item.get("after_s", 60)
    if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= 100:
        raise _wrong(f"{where}: times", times, "a whole number from 0 to 100")
    if isinstance(after, bool) or not isinstance(after, int | float) or not 0 <= after <= 86_400:
        raise _wrong(f"{where}: after_s", after, "0 to 86400 seconds")
    return Rule(
        kinds=_patterns(where, item, "kinds"),
        nodes=_patterns(where, item, "nodes"),
        workflows=_patterns(where, item, "workflows"),
        times=times,
        after_s=float(after),
    )


def _patterns(where: str, item: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = item.get(name, list(ANY))
    if not isinstance(value, list) or not value or not all(isinstance(w, str) for w in value):
        raise _wrong(f"{where}: {name}", value, "a list of words (with * for any)")
    return tuple(value)


def _wrong(where: str, value: object, must: str) -> OwlError:
    return OwlError(ErrorKind.BAD_CONF, f"{SETTING}{where} {value!r} must be {must}. Correct it.")


def to_json(policy: Policy) -> list[dict[str, Any]]:
    """Return a policy as the setting keeps it."""
    return [
        {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(r).items()} for r in policy
    ]
