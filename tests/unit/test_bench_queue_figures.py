from __future__ import annotations

import pytest

from htcondor_operator.bench.queue_figures import AT_LEAST, AT_MOST, missed, percentile, spread


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5], 0.95, 5), ([3, 1, 2], 0.5, 2), (list(range(1, 101)), 0.95, 95), ([1, 2], 1.0, 2)],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_spread() -> None:
    assert spread([1.0, 2.0, 4.0]) == {"p50": 2.0, "p95": 4.0, "max": 4.0, "samples": 3}


def test_missed() -> None:
    good = {**AT_MOST, **AT_LEAST}
    assert missed(good) == []
    assert missed({**good, "claim_500_ms": 51, "dagruns_created_per_s": 39}) == [
        "claim_500_ms",
        "dagruns_created_per_s",
    ]
