"""The arithmetic of ``owl bench queue``, and what is expected. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

AT_MOST: Mapping[str, float] = {
    "claim_500_ms": 50.0,
    "status_ms": 100.0,
    "list_page_ms": 100.0,
    "bulk_add_100k_s": 10.0,
}
AT_LEAST: Mapping[str, float] = {"dagruns_created_per_s": 40.0}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return how values are spread, for people who want more than one figure."""
    return {
        "p50": round(percentile(values, 0.5), 3),
        "p95": round(percentile(values, 0.95), 3),
        "max": round(max(values), 3),
        "samples": len(values),
    }


def missed(figures: Mapping[str, float]) -> list[str]:
    """Return the names of the figures that are not as good as expected."""
    slow = [name for name, most in AT_MOST.items() if figures[name] > most]
    return slow + [name for name, least in AT_LEAST.items() if figures[name] < least]
