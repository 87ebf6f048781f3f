"""Keeps what the console shows, in a thread and a connection of its own: the mirror never waits.

It folds the marks that writers left, and reads what failed jobs said last. Nothing needs to be
kept between two lives of the thread: marks wait in the database, and a failure without words is
found again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard import flow_fold, flow_words
from htcondor_operator.dagman.failure_words import fingerprint, last_words
from htcondor_operator.exit_codes import exit_codes

log = logging.getLogger(__name__)

_EVERY_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_TAIL_BYTES = 8 * 1024


class Flow(threading.Thread):
    """Folds marks into ``owl_flow`` and gives failures their words.

    Parameters
    ----------
    connect
        Opens a connection that is not in autocommit mode.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        super().__init__(name="flow", daemon=True)
        self._connect = connect
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread; what is not folded now is folded by the next one."""
        self._stopped.set()

    def run(self) -> None:
        """Fold until stopped; start over when the database goes away."""
        pause = _EVERY_SECONDS
        while not self._stopped.wait(pause):
            try:
                self._session()
                pause = _EVERY_SECONDS
            except psycopg2.Error as error:
                log.warning("the console's rows wait: %s", str(error).strip())
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:  # a mistake here must not end the only thread that folds
                log.exception("the console's rows wait")
                pause = _LONGEST_PAUSE

    def _session(self) -> None:
        connection = self._connect()
        try:
            while not self._stopped.is_set():
                if look(connection) < flow_fold.BATCH:
                    self._stopped.wait(_EVERY_SECONDS)
        finally:
            connection.close()


def look(connection: Connection) -> int:
    """Fold one batch and give words to failures; return how many runs were folded."""
    names = {code: name for code, (name, _) in exit_codes().items()}
    with connection, connection.cursor() as cur:
        folded = flow_fold.fold(cur, names)
        if folded is None:
            return 0
        speechless = flow_words.without_words(cur)
        words = [_words_of(row) for row in speechless]
        flow_words.give(cur, words)
    return folded


def _words_of(row: flow_words.Speechless) -> flow_words.Words:
    said = _tail(row.err_path) if row.err_path else None
    message = last_words(said) if said else None
    message = message or row.message or row.error_kind or row.state
    return flow_words.Words(row.run_key, message, fingerprint(message, row.dataset))


def _tail(path: str) -> str | None:
    """Return the end of a file; None when it cannot be read (it may be on another machine)."""
    try:
        with Path(path).open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(stream.tell() - _TAIL_BYTES, 0))
            return stream.read().decode(errors="replace")
    except OSError:
        return None
