"""Three hundred datasets by ``airflow backfill create`` and three hundred by list."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.e2e.live_stack import Stack, until

DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
PER_DAY = 100
LISTED = 300


def owl_json(stack: Stack, *words: str, timeout: float = 120) -> Any:
    done = stack.owl(*words, "--json", timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def observed(stack: Stack, names: list[str], day: str) -> None:
    """Put datasets into the archive's catalogue as if they had been observed on a day."""
    stack.sql(
        """
        INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
               dataproduct_type, calib_level, access_url, access_format, access_estsize, bytes,
               sha256, instrument_name, observed_at)
        SELECT n, n, n || '_flt.fits', 'HST', 'ivo://test/' || n, 'image', 2, 'file:///nowhere',
               'image/fits', 1, 1, repeat('0', 64), 'WFC3', %(day)s::timestamptz + interval '5 h'
        FROM unnest(%(names)s::text[]) AS n RETURNING 1
        """,
        names=names,
        day=f"{day} 00:00+00",
    )


def outcomes(stack: Stack, prefix: str) -> dict[str, list[str]]:
    """Return what the jobs themselves have written, by dataset."""
    return {
        file.name.removesuffix(".ran"): file.read_text().split("\n")[:-1]
        for file in stack.control.glob(f"{prefix}*.ran")
    }


def backfill_runs(stack: Stack) -> dict[str, str]:
    rows = stack.sql(
        """SELECT to_char(logical_date, 'YYYY-MM-DD') AS day, state FROM dag_run
           WHERE dag_id = 'repro_wf3' AND backfill_id IS NOT NULL AND logical_date >= %(first)s""",
        first=f"{DAYS[0]} 00:00+00",
    )
    return {row["day"]: row["state"] for row in rows}


def open_backfills(stack: Stack) -> list[dict[str, Any]]:
    return stack.sql("SELECT id FROM backfill WHERE dag_id = 'repro_wf3' AND completed_at IS NULL")


def airflow(stack: Stack, *words: str) -> str:
    done = stack.owl("--", "airflow", *words, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.e2e
def test_backfill_of_three_hundred(alone: Stack) -> None:
    stack, prefix = alone, f"bf{uuid.uuid4().hex[:5]}"
    names = {day: [f"{prefix}-{day[-1]}{n:02d}" for n in range(PER_DAY)] for day in DAYS}
    for day in DAYS:
        observed(stack, names[day], day)
    bad = names[DAYS[1]][:2]
    for name in bad:
        (stack.control / f"{name}.ONE.fail").write_text("3\n")
    conf = {"type": "e2e_one", "reason": "test", "params": {"control": str(stack.control)}}
    create = ("backfill", "create", "--dag-id", "repro_wf3", "--from-date", DAYS[0])
    create += ("--to-date", DAYS[-1], "--max-active-runs", "2", "--dag-run-conf", json.dumps(conf))
    airflow(stack, *create, "--reprocess-behavior", "none")
    until(
        "the days have ended",
        lambda: (
            set(backfill_runs(stack).values()) <= {"success", "failed"}
            and len(backfill_runs(stack)) == len(DAYS)
        ),
        timeout=400,
        every=2,
    )
    assert backfill_runs(stack) == {DAYS[0]: "success", DAYS[1]: "failed", DAYS[2]: "success"}
    ran = outcomes(stack, prefix)
    assert set(ran) == {name for day in DAYS for name in names[day]}
    assert all(
        words == ["ONE start", "ONE failed" if name in bad else "ONE done"]
        for name, words in ran.items()
    )
    # The cause is mended; only the day that failed is run again, and of it only what failed.
    for name in bad:
        (stack.control / f"{name}.ONE.fail").unlink()
    # Airflow looks every half minute whether a backfill is over; there is one per DAG at a time.
    until("the backfill is over", lambda: not open_backfills(stack), 240, 1)
    airflow(stack, *create, "--reprocess-behavior", "failed")
    until("the day is done", lambda: set(backfill_runs(stack).values()) == {"success"}, 400, 2)
    again = outcomes(stack, prefix)
    assert {name for name in again if again[name] != ran[name]} == set(bad)
    assert all(again[name][-1] == "ONE done" for name in again)


@pytest.mark.e2e
def test_campaign_by_list_is_paused_resumed_and_retried(alone: Stack) -> None:
    stack, prefix = alone, f"cp{uuid.uuid4().hex[:5]}"
    names = [f"{prefix}-{number:03d}" for number in range(LISTED)]
    bad = names[:3]
    for name in bad:
        (stack.control / f"{name}.ONE.fail").write_text("28\n")
    file = stack.control / f"{prefix}.list"
    file.write_text("\n".join(names) + "\n")
    # So few at a time, and so many of them waiting, that the pause comes in the midst of it.
    late = names[60:]
    for name in late:
        (stack.control / f"{name}.ONE.wait").touch()
    shoveler(stack, "max_running=30")
    made = owl_json(
        stack,
        *("campaign", "create", prefix, "--type", "e2e_one", "--datasets", str(file)),
        *("--param", f"control={stack.control}", "--reason", "test"),
    )
    assert made["added"] == LISTED
    until("it runs", lambda: status(stack, prefix)["counts"]["done"] > 20, 240, 1)
    assert stack.owl("campaign", "pause", prefix, "--reason", "look").returncode == 0
    for name in late:
        (stack.control / f"{name}.ONE.wait").unlink()
    # What is in Airflow goes on; nothing more comes.
    until("what ran has ended", lambda: in_airflow(stack, prefix) == 0, 240, 2)
    before = status(stack, prefix)
    assert before["state"] == "paused"
    assert 0 < before["ended"] < LISTED, "the pause came too late to see anything"
    assert before["counts"]["paused"] == LISTED - before["ended"]
    assert stack.owl("campaign", "resume", prefix).returncode == 0
    shoveler(stack, "max_running=500")
    until("all have ended", lambda: status(stack, prefix)["open"] == 0, 400, 2)
    ended = status(stack, prefix)
    assert (ended["counts"]["done"], ended["counts"]["failed"]) == (LISTED - 3, 3)
    (kind,) = ended["failures"]
    assert kind["n"] == len(bad)
    assert "ONE" in kind["kind"]
    for name in bad:
        (stack.control / f"{name}.ONE.fail").unlink()
    told = owl_json(stack, "campaign", "retry-failed", prefix)
    assert told["rescued"] == len(bad)
    until("it is done", lambda: status(stack, prefix)["counts"]["done"] == LISTED, 400, 2)
    assert status(stack, prefix)["state"] == "done"
    ran = outcomes(stack, prefix)
    assert {name: words for name, words in ran.items() if words != ["ONE start", "ONE done"]} == {
        name: ["ONE start", "ONE failed", "ONE start", "ONE done"] for name in bad
    }
    assert set(ran) == set(names)


def shoveler(stack: Stack, *settings: str) -> None:
    done = stack.owl("shoveler", "set", *settings, "--reason", "test")
    assert done.returncode == 0, done.stdout + done.stderr


def status(stack: Stack, name: str) -> dict[str, Any]:
    told: dict[str, Any] = owl_json(stack, "campaign", "status", name)
    return told


def in_airflow(stack: Stack, prefix: str) -> int:
    """Return how many of the campaign's runs are in Airflow and not over."""
    return int(
        stack.sql(
            """SELECT count(*) AS n FROM owl_queue_history
               WHERE fileset LIKE %(p)s AND outcome = 'shoveled'""",
            p=f"{prefix}%",
        )[0]["n"]
    )
