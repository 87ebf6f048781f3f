"""An event log as HTCondor writes and rotates it; as a program, a writer that rotates all the time.

The order is that of ``WriteUserLog::doRotation`` in HTCondor's source: the oldest file is renamed
first, the current one last, then a new one is made and begun with its header.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

MAX_ROTATIONS = 200


def head(sequence: int = 1, ctime: int = 1) -> str:
    """Return the header of file number `sequence`."""
    return (
        "008 (-01.-01.-01) 2026-11-22 21:28:07.990Z Global JobLog:"
        f" ctime={ctime} id=9.{ctime}.1.{sequence} sequence={sequence} size=0 events=0 offset=0"
        " event_off=0 max_rotation=20 creator_name=<>\n...\n"
    )


def event(cluster: int) -> str:
    """Return a submit event of the job `cluster`, as the job-ad-information event about it."""
    return (
        f"028 ({cluster:03d}.000.000) 2026-11-22 21:28:07.990Z Job ad information event"
        " triggered.\n"
        f'Cluster = {cluster}\nProc = 0\nEventTime = "2026-11-22T21:28:07.990Z"\n'
        "EventTypeNumber = 28\nTriggerEventTypeNumber = 0\n...\n"
    )


def rotate(path: Path, sequence: int) -> None:
    """Rotate the log; `sequence` is the number of the new file."""
    for age in range(MAX_ROTATIONS, 1, -1):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}.{age - 1}").rename(f"{path}.{age}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(f"{path}.1")
    append(path, head(sequence, int(time.time())))


def append(path: Path, text: str) -> None:
    """Write `text` with a single call, as HTCondor does."""
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(number, text.encode())
    os.close(number)


def main() -> None:
    """Write as many events as asked for, three to a file."""
    path, events = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(1, events + 1):
        if number % 3 == 1:
            rotate(path, number // 3 + 1)
        append(path, event(number))
        time.sleep(0.002)


if __name__ == "__main__":
    main()
