"""The mirror daemon: keeps a :class:`~htcondor_operator.mirror.worker.Worker` going.

HTCondor never waits for it. Stopped, killed or without its database it loses nothing: the event
log keeps the events, the cursor row keeps the place.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard import cursor
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.retention import Retention
from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.heartbeat import Heartbeat, Status
from htcondor_operator.mirror.catalogue import Cataloguer
from htcondor_operator.mirror.flow import Flow
from htcondor_operator.mirror.janitor import Janitor
from htcondor_operator.mirror.pool import PoolWatch
from htcondor_operator.mirror.reconcile import Inquirer
from htcondor_operator.mirror.worker import Worker
from htcondor_operator.settings import Settings

log = logging.getLogger(__name__)

NAME = "mirror"
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class Options:
    """What a mirror needs to know besides the settings."""

    schedd: str
    event_log: Path
    poll_seconds: float = 0.25
    reconcile_seconds: float = 30.0


@dataclass
class Daemon:
    """Connects, takes the lease, works, and starts over when the database goes away."""

    settings: Settings
    options: Options
    status: Status = field(default_factory=Status)
    stopped: threading.Event = field(default_factory=threading.Event)
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    def run(self) -> None:
        """Work until a signal comes."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        heartbeat = Heartbeat(
            NAME,
            self.status,
            lambda: connect(self.settings, application="mirror heartbeat", autocommit=True),
        )
        bindings = Bindings()
        inquirer = Inquirer(bindings, self.options.reconcile_seconds)
        janitor = Janitor(lambda: connect(self.settings, application="mirror janitor"), Retention())
        catalogue = Cataloguer(
            lambda: connect(self.settings, application="mirror catalogue"), self.settings.archive
        )
        flow = Flow(lambda: connect(self.settings, application="mirror flow"))
        pool = PoolWatch(bindings, lambda: connect(self.settings, application="mirror pool"))
        for thread in (heartbeat, inquirer, janitor, catalogue, flow, pool):
            thread.start()
        pause = 0.5
        try:
            while not self.stopped.is_set():
                try:
                    self._session(inquirer)
                    pause = 0.5
                except (psycopg2.Error, cursor.LeaseLost) as error:
                    log.warning("starting over: %s", str(error).strip())
                    self.status.say("waiting", error=str(error).strip()[:300])
                self.stopped.wait(pause * random.uniform(0.7, 1.3))
                pause = min(pause * 2, _LONGEST_PAUSE) if self.status.state == "waiting" else 0.5
        finally:
            catalogue.stop()
            flow.stop()
            pool.stop()
            janitor.stop()
            inquirer.stop()
            heartbeat.stop()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        log.info("signal %s: stopping", number)
        self.stopped.set()

    def _session(self, inquirer: Inquirer) -> None:
        connection = connect(self.settings, application=NAME)
        try:
            if self._take_lease(connection):
                self._work(connection, inquirer)
                self._drop_lease(connection)
        finally:
            connection.close()

    def _take_lease(self, connection: Connection) -> bool:
        """Wait as a stand-by until the lease is free; False when stopped before that."""
        options = self.options
        while not self.stopped.is_set():
            with connection, connection.cursor() as cur:
                rival = cursor.take_lease(cur, options.schedd, str(options.event_log), self.holder)
                if rival is not None and _is_dead(rival):
                    log.info("%s is dead: taking its lease over", rival)
                    cursor.drop_lease(cur, options.schedd, rival)
                    continue
            if rival is None:
                return True
            self.status.say("stand-by", schedd=options.schedd, leader=rival)
            self.stopped.wait(1.0)
        return False

    def _drop_lease(self, connection: Connection) -> None:
        with connection, connection.cursor() as cur:
            cursor.drop_lease(cur, self.options.schedd, self.holder)

    def _work(self, connection: Connection, inquirer: Inquirer) -> None:
        options = self.options
        worker = Worker(connection, options.schedd, options.event_log, self.holder, inquirer)
        log.info("reading %s of schedd %s", options.event_log, options.schedd)
        try:
            while not self.stopped.is_set():
                more = worker.step()
                self.status.say("running", schedd=options.schedd, error=None)
                self.status.detail.update(asdict(worker.figures))
                if not more:
                    self.stopped.wait(options.poll_seconds)
        finally:
            worker.close()


def _is_dead(holder: str) -> bool:
    """Whether a holder was a process of this machine that is no more."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
