"""Remembers campaigns' numbers between two looks at the list.

They are counted out of every member (campaign_truth.py), which for a hundred campaigns of
thousands takes a second. What is over hardly changes, so it is counted again now and then; what
goes on, every few seconds. Each campaign has moments of its own, so that no request counts all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from zlib import crc32

from htcondor_operator.blackboard.campaign_truth import Counts

OVER_SECONDS = 60.0
OPEN_SECONDS = 3.0
SECONDS_PER_MEMBER = 0.001
"""A large campaign is counted less often: ten seconds between two counts of ten thousand."""


class CampaignCounts:
    """Numbers by campaign, with the time until which they are good."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, Counts]] = {}
        self._lock = threading.Lock()

    def known(self) -> dict[str, Counts]:
        """Return the numbers that are still good."""
        now = self._clock()
        with self._lock:
            self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > now}
            return {name: counts for name, (_, counts) in self._kept.items()}

    def keep(self, found: Mapping[str, Counts]) -> None:
        """Remember numbers; those that are remembered already stay as long as they would."""
        now = self._clock()
        with self._lock:
            for name, counts in found.items():
                members = counts.open + counts.done + counts.failed
                good = OVER_SECONDS if not counts.open else OPEN_SECONDS
                good += SECONDS_PER_MEMBER * members
                # From half to one and a half times that, by the name.
                self._kept.setdefault(
                    name, (now + good * (0.5 + crc32(name.encode()) % 1000 / 1000), counts)
                )

    def forget(self, name: str) -> None:
        """Count a campaign anew at the next look: somebody has changed it."""
        with self._lock:
            self._kept.pop(name, None)
