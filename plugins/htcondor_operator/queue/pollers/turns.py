"""One poller at work: is it paused, a round, a heartbeat; again and again.

The trigger, the sensor's worker and ``owl poller look`` all do the same turns.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import poller_rows
from htcondor_operator.blackboard.link import Link
from htcondor_operator.queue.pollers.declarations import Declaration, load_declarations
from htcondor_operator.queue.pollers.kinds import Poller, RoundResult, make_poller
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError, PollerState

PAUSED_LOOK_S = 5.0
"""At the most so many seconds between two looks whether a paused poller may go on."""

LONGEST_BACKOFF_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Turn:
    """What one turn did.

    Parameters
    ----------
    state
        None: nothing was done, because another process does this poller's round.
    result
        What was found, if there was a round and it did not fail.
    wait_s
        Seconds until the next turn.
    error
        Why it failed.
    gone
        The poller is no longer declared.
    """

    state: PollerState | None
    wait_s: float
    result: RoundResult = field(default_factory=lambda: RoundResult(0))
    error: str | None = None
    gone: bool = False


@dataclass
class Tally:
    """What the turns of one DAG run found together: its result."""

    rounds: int = 0
    found: int = 0
    failed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    note: str = ""

    def add(self, turn: Turn) -> None:
        """Count one more turn."""
        if turn.state is PollerState.RUNNING:
            self.rounds += 1
        elif turn.state is PollerState.FAILING:
            self.failed += 1
        self.found += turn.result.found
        for name, number in turn.result.counts.items():
            self.counts[name] = self.counts.get(name, 0) + number
        self.note = turn.error or turn.result.note

    def as_json(self) -> dict[str, object]:
        """Return the XCom of the run."""
        return {
            "rounds": self.rounds,
            "found": self.found,
            "failed": self.failed,
            "counts": self.counts,
            "note": self.note,
        }


class Turns:
    """The turns of one poller.

    Parameters
    ----------
    name
        As declared.
    settings
        Where the declarations and the database are.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._link = Link(settings, f"poller {name}")
        self._stamp: tuple[int, int] | None = None
        self._declaration: Declaration | None = None
        self._poller: Poller | None = None
        self._failures = 0

    def turn(self, *, even_if_paused: bool = False) -> Turn:
        """Do one turn; errors are in the result, the heartbeat and the log."""
        try:
            turn = self._turn(even_if_paused)
        except Exception as error:  # every error is shown, none ends the poller
            return self._failed(error)
        self._failures = 0
        return turn

    def close(self) -> None:
        """Give all connections back."""
        self._forget()
        self._link.close()

    def _turn(self, even_if_paused: bool) -> Turn:
        declaration = self._declared()
        if declaration is None:
            return Turn(None, 0.0, gone=True)
        with self._link.transaction() as cur:
            paused = not even_if_paused and poller_rows.is_paused(cur, declaration.dag_id)
            if paused:
                _beat(cur, declaration, PollerState.PAUSED)
            elif not poller_rows.try_lock(cur, self.name):
                return Turn(None, declaration.interval_s)
        if paused:
            self._forget()
            return Turn(PollerState.PAUSED, min(declaration.interval_s, PAUSED_LOOK_S))
        try:
            if self._poller is None:
                self._poller = make_poller(declaration, self._settings)
            result = self._poller.round()
        finally:
            # Should it fail, the connection goes, and the lock with it.
            with self._link.transaction() as cur:
                poller_rows.unlock(cur, self.name)
        with self._link.transaction() as cur:
            _beat(cur, declaration, PollerState.RUNNING, result)
        wait = 0.0 if result.more else declaration.interval_s
        return Turn(PollerState.RUNNING, wait, result)

    def _declared(self) -> Declaration | None:
        """Return the declaration as the file says it now; None when it says nothing of it."""
        path = self._settings.pollers
        try:
            about = path.stat()
        except OSError as error:
            words = f"{path}: cannot be read: {error}. Correct the file, or OWL_POLLERS."
            raise OwlError(ErrorKind.BAD_CONF, words) from error
        stamp = (about.st_mtime_ns, about.st_size)
        if stamp == self._stamp:
            return self._declaration
        found = load_declarations(path)
        try:
            declaration = found.get(self.name)
        except OwlError as error:
            if found.errors:  # perhaps of this poller: never taken for removed
                raise
            log.info("%s", error.message)
            return None
        if declaration != self._declaration:
            self._forget()
        self._stamp, self._declaration = stamp, declaration
        return declaration

    def _failed(self, error: Exception) -> Turn:
        self._failures += 1
        words = error.message if isinstance(error, OwlError) else f"{type(error).__name__}: {error}"
        words = words.strip()
        log.warning("poller %s: %s", self.name, words, exc_info=not isinstance(error, OwlError))
        self._forget()
        declaration = self._declaration
        interval = declaration.interval_s if declaration else 1.0
        if declaration is not None:
            try:
                with self._link.transaction() as cur:
                    _beat(cur, declaration, PollerState.FAILING, error=words)
            except (psycopg2.Error, OwlError) as silent:
                log.warning("poller %s: no heartbeat: %s", self.name, str(silent).strip())
        wait = min(interval * 2.0 ** min(self._failures - 1, 10), LONGEST_BACKOFF_S)
        return Turn(PollerState.FAILING, max(wait, min(interval, 1.0)), error=words)

    def _forget(self) -> None:
        poller, self._poller = self._poller, None
        if poller is not None:
            try:
                poller.close()
            except Exception:  # its connections are broken anyway
                log.warning("poller %s: close failed", self.name, exc_info=True)


def _beat(
    cur: Cursor,
    declaration: Declaration,
    state: PollerState,
    result: RoundResult | None = None,
    error: str | None = None,
) -> None:
    poller_rows.beat(
        cur,
        name=declaration.name,
        dag_id=declaration.dag_id,
        kind=declaration.kind,
        directory=declaration.directory,
        interval_s=declaration.interval_s,
        state=state,
        result=_result(result),
        note=(result.note or None) if result is not None and not result.found else None,
        error=error,
    )


def _result(result: RoundResult | None) -> Mapping[str, object] | None:
    if result is None or not result.found:
        return None
    return {"found": result.found, "counts": dict(result.counts), "note": result.note}
