from __future__ import annotations

import json

from tests.e2e.conftest import beside
from tests.e2e.live_stack import Stack


@beside
def test_a_small_campaign_measures_both_sides_and_loses_nothing(stack: Stack):
    words = ("bench", "campaign", "--datasets", "2", "--pairs", "1", "--json")
    done = stack.owl(*words, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["lost"], told["duplicated"]) == (0, 0)
    assert told["wall_ratio"] > 0
    assert told["airflow_cpu_ms_per_node"] > 0
    assert {"scheduler", "postgres", "mirror", "gateway"} <= told["cpu_ms_per_node"].keys()
    pair = told["per_pair"][0]
    assert pair["order"] == ["raw", "airflow"]
    assert pair["raw"]["nodes"] == pair["airflow"]["nodes"] == 18
    # Every node has its submission, start and end on the blackboard, and its end in the grid.
    assert told["mirror_lag_s"]["samples"] >= 3 * 18
    assert told["task_instance_lag_s"]["samples"] == 18
    assert 0 <= told["mirror_lag_s"]["p50"] <= told["mirror_lag_s"]["p99"]
    assert told["machine"]["cores"] >= 1
