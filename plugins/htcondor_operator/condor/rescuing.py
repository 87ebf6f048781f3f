"""The attempts that follow another: its end is brought about first, then DAGMan resumes."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from htcondor_operator.blackboard.attempts import (
    Key,
    OpenAttempt,
    lock_attempt,
    move,
    record_prepared,
)
from htcondor_operator.blackboard.spared import (
    carried_nodes,
    record_rescue,
    settle_spared,
    spared_states,
)
from htcondor_operator.condor.attempts import Happening, next_state
from htcondor_operator.condor.bindings import BindingsError, ScheddSilent
from htcondor_operator.condor.clearing import (
    STUCK_SECONDS,
    Act,
    Job,
    Predecessor,
    Step,
    clearing_step,
)
from htcondor_operator.condor.launching import Launcher
from htcondor_operator.condor.preparation import DAG_FILE, prepare
from htcondor_operator.condor.rescue_file import write_rescue
from htcondor_operator.condor.submission import quoted
from htcondor_operator.vocabulary import AttemptKind, AttemptState, ErrorKind, OwlError

log = logging.getLogger(__name__)

_PROJECTION = (
    "ClusterId",
    "ProcId",
    "JobStatus",
    "JobUniverse",
    "OwlRun",
    "OwlAttempt",
    "Iwd",
    "DAGManJobId",
    "DAGNodeName",
)
# The mirror learns of a job's end within a second or two. When it is down, a node that may have
# finished is run again: that costs time, while skipping one that did not would lose data.
SETTLE_SECONDS = 60.0
_DEFAULT_RESCUE_LIMIT = 100
LOOK_AGAIN_SECONDS = 1.0


@dataclass
class _Clock:
    """What this process remembers of one clearing."""

    since: float = field(default_factory=time.monotonic)
    released: float | None = None
    quiet: float | None = None
    gone: float | None = None
    acted: dict[Act, float] = field(default_factory=dict)


@dataclass
class Rescuer:
    """Brings predecessors to their end and submits their successors."""

    launcher: Launcher
    _clocks: dict[Key, _Clock] = field(default_factory=dict)

    def look(self, attempts: Sequence[OpenAttempt]) -> list[Key]:
        """Do what can be done now for attempts with a predecessor; return those still waiting.

        Raises
        ------
        ScheddSilent
            Nothing is lost: the next look begins again.
        """
        attempts = [attempt for attempt in attempts if self._has_a_file(attempt)]
        if not attempts:
            return []
        ads = self.launcher.bindings.query(_constraint(attempts), _PROJECTION)
        waiting: list[Key] = []
        for attempt in attempts:
            if self._guarded(attempt, [ad for ad in ads if _belongs(ad, attempt)]):
                self._clocks.pop(attempt.key, None)
            else:
                waiting.append(attempt.key)
        return waiting

    def _has_a_file(self, attempt: OpenAttempt) -> bool:
        if attempt.dag_file is None:
            words = f"run {attempt.run_key} was submitted before, but has no DAG file."
            self.launcher.refuse(attempt.key, OwlError(ErrorKind.INTERNAL, words))
        return attempt.dag_file is not None

    def _guarded(self, attempt: OpenAttempt, ads: Sequence[dict[str, Any]]) -> bool:
        """Look at one attempt; whatever is wrong with it does not stop the others."""
        try:
            return self._one(attempt, ads)
        except (ScheddSilent, psycopg2.Error):
            raise
        except Exception as error:
            log.exception("run %s attempt %s", *attempt.key)
            self.launcher.refuse(attempt.key, OwlError(ErrorKind.INTERNAL, repr(error)))
            return True

    def _one(self, attempt: OpenAttempt, ads: Sequence[dict[str, Any]]) -> bool:
        clock = self._clocks.setdefault(attempt.key, _Clock())
        spared = self._begin(attempt)
        predecessor = _predecessor(attempt, ads, spared, clock)
        step = clearing_step(predecessor)
        if not predecessor.gone:
            for act in step.acts:
                self._act(attempt, act, predecessor, ads, clock)
            self._note_if_stuck(attempt, step, clock)
            return False
        clock.gone = clock.gone or time.monotonic()
        if predecessor.unsettled and time.monotonic() - clock.gone < SETTLE_SECONDS:
            return False
        self._resume(attempt)
        return True

    def _begin(self, attempt: OpenAttempt) -> dict[str, bool]:
        """Return the spared nodes, and of each whether its end is known."""
        connection = self.launcher.connection
        with connection, connection.cursor() as cursor:
            if attempt.state is AttemptState.WANTED:
                move(
                    cursor,
                    [attempt.key],
                    attempt.state,
                    next_state(attempt.state, Happening.PREDECESSOR),
                )
            if attempt.predecessor is None:
                return {}
            states = spared_states(cursor, *attempt.key, attempt.predecessor)
        return {node: state.is_final for node, state in states.items()}

    # ------------------------------------------------------------- acts

    def _act(
        self,
        attempt: OpenAttempt,
        act: Act,
        predecessor: Predecessor,
        ads: Sequence[dict[str, Any]],
        clock: _Clock,
    ) -> None:
        """Do one act, and the same again only when it had no effect for some seconds."""
        now = time.monotonic()
        if now - clock.acted.get(act, -1e9) < 5.0:
            return
        clock.acted[act] = now
        log.info("run %s attempt %s: %s of its predecessor", *attempt.key, act.value)
        dagmans = _any_of("ClusterId", [a["ClusterId"] for a in ads if _is_dagman(a, attempt)])
        reason = f"OWL: attempt {attempt.attempt} by {attempt.requested_by or 'an operator'}"
        bindings = self.launcher.bindings
        try:
            match act:
                case Act.RELEASE_DAGMAN:
                    clock.released = now
                    bindings.act("Release", dagmans, reason)
                case Act.REMOVE_DAGMAN:
                    bindings.act("Remove", dagmans, reason)
                case Act.HALT:
                    self._halt(attempt, ads, reason)
                case Act.REMOVE_NODES:
                    bindings.act("Remove", _removable(attempt, predecessor, ads), reason)
                case Act.UNLINK_LOCK:
                    _beside(attempt, ".lock").unlink(missing_ok=True)
        except BindingsError as error:
            log.warning("run %s attempt %s: %s: %s", *attempt.key, act.value, error)

    def _halt(self, attempt: OpenAttempt, ads: Sequence[dict[str, Any]], reason: str) -> None:
        """Keep DAGMan from starting nodes.

        By its command port, which works at once, and by the halt file, which also holds when
        DAGMan is started again meanwhile.
        """
        _beside(attempt, ".halt").touch()
        for ad in ads:
            if _is_dagman(ad, attempt):
                done, text = self.launcher.bindings.halt_dag(int(ad["ClusterId"]), reason)
                if not done:
                    log.info("run %s attempt %s: halt: %s", *attempt.key, text)

    def _note_if_stuck(self, attempt: OpenAttempt, step: Step, clock: _Clock) -> None:
        waited = time.monotonic() - clock.since
        spares = Act.HALT in step.acts
        if waited < STUCK_SECONDS or spares:
            return
        error = OwlError(
            ErrorKind.PREDECESSOR_STUCK,
            f"Waiting {int(waited) // 60} min for {step.waiting_for} "
            f"(clusters {', '.join(map(str, attempt.earlier_clusters))}). "
            "OWL goes on trying; look at these jobs with condor_q.",
        )
        self.launcher.note([attempt.key], error)

    # ------------------------------------------------------------- the successor

    def _resume(self, attempt: OpenAttempt) -> None:
        assert attempt.dag_file is not None
        dag_file = Path(attempt.dag_file)
        try:
            if self._renders_again(attempt, dag_file):
                self._render(attempt)
            elif not self.launcher.check_again(attempt, dag_file):
                return
            self._write_rescue(attempt, dag_file)
        except OwlError as error:
            self.launcher.refuse(attempt.key, error)

    @staticmethod
    def _renders_again(attempt: OpenAttempt, dag_file: Path) -> bool:
        if DAG_FILE in attempt.params:
            return False
        return attempt.kind is AttemptKind.FRESH or not dag_file.exists()

    def _render(self, attempt: OpenAttempt) -> None:
        """Render anew: a fresh start takes the template as it is today."""
        launcher = self.launcher
        prepared = prepare(attempt, launcher.settings)
        with launcher.connection, launcher.connection.cursor() as cursor:
            record_prepared(cursor, [prepared])

    def _write_rescue(self, attempt: OpenAttempt, dag_file: Path) -> None:
        """Fix what is done, tell DAGMan, and hand over to the submission.

        From here on the attempt is ``submitting``: the next look submits it.
        """
        connection = self.launcher.connection
        limit = int(self.launcher.bindings.param("DAGMAN_MAX_RESCUE_NUM") or _DEFAULT_RESCUE_LIMIT)
        with connection, connection.cursor() as cursor:
            if lock_attempt(cursor, attempt.key) != (attempt.kind, AttemptState.CLEARING):
                return  # widened or taken back since it was claimed: the next look sees that
            if attempt.predecessor is not None:
                settle_spared(cursor, *attempt.key, attempt.predecessor)
            done = carried_nodes(cursor, *attempt.key)
            if attempt.kind is AttemptKind.FRESH:
                done = []
            path = None
            if done:
                note = f"OWL run {attempt.run_key} attempt {attempt.attempt}"
                path = str(write_rescue(dag_file, done, note, limit))
            record_rescue(cursor, *attempt.key, done, path)
            clearing = AttemptState.CLEARING
            move(cursor, [attempt.key], clearing, next_state(clearing, Happening.CLEARED))


# ----------------------------------------------------------------- what is whose


def _any_of(attribute: str, values: Sequence[int]) -> str:
    return "(" + (" || ".join(f"{attribute} == {value}" for value in values) or "false") + ")"


def _constraint(attempts: Sequence[OpenAttempt]) -> str:
    clusters = [cluster for attempt in attempts for cluster in attempt.earlier_clusters]
    own = " || ".join(
        f"(OwlRun =?= {attempt.run_key} && OwlAttempt < {attempt.attempt} "
        f"&& Iwd =?= {quoted(_beside(attempt, '').parent)})"
        for attempt in attempts
    )
    # Node jobs may carry OwlRun too: only a DAGMan is found by it.
    return f"(JobUniverse == 7 && ({own})) || {_any_of('DAGManJobId', clusters)}"


def _is_dagman(ad: dict[str, Any], attempt: OpenAttempt) -> bool:
    number = ad.get("OwlAttempt")
    return (
        ad["JobUniverse"] == 7
        and ad.get("OwlRun") == attempt.run_key
        and ad.get("Iwd") == str(_beside(attempt, "").parent)
        and isinstance(number, int)
        and number < attempt.attempt
        and "DAGManJobId" not in ad
    )


def _belongs(ad: dict[str, Any], attempt: OpenAttempt) -> bool:
    return _is_dagman(ad, attempt) or ad.get("DAGManJobId") in attempt.earlier_clusters


def _jobs(attempt: OpenAttempt, ads: Sequence[dict[str, Any]]) -> list[Job]:
    return [
        Job(str(ad.get("DAGNodeName")), int(ad["ClusterId"]), int(ad["ProcId"]), ad["JobStatus"])
        for ad in ads
        if not _is_dagman(ad, attempt)
    ]


def _removable(
    attempt: OpenAttempt, predecessor: Predecessor, ads: Sequence[dict[str, Any]]
) -> str:
    groups: dict[str, list[int]] = defaultdict(list)
    for job in _jobs(attempt, ads):
        if job.node not in predecessor.spared:
            groups[job.node].append(job.cluster)
    return _any_of("ClusterId", sorted({c for clusters in groups.values() for c in clusters}))


def _predecessor(
    attempt: OpenAttempt,
    ads: Sequence[dict[str, Any]],
    spared: dict[str, bool],
    clock: _Clock,
) -> Predecessor:
    jobs = _jobs(attempt, ads)
    statuses = [int(ad["JobStatus"]) for ad in ads if _is_dagman(ad, attempt)]
    now = time.monotonic()
    clock.quiet = (clock.quiet or now) if not jobs else None
    return Predecessor(
        dagman=min(statuses, default=None),
        jobs=jobs,
        spared=frozenset(spared),
        unsettled=frozenset(node for node, settled in spared.items() if not settled),
        lock=_beside(attempt, ".lock").exists(),
        released_s=None if clock.released is None else now - clock.released,
        quiet_s=None if clock.quiet is None else now - clock.quiet,
    )


def _beside(attempt: OpenAttempt, suffix: str) -> Path:
    assert attempt.dag_file is not None
    path = Path(attempt.dag_file)
    return path.with_name(path.name + suffix)
