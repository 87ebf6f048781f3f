"""When the job of a node ran: a job that is held and released, or evicted, runs more than once."""

from __future__ import annotations

from datetime import datetime

Execution = list[object]
"""Proc, start, end (None while it runs) and host; times as ISO text, because it is kept as JSON."""


def began(
    known: list[Execution] | None, proc: int, at: datetime, host: str | None
) -> list[Execution]:
    """Return the executions with one more; telling it twice changes nothing."""
    all_of_them = list(known or [])
    start = at.isoformat()
    if any(one[0] == proc and one[1] == start for one in all_of_them):
        return all_of_them
    # The end of the one before was not told.
    all_of_them = over(all_of_them, proc, at)
    return sorted([*all_of_them, [proc, start, None, host]], key=lambda one: str(one[1]))


def over(known: list[Execution] | None, proc: int, at: datetime) -> list[Execution]:
    """Return the executions with that of a proc ended, if it runs and began before."""
    end = at.isoformat()
    return [
        [proc, one[1], end, one[3]]
        if one[0] == proc and one[2] is None and datetime.fromisoformat(str(one[1])) <= at
        else one
        for one in known or []
    ]
