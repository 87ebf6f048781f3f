"""A backfill that is paused and goes on, in Airflow and in the queue."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg2
import pytest

from tests.e2e.live_stack import ROOT, Stack, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
PATIENCE = 900.0


def told(stack: Stack, *words: str) -> dict:
    done = stack.owl("campaign", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout[done.stdout.index("{") :])


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
    """Catalogue five datasets on each of ten days."""
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
                           generate_series(1, 5) n) x
            """
        )


def days(stack: Stack) -> dict[str, str]:
    rows = stack.sql(
        "SELECT run_id, state FROM dag_run"
        r" WHERE dag_id = 'repro_wf3' AND run_id LIKE 'backfill\_\_2026-01%%'"
    )
    return {row["run_id"][10:20]: row["state"] for row in rows}


def over(stack: Stack, number: int) -> bool:
    rows = stack.sql("SELECT completed_at FROM backfill WHERE id = %(id)s", id=number)
    return bool(rows and rows[0]["completed_at"])


def test_a_backfill_is_paused_and_goes_on(alone: Stack) -> None:
    stack = alone
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
    assert (status["total"], status["counts"]["failed"], status["state"]) == (50, 1, "done")
    bad.unlink()
    backfill(stack, "failed")
    until("the second is over", lambda: over(stack, number + 1), PATIENCE, every=3)
    assert set(days(stack).values()) == {"success"}
    assert told(stack, "status", f"repro_wf3.backfill_{number + 1}")["total"] == 1


def campaigns(stack: Stack) -> set[str]:
    return {row["name"] for row in stack.sql("SELECT name FROM owl_campaign")}
