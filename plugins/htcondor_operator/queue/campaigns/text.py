"""A campaign's progress in words, and as a mapping for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htcondor_operator.blackboard.campaign_rows import Campaign
from htcondor_operator.blackboard.campaign_truth import Progress
from htcondor_operator.vocabulary import MemberState

BAR = 40

Failures = Sequence[tuple[str, int, str]]
"""(kind, how many, a dataset that shows it), the most frequent first."""


def report(campaign: Campaign, progress: Progress, failures: Failures) -> dict[str, Any]:
    """Return everything about a campaign's progress."""
    rate, eta = progress.rate_per_hour, progress.eta_s
    return {
        "name": campaign.name,
        "type": campaign.type,
        "state": str(progress.shown_state(campaign.state)),
        "priority": campaign.priority,
        "source": campaign.source,
        "reason": campaign.reason,
        "created_by": campaign.created_by,
        "approved_by": campaign.approved_by,
        "created_at": campaign.created_at,
        "total": progress.total,
        "open": progress.open,
        "ended": progress.ended,
        "counts": {str(state): progress.counts.get(state, 0) for state in MemberState},
        "rate_per_hour": None if rate is None else round(rate, 1),
        "eta_s": None if eta is None else round(eta),
        "last_ended_at": progress.last_ended_at,
        "failures": [{"kind": kind, "n": n, "for_instance": one} for kind, n, one in failures],
    }


def bar(done: int, failed: int, total: int, width: int = BAR) -> str:
    """Return a bar: ``#`` done, ``!`` ended otherwise, ``.`` open; nothing is rounded away."""
    if not total:
        return "." * width
    marks = [_cells(n, total, width) for n in (done, failed)]
    if sum(marks) > width:
        marks[0] = width - marks[1]
    if done + failed < total and sum(marks) == width:
        marks[marks[0] < marks[1]] -= 1
    return "#" * marks[0] + "!" * marks[1] + "." * (width - sum(marks))


def _cells(n: int, total: int, width: int) -> int:
    return 0 if n == 0 else max(1, n * width // total)


def duration(seconds: float | None) -> str:
    """Return a duration in two units: ``2 h 05 min``."""
    if seconds is None:
        return "not known yet"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def lines(told: dict[str, Any]) -> list[str]:
    """Return a report as lines for people."""
    counts = told["counts"]
    total, done = told["total"], counts[str(MemberState.DONE)]
    other = told["ended"] - done
    percent = 100 * told["ended"] // total if total else 0
    head = f"{told['name']}: {told['state']} · {told['type']} · priority {told['priority']}"
    result = [
        head,
        f"[{bar(done, other, total)}] {percent} %  {told['ended']} of {total}",
        "  ".join(f"{state} {n}" for state, n in counts.items() if n) or "no datasets",
    ]
    if told["open"]:
        rate = told["rate_per_hour"]
        speed = "nothing has ended yet" if rate is None else f"{rate:,.0f} per hour"
        result.append(f"{speed}, to go: {duration(told['eta_s'])}")
    if told["reason"]:
        result.append(f"reason: {told['reason']} ({told['created_by']})")
    result.extend(
        f"failed: {each['n']} x {each['kind']}, for instance {each['for_instance']}"
        for each in told["failures"]
    )
    return result
