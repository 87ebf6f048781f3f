"""When the gateway looks at something again: in memory only, a restart looks at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from htcondor_operator.condor.attempts import backoff

K = TypeVar("K", bound=Hashable)


@dataclass
class Schedule(Generic[K]):
    """Things that are left alone until their time has come."""

    clock: Callable[[], float] = time.monotonic
    _due: dict[K, float] = field(default_factory=dict)

    def later(self, key: K, seconds: float) -> None:
        """Leave `key` alone for so long."""
        self._due[key] = self.clock() + seconds

    def waiting(self) -> list[K]:
        """Return all that are to be left alone now, and forget the others."""
        now = self.clock()
        self._due = {key: due for key, due in self._due.items() if due > now}
        return list(self._due)

    def next_due(self) -> float | None:
        """Return the seconds until the first of them is due."""
        return max(0.0, min(self._due.values()) - self.clock()) if self._due else None


@dataclass
class Patience:
    """How long a schedd that does not answer is left alone."""

    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    _until: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds until the next try."""
        return max(0.0, self._until - self.clock())

    def failed(self) -> None:
        """Wait longer than the last time."""
        self.failures += 1
        self._until = self.clock() + backoff(self.failures)

    def succeeded(self) -> None:
        """Wait no more."""
        self.failures = 0
        self._until = 0.0
