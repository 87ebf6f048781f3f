"""A small client of Airflow's public REST API, with the standard library only."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from htcondor_operator.vocabulary import ErrorKind, OwlError

TIMEOUT = 20


class ApiError(OwlError):
    """The API refused, with its status and words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(ErrorKind.INTERNAL, message)
        self.status = status


@dataclass
class Api:
    """A logged-in user of one Airflow.

    Parameters
    ----------
    address
        ``http://host:port``.
    user, password
        Of the SimpleAuthManager.
    timeout
        Seconds to wait for an answer.
    """

    address: str
    user: str
    password: str = field(repr=False)
    timeout: float = TIMEOUT
    _token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call ``/api/v2`` + `path` and return the answer's JSON."""
        if not self._token:
            login = {"username": self.user, "password": self.password}
            self._token = self._send("POST", "/auth/token", login)["access_token"]
        return self._send(method, f"/api/v2{path}", body)

    def trigger(self, dag: str, run: str, conf: dict[str, object]) -> bool:
        """Make a DagRun; return False if this one was already there."""
        body = {"dag_run_id": run, "logical_date": None, "conf": conf}
        try:
            self.call("POST", f"/dags/{dag}/dagRuns", body)
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        return True

    def wait_for_dag(self, dag: str, timeout: float = 240.0) -> None:
        """Wait until the DAG processor has made a DAG known.

        That may be at the end of the parse after the one that is under way, with its pause.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                if not self.call("GET", f"/dags/{dag}")["has_import_errors"]:
                    return
                problem = "has import errors"
            except ApiError as error:
                problem = error.message
                if error.status not in {0, 404}:
                    raise
            if time.monotonic() > end:
                errors = self.call("GET", "/importErrors")["import_errors"]
                last = errors[-1]["stack_trace"] if errors else problem
                raise OwlError(
                    ErrorKind.BAD_TEMPLATE, f"Airflow does not know the DAG {dag!r}: {last}"
                )
            time.sleep(1)

    def _send(self, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            words = error.read()[:500].decode(errors="replace")
            message = f"{method} {self.address}{path}: {error.code} {words}"
            raise ApiError(error.code, message) from error
        except (OSError, ValueError) as error:
            raise ApiError(0, f"{method} {self.address}{path}: {error}") from error
