from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg2
import pytest
from owl_site import Owl

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def owl(state_dir: Path) -> Iterator[Owl]:
    """A stack of its own: the demo begins with nothing."""
    runner = Owl(state_dir / "demo")
    try:
        runner("up")
        yield runner
    finally:
        runner("down", "--purge", code=None)


@pytest.fixture(scope="module")
def first(owl: Owl, shared_data: Path) -> str:
    owl.env["OWL_SHARED_DATA"] = str(shared_data)
    return owl("demo", "--timeout", "300")


def test_real_frames_go_through_nine_jobs_into_the_archive(owl: Owl, first: str):
    told = owl.status()
    assert {row["dataset"] for row in told["datasets"]} == {"j8bt05njq", "j8bt06o6q"}
    for row in told["datasets"]:
        assert row["archived"], row
        assert (row["nodes"], row["done"], row["lost"]) == (9, 9, 0)
    assert told["lost"] == 0
    # Of the last batch alone. A wrong time zone is hours, a machine that rests is seconds.
    assert told["mirror"][0]["lag_p99_s"] < 900


def test_the_demo_names_products_previews_and_login(owl: Owl, first: str):
    named = {kind: _paths(first, kind) for kind in ("product", "preview")}
    assert all(named.values())
    assert all(path.is_file() for paths in named.values() for path in paths)
    assert owl.status()["address"] in first
    assert owl.api().password in first


def parsed(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def test_airflows_grid_says_the_same(owl: Owl, first: str):
    run = "/dags/sdp_prearch_acs/dagRuns/demo__j8bt05njq"
    assert owl.api().call("GET", run)["state"] == "success"
    tasks = owl.api().call("GET", f"{run}/taskInstances")["task_instances"]
    assert len(tasks) == 10  # nine nodes and the launch
    for task in tasks:
        assert task["state"] == "success", task
        # As times: "21Z" and "21.373Z" compare wrongly as text.
        assert parsed(task["start_date"]) <= parsed(task["end_date"])


def test_a_second_demo_does_no_work_twice(owl: Owl, first: str):
    before = _attempts(owl)
    again = owl("demo", "--timeout", "60")
    assert "0 new runs, 2 are there already" in again
    assert _attempts(owl) == before == [(1,), (1,)]


def _paths(text: str, kind: str) -> list[Path]:
    return [Path(line.split(f" {kind}: ")[1]) for line in text.splitlines() if f" {kind}: " in line]


def _attempts(owl: Owl) -> list[tuple[int]]:
    with psycopg2.connect(owl.database()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT attempt FROM owl_attempt WHERE state = 'done' ORDER BY run_key")
        return cursor.fetchall()
