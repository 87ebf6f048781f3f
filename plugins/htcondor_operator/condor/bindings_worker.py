"""The one process that imports :mod:`htcondor2`: it answers calls over a socket, one at a time.

It is a process of its own because a ``Schedd`` call keeps the interpreter lock while it waits:
with a schedd that does not answer, every thread of the caller would stand still for 20 s and more
(htcondor 25.14.1). Here that harms nobody: :mod:`htcondor_operator.condor.bindings` kills this
process and starts another.

Started as ``python -m htcondor_operator.condor.bindings_worker FD PARENT``.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    """Make the kernel kill this process when its parent dies.

    Otherwise a submission that hangs in a stopped schedd could still go through after a new
    gateway has looked in the queue, found nothing, and submitted again.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def _plain(value: Any) -> Any:
    """Return a ClassAd value as something JSON can carry."""
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _plain_ad(ad: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in ad.items()}


class _Calls:
    """The calls that a client can make. Every public method is one of them."""

    def __init__(self) -> None:
        import htcondor2

        self._htcondor = htcondor2
        self._ad: Any = None
        # from_dag looks for condor_dagman on PATH and nowhere else.
        os.environ["PATH"] = f"{htcondor2.param['BIN']}{os.pathsep}{os.environ.get('PATH', '')}"

    def _schedd(self) -> Any:
        if self._ad is None:
            self._ad = self._htcondor.Collector().locate(self._htcondor.DaemonType.Schedd)
        return self._htcondor.Schedd(self._ad)

    def forget(self) -> None:
        """Look for the schedd anew at the next call: after a restart its address is another."""
        self._ad = None

    def schedd_name(self) -> str:
        self._schedd()
        return str(self._ad["Name"])

    def param(self, name: str) -> str | None:
        value = self._htcondor.param.get(name)
        return None if value is None else str(value)

    def submit_dag(
        self, dag_file: str, options: dict[str, Any], commands: dict[str, str]
    ) -> dict[str, Any]:
        description = self._htcondor.Submit.from_dag(dag_file, options)
        for key, value in commands.items():
            description[key] = value
        return {"cluster": int(self._schedd().submit(description).cluster())}

    def query(self, constraint: str, projection: list[str], limit: int) -> list[dict[str, Any]]:
        return [_plain_ad(ad) for ad in self._schedd().query(constraint, projection, limit=limit)]

    def job_totals(self) -> dict[str, Any]:
        # Counted by the schedd when asked; the ad that it sends to the collector is up to
        # SCHEDD_INTERVAL old, and its running jobs include DAGMan's.
        only = self._htcondor.QueryOpts.SummaryOnly
        (summary,) = self._schedd().query("true", [], opts=only)
        return _plain_ad(summary)

    def slots(self, projection: list[str]) -> list[dict[str, Any]]:
        kind = self._htcondor.AdType.Startd
        return [_plain_ad(ad) for ad in self._htcondor.Collector().query(kind, True, projection)]

    def history(
        self, constraint: str, projection: list[str], match: int, since: str | None
    ) -> list[dict[str, Any]]:
        ads = self._schedd().history(constraint, projection, match, since)
        return [_plain_ad(ad) for ad in ads]

    def act(self, action: str, constraint: str, reason: str) -> dict[str, Any]:
        # A plain string is dropped (25.14.1); only a pair (text, code) arrives in the job ad.
        verb = getattr(self._htcondor.JobAction, action)
        ad = self._schedd().act(verb, constraint, reason=(reason, 0))
        return {} if ad is None else _plain_ad(ad)

    def edit(self, constraint: str, attribute: str, value: str) -> int:
        return int(self._schedd().edit(constraint, attribute, value) or 0)

    def halt_dag(self, cluster: int, reason: str) -> dict[str, Any]:
        done, text = self._htcondor.DAGMan(cluster).halt(reason)
        return {"done": bool(done), "text": str(text)}


def _find(calls: _Calls, name: str) -> Callable[..., Any]:
    if name.startswith("_"):
        raise AttributeError(name)
    found: Callable[..., Any] = getattr(calls, name)
    return found


def _answer(calls: _Calls, request: bytes) -> bytes:
    name, arguments = json.loads(request)
    try:
        return json.dumps({"value": _find(calls, name)(**arguments)}).encode()
    except Exception as error:  # whatever it is, the client must learn of it
        calls.forget()
        return json.dumps({"error": str(error), "type": type(error).__name__}).encode()


def main(argv: list[str]) -> None:
    """Answer calls until the other end closes."""
    descriptor, parent = int(argv[0]), int(argv[1])
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    connection: Connection = Connection(descriptor)
    try:
        calls = _Calls()
    except Exception as error:  # no CONDOR_CONFIG, no wheel, ...
        connection.send_bytes(json.dumps({"error": str(error), "type": "Start"}).encode())
        return
    connection.send_bytes(json.dumps({"value": "ready"}).encode())
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_answer(calls, request))


if __name__ == "__main__":
    main(sys.argv[1:])
