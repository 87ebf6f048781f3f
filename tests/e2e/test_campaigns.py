"""Campaigns of 300 datasets by list and by ``airflow backfill create``, in the live stack."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg2
import pytest

from tests.e2e.live_stack import ROOT, Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
PATIENCE = 900.0
FAILING = 3


def told(stack: Stack, *words: str) -> dict:
    done = stack.owl("campaign", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout[done.stdout.index("{") :])


def ended(stack: Stack, name: str) -> dict | None:
    status = told(stack, "status", name)
    return status if not status["open"] and status["state"] == "done" else None


def test_three_hundred_by_a_list(stack: Stack):
    names = [f"list{number:04}" for number in range(300)]
    file = stack.control / "list.txt"
    file.write_text("\n".join(names))
    for name in names[:FAILING]:
        (stack.control / f"{name}.ONE.fail").write_text("3\n")
    made = told(
        stack,
        *("create", "by_list", "--type", "e2e_one", "--datasets", str(file)),
        *("--reason", "e2e", "--param", f"control={stack.control}"),
    )
    assert made["added"] == 300
    until("some have ended", lambda: told(stack, "status", "by_list")["ended"] >= 10, PATIENCE)
    paused = told(stack, "pause", "by_list", "--reason", "slow down")
    status = told(stack, "status", "by_list")
    assert (status["state"], status["counts"]["waiting"]) == ("paused", 0)
    assert status["counts"]["paused"] == paused["entries"]
    told(stack, "resume", "by_list")
    status = until("all have ended", lambda: ended(stack, "by_list"), PATIENCE, every=3)
    assert (status["counts"]["done"], status["counts"]["failed"]) == (300 - FAILING, FAILING)
    assert status["failures"] == [
        {"kind": "ONE exit_3", "n": FAILING, "for_instance": "list0000"},
    ]
    for name in names[:FAILING]:
        (stack.control / f"{name}.ONE.fail").unlink()
    assert told(stack, "retry-failed", "by_list")["rescued"] == FAILING
    done = until("the rescues", lambda: ended(stack, "by_list"), PATIENCE, every=3)
    assert done["counts"]["done"] == 300
    runs = stack.sql("SELECT count(*) AS n FROM dag_run WHERE run_id LIKE 'dpq__list0%%'")
    assert runs[0]["n"] == 300


def backfill(stack: Stack, behavior: str) -> None:
    conf = {"reason": "e2e", "type": "e2e_one", "params": {"control": str(stack.control)}}
    done = subprocess.run(
        [
            *(str(ROOT / "owl"), "--", "airflow", "backfill", "create", "--dag-id", "repro_wf3"),
            *("--from-date", "2026-01-01", "--to-date", "2026-01-10", "--max-active-runs", "4"),
            *("--reprocess-behavior", behavior, "--dag-run-conf", json.dumps(conf)),
        ],
        env=stack.variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def archive(stack: Stack) -> None:
    """Catalogue thirty datasets on each of ten days."""
    with psycopg2.connect(stack.environment["OWL_DATABASE_URL"]) as connection:
        connection.cursor().execute(
            """
            INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
                dataproduct_type, calib_level, access_url, access_format, access_estsize, bytes,
                sha256, instrument_name, observed_at)
            SELECT d, d, d || '_flt.fits', 'HST', d, 'image', 2, 'u', 'f', 1, 1, 's', 'WFC3', t
              FROM (SELECT 'back' || to_char(day, 'DD') || lpad(n::text, 2, '0') AS d,
                           day + n * interval '30 minutes' AS t
                      FROM generate_series('2026-01-01Z'::timestamptz, '2026-01-10Z', '1 day') day,
                           generate_series(1, 30) n) x
            """
        )


def days(stack: Stack) -> dict[str, str]:
    rows = stack.sql("SELECT run_id, state FROM dag_run WHERE dag_id = 'repro_wf3' ORDER BY run_id")
    return {row["run_id"][10:20]: row["state"] for row in rows}


def over(stack: Stack, number: int) -> bool:
    rows = stack.sql("SELECT completed_at FROM backfill WHERE id = %(id)s", id=number)
    return bool(rows and rows[0]["completed_at"])


def test_three_hundred_by_a_backfill(stack: Stack):
    archive(stack)
    bad = Path(stack.control / "back0301.ONE.fail")
    bad.write_text("4\n")
    backfill(stack, "none")
    number = stack.sql("SELECT max(id) AS id FROM backfill")[0]["id"]
    name = f"repro_wf3.backfill_{number}"
    path = f"/backfills/{number}"
    until("a day has begun", lambda: days(stack) and name in campaigns(stack), PATIENCE)
    stack.operator.call("PUT", f"{path}/pause")
    told(stack, "pause", name)
    assert told(stack, "status", name)["counts"]["waiting"] == 0
    told(stack, "resume", name)
    stack.operator.call("PUT", f"{path}/unpause")
    until("the backfill is over", lambda: over(stack, number), PATIENCE, every=3)
    # Interval of 3 January: Airflow names the run after its end.
    assert [day for day, state in days(stack).items() if state != "success"] == ["2026-01-04"]
    status = told(stack, "status", name)
    assert (status["total"], status["counts"]["failed"], status["state"]) == (300, 1, "done")
    bad.unlink()
    backfill(stack, "failed")
    until("the second is over", lambda: over(stack, number + 1), PATIENCE, every=3)
    assert set(days(stack).values()) == {"success"}
    assert told(stack, "status", f"repro_wf3.backfill_{number + 1}")["total"] == 1


def campaigns(stack: Stack) -> set[str]:
    return {row["name"] for row in stack.sql("SELECT name FROM owl_campaign")}
