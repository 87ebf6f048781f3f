"""Keeps what the console shows, in a thread and a connection of its own: the mirror never waits.

It folds the marks that writers left, and reads what failed jobs said last. Nothing needs to be
kept between two lives of the thread: marks wait in the database, and a failure without words is
found again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard import flow_fold, flow_words
from htcondor_operator.dagman.failure_words import fingerprint, last_words
from htcondor_operator.exit_codes import exit_codes
from htcondor_operator.mirror.background import Background

_EVERY_SECONDS = 0.5
_TAIL_BYTES = 8 * 1024


class Flow(Background):
    """Folds marks into ``owl_flow`` and gives failures their words.

    Parameters
    ----------
    connect
        Opens a connection that is not in autocommit mode.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        super().__init__("flow", "the console's rows wait", connect, _EVERY_SECONDS)

    def work(self, connection: Connection) -> bool:
        """Fold one batch."""
        return look(connection) >= flow_fold.BATCH


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
