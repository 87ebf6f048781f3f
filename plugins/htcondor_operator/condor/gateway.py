"""The gateway: the one daemon that submits to a schedd and steers its jobs.

Run it as ``python -m htcondor_operator.condor.gateway`` on the access point. It hears of wishes by
``LISTEN`` (a look each second is the fallback) and holds a database lock, so that there is one per
schedd; a second one waits until the first is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.attempts import Key, claim, note_all, record_cancelled
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.run_commands import (
    Command,
    answer,
    open_commands,
)
from htcondor_operator.blackboard.run_priorities import set_run_priority, tell_priorities
from htcondor_operator.condor.bindings import Bindings, BindingsError, ScheddSilent
from htcondor_operator.condor.control import Answer, execute
from htcondor_operator.condor.heartbeat import Heartbeat, Status
from htcondor_operator.condor.launching import Launcher, silent
from htcondor_operator.condor.priorities import Priorities
from htcondor_operator.condor.rescuing import LOOK_AGAIN_SECONDS, Rescuer
from htcondor_operator.condor.schedule import Patience, Schedule
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import AttemptState, CommandState, CommandVerb

log = logging.getLogger(__name__)

NAME = "gateway"
POLL_SECONDS = 1.0
BATCH = 64
TOTALS_SECONDS = 10.0
"""Seconds between two looks at how many jobs there are."""

_LOCK_SPACE = 0x0771


@dataclass
class Session:
    """One schedd and one database, as long as both connections hold."""

    settings: Settings
    bindings: Bindings
    work: Connection
    schedd: str
    status: Status
    attempts_later: Schedule[Key] = field(default_factory=Schedule)
    commands_later: Schedule[int] = field(default_factory=Schedule)
    patience: Patience = field(default_factory=Patience)
    totals_due: float = 0.0

    def __post_init__(self) -> None:
        self.launcher = Launcher(self.settings, self.bindings, self.work, self.schedd)
        self.rescuer = Rescuer(self.launcher)
        self.priorities = Priorities(self.schedd, self.bindings)
        self.priorities.load(self.work)

    def tick(self) -> float:
        """Do all that can be done now; return the seconds until there may be more."""
        if self.patience.seconds > 0:
            return min(POLL_SECONDS, self.patience.seconds)
        try:
            more = self._commands() | self._attempts()
            self.priorities.look(self.work)
            self._totals()
        except ScheddSilent as error:
            self._be_patient(error)
            return min(POLL_SECONDS, self.patience.seconds)
        self.patience.succeeded()
        self.status.say(
            "running",
            schedd=self.schedd,
            submitted=self.launcher.submitted,
            worker_starts=self.bindings.restarts,
            silent_for=0,
        )
        return 0.0 if more else POLL_SECONDS

    def _be_patient(self, error: ScheddSilent) -> None:
        self.patience.failed()
        log.warning("%s; next try in %.1f s", error, self.patience.seconds)
        self.status.say(
            "schedd_silent",
            schedd=self.schedd,
            silent_for=self.patience.failures,
            worker_starts=self.bindings.restarts,
        )
        with self.work, self.work.cursor() as cursor:
            note_all(cursor, self.schedd, silent(error))

    def _totals(self) -> None:
        """Say from time to time how many jobs there are: the shoveler looks at it."""
        now = time.monotonic()
        if now < self.totals_due:
            return
        self.totals_due = now + TOTALS_SECONDS
        totals = self.bindings.job_totals()
        self.status.say("running", pool={**asdict(totals), "at": datetime.now(UTC).isoformat()})

    # ------------------------------------------------------------- attempts

    def _attempts(self) -> bool:
        waiting = self.attempts_later.waiting()
        with self.work, self.work.cursor() as cursor:
            claimed = claim(
                cursor,
                schedd=self.schedd,
                claimed_by=f"{socket.gethostname()}:{os.getpid()}",
                waiting=waiting,
                limit=BATCH,
            )
        doubtful = [a for a in claimed if a.state is AttemptState.SUBMITTING]
        first = [a for a in claimed if a.state is AttemptState.WANTED and a.predecessor is None]
        later = [a for a in claimed if a not in doubtful and a not in first]
        submissions = self.launcher.prepare(first)
        if submissions or doubtful:
            self.launcher.launch(submissions, doubtful)
        still = self.rescuer.look(later)
        for key in still:
            self.attempts_later.later(key, LOOK_AGAIN_SECONDS)
        return len(claimed) == BATCH or len(still) < len(later)

    # ------------------------------------------------------------- commands

    def _commands(self) -> bool:
        with self.work, self.work.cursor() as cursor:
            wanted = open_commands(
                cursor, self.schedd, waiting=self.commands_later.waiting(), limit=BATCH
            )
        for command in wanted:
            self._record(command, execute(command, self.bindings))
        return bool(wanted)

    def _record(self, command: Command, outcome: Answer) -> None:
        log.info("command %s: %s: %s", command.id, outcome.state.value, outcome.result)
        with self.work, self.work.cursor() as cursor:
            state, result = outcome.state, outcome.result
            if outcome.cancels and not record_cancelled(cursor, command.run_key, result):
                state, result = CommandState.WANTED, "The run is being submitted; OWL tries again."
            answer(cursor, command.id, state, result)
            if command.verb is CommandVerb.PRIORITY and command.node is None:
                value = command.argument.get("priority")
                if isinstance(value, int) and state is CommandState.DONE:
                    set_run_priority(cursor, command.run_key, value)
            tell_priorities(cursor, command.run_key, outcome.priorities)
        if outcome.priorities:
            self.priorities.changed(command.run_key, outcome.priorities)
        if state is CommandState.WANTED:
            self.commands_later.later(command.id, POLL_SECONDS)


@dataclass
class Gateway:
    """The daemon around :class:`Session`: connects, takes the lock, and begins anew on errors."""

    settings: Settings
    bindings: Bindings = field(default_factory=Bindings)
    status: Status = field(default_factory=Status)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until :attr:`stopping` is set."""
        heartbeat = Heartbeat(NAME, self.status, lambda: self._connect(autocommit=True))
        heartbeat.start()
        patience = Patience()
        try:
            while not self.stopping.is_set():
                try:
                    self._session(patience.succeeded)
                except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                    self._pause(patience, "no_database", error)
                except (ScheddSilent, BindingsError) as error:
                    self._pause(patience, "no_schedd", error)
        finally:
            self.bindings.close()
            heartbeat.stop()

    def _pause(self, patience: Patience, state: str, error: Exception) -> None:
        patience.failed()
        log.warning("%s: %s; next try in %.1f s", state, str(error).strip(), patience.seconds)
        self.status.say(state, error=str(error).strip()[:500])
        self.stopping.wait(patience.seconds)

    def _connect(self, *, autocommit: bool) -> Connection:
        return connect(self.settings, application=NAME, autocommit=autocommit)

    def _session(self, connected: Callable[[], None]) -> None:
        with (
            contextlib.closing(self._connect(autocommit=True)) as listener,
            contextlib.closing(self._connect(autocommit=False)) as work,
        ):
            schedd = self.bindings.schedd_name()
            if not self._lock(listener, schedd):
                return
            with listener.cursor() as cursor:
                cursor.execute("LISTEN owl_attempt; LISTEN owl_command")
            connected()
            log.info("gateway of schedd %s", schedd)
            session = Session(self.settings, self.bindings, work, schedd, self.status)
            while not self.stopping.is_set():
                _wait(listener, self._tick(session))

    @staticmethod
    def _tick(session: Session) -> float:
        try:
            return session.tick()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            raise
        except Exception:  # whatever one row does, the daemon goes on with the others
            log.exception("gateway")
            return POLL_SECONDS

    def _lock(self, listener: Connection, schedd: str) -> bool:
        """Take this schedd's lock; wait while another gateway has it."""
        while not self.stopping.is_set():
            with listener.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_LOCK_SPACE, schedd)
                )
                row = cursor.fetchone()
            if row is not None and row[0]:
                return True
            self.status.say("standby", schedd=schedd)
            self.stopping.wait(POLL_SECONDS)
        return False


def _wait(listener: Connection, seconds: float) -> None:
    """Wait for a notification, so long at the most."""
    if not listener.notifies and seconds > 0:
        select.select([listener], [], [], seconds)
    listener.poll()
    listener.notifies.clear()


def main() -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    gateway = Gateway(Settings.from_environment())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: gateway.stopping.set())
    gateway.run()


if __name__ == "__main__":
    main()
