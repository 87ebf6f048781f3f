"""The attempts on their way to the schedd: prepared, submitted once, recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.attempts import (
    Key,
    OpenAttempt,
    Prepared,
    move,
    note,
    record_prepared,
    record_refused,
    record_submitted,
)
from htcondor_operator.condor.attempts import Happening, next_state
from htcondor_operator.condor.bindings import Bindings, BindingsError, ScheddSilent
from htcondor_operator.condor.preparation import check_again, prepare
from htcondor_operator.condor.submission import (
    Submission,
    commands,
    find_submitted,
    options,
    prepare_folder,
    refused,
)
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import AttemptKind, AttemptState, ErrorKind, OwlError

log = logging.getLogger(__name__)

RECORD_EVERY = 16


def silent(error: ScheddSilent) -> OwlError:
    """Return what is noted on attempts while the schedd does not answer."""
    return OwlError(
        ErrorKind.SCHEDD_SILENT,
        f"The schedd does not answer ({error}). OWL goes on trying; look at the schedd.",
    )


@dataclass
class Launcher:
    """Brings attempts from ``wanted`` to ``live`` when nothing has to go first."""

    settings: Settings
    bindings: Bindings
    connection: Connection
    schedd: str
    submitted: int = 0
    _prepared: dict[Key, Prepared] = field(default_factory=dict)

    # ------------------------------------------------------------- before the schedd is asked

    def prepare(self, attempts: Sequence[OpenAttempt]) -> list[Submission]:
        """Make the folders of attempts; those that cannot be are refused.

        What is made is remembered, so that a silent schedd does not cost a rendering each time.
        """
        if not attempts:
            return []
        new = [attempt for attempt in attempts if attempt.key not in self._prepared]
        made = {a.key: p for a, p in self._prepare_each(new)}
        with self.connection, self.connection.cursor() as cursor:
            record_prepared(cursor, list(made.values()))
        self._prepared.update(made)
        return [
            submission_of(attempt, Path(self._prepared[attempt.key].dag_file))
            for attempt in attempts
            if attempt.key in self._prepared
        ]

    def _prepare_each(
        self, attempts: Sequence[OpenAttempt]
    ) -> Iterable[tuple[OpenAttempt, Prepared]]:
        for attempt in attempts:
            try:
                yield attempt, prepare(attempt, self.settings)
            except OwlError as error:
                self.refuse(attempt.key, error)
            except Exception as error:  # one bad run must not stop the others
                log.exception("run %s attempt %s", *attempt.key)
                self.refuse(attempt.key, OwlError(ErrorKind.INTERNAL, repr(error)))

    def check_again(self, attempt: OpenAttempt, dag_file: Path) -> bool:
        """Check a DAG that ran before; refuse the attempt when a program is gone."""
        try:
            check_again(attempt, dag_file)
        except OwlError as error:
            self.refuse(attempt.key, error)
            return False
        return True

    def refuse(self, key: Key, error: OwlError) -> None:
        """Record that nothing is submitted, and why."""
        log.warning("run %s attempt %s refused: %s", *key, error.message)
        self._prepared.pop(key, None)
        with self.connection, self.connection.cursor() as cursor:
            record_refused(cursor, key, error)

    # ------------------------------------------------------------- to the schedd

    def launch(self, new: Sequence[Submission], doubtful: Sequence[OpenAttempt]) -> None:
        """Submit attempts, after a look for those that the schedd has already.

        Parameters
        ----------
        new
            Attempts in ``wanted`` or ``clearing`` that were never handed to a schedd.
        doubtful
            Attempts found in ``submitting``: a gateway ended before it knew the outcome, or the
            schedd fell silent.

        Raises
        ------
        ScheddSilent
            What was not submitted stays open and is tried again.
        """
        again = [
            submission_of(attempt, Path(attempt.dag_file))
            for attempt in doubtful
            if attempt.dag_file is not None
        ]
        known = find_submitted(self.bindings, [s.wanted for s in new], doubtful=False)
        known |= find_submitted(self.bindings, [s.wanted for s in again], doubtful=True)
        keys = [submission.key for submission in new]
        with self.connection, self.connection.cursor() as cursor:
            wanted = AttemptState.WANTED
            mine = move(cursor, keys, wanted, next_state(wanted, Happening.READY))
        mine |= {attempt.key for attempt in doubtful}
        self._record(list(known.items()))
        todo = [s for s in (*new, *again) if s.key in mine and s.key not in known]
        self._submit_all(todo)

    def _submit_all(self, submissions: Sequence[Submission]) -> None:
        done: list[tuple[Key, int]] = []
        try:
            for submission in submissions:
                cluster = self._submit(submission)
                if cluster is not None:
                    done.append((submission.key, cluster))
                if len(done) >= RECORD_EVERY:
                    self._record(done)
                    done = []
        finally:
            self._record(done)

    def _submit(self, submission: Submission) -> int | None:
        try:
            prepare_folder(submission)
            _refuse_foreign_lock(submission)
            cluster: int | None = self.bindings.submit_dag(
                submission.dag_file, options(submission), commands(submission)
            )
        except BindingsError as error:
            cluster = self._found_after(submission, error)
            if cluster is None:
                return None
        except OwlError as error:
            self.refuse(submission.key, error)
            return None
        log.info("run %s attempt %s is cluster %s", *submission.key, cluster)
        self.submitted += 1
        return cluster

    def _found_after(self, submission: Submission, error: BindingsError) -> int | None:
        """Return the cluster when the job is in the queue in spite of an error; refuse if not.

        A schedd that goes down between its commit and its answer looks like a refusal.
        """
        found = find_submitted(self.bindings, [submission.wanted], doubtful=True)
        if submission.key not in found:
            self.refuse(submission.key, refused(submission, str(error)))
        return found.get(submission.key)

    def _record(self, clusters: Sequence[tuple[Key, int]]) -> None:
        with self.connection, self.connection.cursor() as cursor:
            record_submitted(cursor, clusters, self.schedd)
        for key, _ in clusters:
            self._prepared.pop(key, None)

    def note(self, keys: Sequence[Key], error: OwlError) -> None:
        """Record what attempts wait for."""
        with self.connection, self.connection.cursor() as cursor:
            note(cursor, keys, error)


def submission_of(attempt: OpenAttempt, dag_file: Path) -> Submission:
    """Return what the submission of an attempt needs."""
    return Submission(
        run_key=attempt.run_key,
        attempt=attempt.attempt,
        kind=AttemptKind(attempt.kind),
        dataset=attempt.dataset,
        priority=attempt.priority,
        dag_file=dag_file,
        requested_at=attempt.requested_at,
        resumes=attempt.rescue_file is not None,
    )


def _refuse_foreign_lock(submission: Submission) -> None:
    """Refuse a DAG file that a DAGMan works on which is not of this run.

    DAGMan would end at once, or, when it takes the other for dead, go into recovery.
    """
    lock = submission.dag_file.with_name(f"{submission.dag_file.name}.lock")
    if lock.exists():
        raise OwlError(
            ErrorKind.SUBMIT_REFUSED,
            f"{lock} exists: another DAGMan works on this file, or died. "
            "Wait for its end or remove the lock file, then clear the launch task.",
        )
