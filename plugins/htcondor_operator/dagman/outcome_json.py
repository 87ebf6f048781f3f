"""The outcome of folding a DAG's files, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from htcondor_operator.dagman.model import NodeType
from htcondor_operator.dagman.offline import Outcome, Verdict


def outcome_mapping(outcome: Outcome) -> dict[str, object]:
    """Return a JSON-able form."""
    return {
        "nodes": {name: _mapping(name, verdict) for name, verdict in outcome.nodes.items()},
        "states": _counts(outcome),
        "dagman": {
            "ended": outcome.dagman_ended,
            "exit_code": outcome.exit_code,
            "nodes_total": outcome.total,
            "nodes_unseen": _unseen(outcome),
        },
        "times": "UTC" if outcome.utc else "local",
        "warnings": outcome.warnings,
    }


def _unseen(outcome: Outcome) -> int | None:
    """Return how many nodes no file names: without a DAG file those that never started."""
    if outcome.total is None:
        return None
    counted = [v for v in outcome.nodes.values() if v.type != NodeType.SERVICE]
    return max(0, outcome.total - len(counted))


def _counts(outcome: Outcome) -> dict[str, int]:
    counts: dict[str, int] = {}
    for verdict in outcome.nodes.values():
        state = verdict.node.state.value
        counts[state] = counts.get(state, 0) + 1
    return counts


def _mapping(name: str, verdict: Verdict) -> dict[str, object]:
    node = verdict.node
    return {
        "node": name,
        "type": verdict.type,
        "state": node.state.value,
        "reason": node.reason,
        "source": verdict.source,
        "try": node.retry,
        "cluster": node.cluster,
        "exit_code": node.exit_code,
        "exit_signal": node.exit_signal,
        "hold_reason": node.hold_reason,
        "host": node.host,
        "slot": node.slot,
        "submitted_at": _iso(node.submitted_at),
        "started_at": _iso(node.started_at),
        "ended_at": _iso(node.ended_at),
        "memory_peak_mb": node.memory_peak_mb,
        "cpu_user_s": node.cpu_user_s,
        "cpu_system_s": node.cpu_system_s,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat()
