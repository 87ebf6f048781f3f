"""The arithmetic of ``owl bench console``, and what is expected. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from htcondor_operator.bench.queue_figures import percentile, spread

PAGE_MS = 150.0
AT_MOST: Mapping[str, float] = {
    "page_ms": PAGE_MS,
    "slowest_ms": 500.0,
    "first_row_s": 1.5,
    "bundle_kb": 400.0,
    "refresh_500_ms": 100.0,
}
SLOWEST = 20


def pages(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return p95 over all answers and by page, and the slowest questions (medians).

    Parameters
    ----------
    answers
        Lines of ``console_client``: page, path, query, ms, bytes.
    """
    by_page: dict[str, list[float]] = {}
    by_question: dict[str, list[float]] = {}
    for line in answers:
        by_page.setdefault(line["page"], []).append(line["ms"])
        question = " ".join([line["path"], *(f"{k}={v}" for k, v in line["query"].items())])
        by_question.setdefault(question, []).append(line["ms"])
    typical = {question: percentile(times, 0.5) for question, times in by_question.items()}
    slowest = sorted(typical, key=lambda question: -typical[question])[:SLOWEST]
    return {
        "page_ms": round(percentile([line["ms"] for line in answers], 0.95), 1),
        "slowest_ms": round(max(typical.values()), 1),
        "p95_ms_by_page": {
            page: round(percentile(times, 0.95), 1) for page, times in sorted(by_page.items())
        },
        "detail": {
            "pages": {page: spread(times) for page, times in sorted(by_page.items())},
            "slowest": {question: typical[question] for question in slowest},
        },
    }


def missed(figures: Mapping[str, Any]) -> list[str]:
    """Return the names of the figures that are not as good as expected; unknown ones are not."""
    slow = [name for name, most in AT_MOST.items() if (figures.get(name) or 0.0) > most]
    by_page: Mapping[str, float] = figures["p95_ms_by_page"]
    return slow + [f"page_ms of {page}" for page, ms in by_page.items() if ms > PAGE_MS]


def not_measured(figures: Mapping[str, Any], names: Iterable[str] = AT_MOST) -> list[str]:
    """Return the names of the figures that there are none of."""
    return [name for name in names if figures.get(name) is None]
