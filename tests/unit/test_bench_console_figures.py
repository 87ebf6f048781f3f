from __future__ import annotations

from typing import Any

from htcondor_operator.bench.console_figures import missed, not_measured, pages


def answer(page: str, ms: float) -> dict[str, Any]:
    return {"page": page, "path": f"/{page}", "query": {"a": 1}, "ms": ms, "bytes": 1}


def test_each_page_is_looked_at_by_itself() -> None:
    figures = pages([*(answer("flow", 10.0) for _ in range(99)), answer("errors", 400.0)])
    assert figures["page_ms"] == 10.0
    assert figures["p95_ms_by_page"] == {"errors": 400.0, "flow": 10.0}
    assert figures["slowest_ms"] == 400.0
    assert figures["detail"]["slowest"] == {"/errors a=1": 400.0, "/flow a=1": 10.0}
    told = {**figures, "bundle_kb": 401.0, "first_row_s": None, "refresh_500_ms": 100.0}
    assert missed(told) == ["bundle_kb", "page_ms of errors"]
    assert not_measured(told) == ["first_row_s"]
