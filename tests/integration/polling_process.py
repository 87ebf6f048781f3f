"""A poller in a process of its own, to be killed: ``python polling_process.py HOME URL``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.integration.deliveries_support import poller_of, settings_at


def main(home: str, url: str) -> None:
    """Do rounds for ever."""
    settings = settings_at(Path(home), url)
    poller = poller_of(settings)
    # Each step a little slower, so that kills hit all of them.
    poller._point = lambda _: time.sleep(0.01)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        poller.round()
        time.sleep(0.005)


if __name__ == "__main__":
    main(*sys.argv[1:])
