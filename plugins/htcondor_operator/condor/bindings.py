"""A client of HTCondor that never hangs: every call ends within its time, whatever the schedd does.

The bindings themselves live in :mod:`htcondor_operator.condor.bindings_worker`, a process that is
killed and started again when it does not answer.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

Ad = dict[str, Any]

_START_SECONDS = 30.0
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
# What the bindings say when nobody is there, as against a refusal by a schedd that answered.
_SILENT_WORDS = (
    "failed to connect",
    "unable to locate",
    "can't find address",
    "communication error",
    "connection closed",
    "timed out",
    "schedd not found",
    "failed to locate",
    "locatead",
    "failed to fetch ads",
    "'nonetype' object is not subscriptable",
    "location must be a classad",
)


class BindingsError(Exception):
    """HTCondor answered, and the answer was no."""


class ScheddSilent(Exception):
    """HTCondor did not answer within the time: nothing is known about what it did."""


def history_before(moment: float) -> str:
    """Return the ``since`` of a history that is wanted back to `moment`, in seconds since 1970.

    The history is in the order in which jobs left the queue, and its search ends at the first job
    of which this is true, whoever's it is. Only scheduler-universe jobs (DAGMan) leave the queue
    when they end: others may have ended days before.
    """
    return f"JobUniverse == 7 && EnteredCurrentStatus < {int(moment)}"


@dataclass(frozen=True)
class Outcome:
    """What :meth:`Bindings.act` changed."""

    changed: int
    already: int
    refused: int

    @staticmethod
    def from_ad(ad: Mapping[str, Any]) -> Outcome:
        """Read the schedd's result ad."""
        denied = ("TotalError", "TotalBadStatus", "TotalPermissionDenied")
        return Outcome(
            changed=int(ad.get("TotalSuccess", 0)),
            already=int(ad.get("TotalAlreadyDone", 0)),
            refused=sum(int(ad.get(key, 0)) for key in denied),
        )


@dataclass(frozen=True)
class JobTotals:
    """How many jobs of all users are in a schedd's queue, without those that run on its host."""

    idle: int
    running: int
    held: int


@dataclass
class Bindings:
    """Typed calls to the worker process; one at a time, from any thread.

    Parameters
    ----------
    timeout
        Seconds after which an ordinary call is given up.
    submit_timeout
        The same for a submission.
    """

    timeout: float = 10.0
    submit_timeout: float = 20.0
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _connection: Connection | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def schedd_name(self) -> str:
        """Return the schedd's name as it stands before the ``#`` of a GlobalJobId."""
        return str(self._call("schedd_name", {}))

    def param(self, name: str) -> str | None:
        """Return a value of HTCondor's configuration."""
        value = self._call("param", {"name": name})
        return None if value is None else str(value)

    def submit_dag(
        self, dag_file: Path, options: Mapping[str, Any], commands: Mapping[str, str]
    ) -> int:
        """Submit a DAG file and return the cluster of its DAGMan."""
        arguments = {
            "dag_file": str(dag_file),
            "options": dict(options),
            "commands": dict(commands),
        }
        value = cast(Ad, self._call("submit_dag", arguments, self.submit_timeout))
        return int(value["cluster"])

    def query(self, constraint: str, projection: Sequence[str], limit: int = -1) -> list[Ad]:
        """Return the jobs in the queue; always projected, because ads are large."""
        return cast(
            list[Ad],
            self._call(
                "query",
                {"constraint": constraint, "projection": list(projection), "limit": limit},
            ),
        )

    def job_totals(self) -> JobTotals:
        """Return how many jobs are in the queue, by state."""
        ad = cast(Ad, self._call("job_totals", {}))
        return JobTotals(*(int(ad[f"Allusers{name}"]) for name in ("Idle", "Running", "Held")))

    def slots(self, projection: Sequence[str]) -> list[Ad]:
        """Return the slots of the pool as the collector knows them."""
        return cast(list[Ad], self._call("slots", {"projection": list(projection)}))

    def history(
        self,
        constraint: str,
        projection: Sequence[str],
        match: int = -1,
        since: str | None = None,
    ) -> list[Ad]:
        """Return jobs that left the queue, newest first, back to where `since` becomes true."""
        arguments = {
            "constraint": constraint,
            "projection": list(projection),
            "match": match,
            "since": since,
        }
        return cast(list[Ad], self._call("history", arguments))

    def act(self, action: str, constraint: str, reason: str) -> Outcome:
        """Hold, release or remove jobs; `action` is a name of ``htcondor2.JobAction``."""
        arguments = {"action": action, "constraint": constraint, "reason": reason}
        return Outcome.from_ad(cast(Ad, self._call("act", arguments)))

    def edit(self, constraint: str, attribute: str, value: str) -> int:
        """Change an attribute of jobs in the queue; return how many."""
        arguments = {"constraint": constraint, "attribute": attribute, "value": value}
        return int(cast(int, self._call("edit", arguments)))

    def halt_dag(self, cluster: int, reason: str) -> tuple[bool, str]:
        """Ask a running DAGMan to start no more jobs; return whether it will, and its words."""
        value = cast(Ad, self._call("halt_dag", {"cluster": cluster, "reason": reason}))
        return bool(value["done"]), str(value["text"])

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._kill()

    # ------------------------------------------------------------------ the pipe

    def _call(
        self, name: str, arguments: Mapping[str, Any], timeout: float | None = None
    ) -> object:
        seconds = self.timeout if timeout is None else timeout
        with self._lock:
            connection = self._running()
            try:
                connection.send_bytes(json.dumps([name, arguments]).encode())
                answer = self._receive(connection, seconds)
            except (EOFError, OSError) as error:
                self._kill()
                raise ScheddSilent(f"{name}: the worker died ({error!r})") from error
        if "error" in answer:
            raise _error(name, str(answer["error"]))
        return answer["value"]

    def _receive(self, connection: Connection, seconds: float) -> dict[str, Any]:
        if not connection.poll(seconds):
            self._kill()
            raise ScheddSilent(f"no answer within {seconds:g} s")
        return cast(dict[str, Any], json.loads(connection.recv_bytes()))

    def _running(self) -> Connection:
        if self._process is not None and self._process.poll() is not None:
            self._kill()
        if self._connection is None:
            self._connection = self._start()
        return self._connection

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [_PACKAGE_ROOT, os.environ.get("PYTHONPATH", "")]))
        module = "htcondor_operator.condor.bindings_worker"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
            )
        connection = Connection(ours.detach())
        self.restarts += 1
        try:
            answer = self._receive(connection, _START_SECONDS)
        except (EOFError, OSError) as error:
            self._kill()
            connection.close()
            raise ScheddSilent(f"the worker does not start ({error!r})") from error
        if "error" in answer:
            self._kill()
            connection.close()
            raise ScheddSilent(f"the worker does not start: {answer['error']}")
        return connection

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process = None
        self._connection = None


def _error(name: str, text: str) -> Exception:
    if any(word in text.lower() for word in _SILENT_WORDS):
        return ScheddSilent(f"{name}: {text}")
    return BindingsError(text)
