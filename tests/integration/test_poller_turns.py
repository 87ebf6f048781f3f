"""Pollers at work: paused, alone, in an outage, killed; as sensor and as trigger."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from htcondor_operator.blackboard.link import Link
from htcondor_operator.blackboard.poller_rows import try_lock
from htcondor_operator.commands.poller import app
from htcondor_operator.queue.pollers.turns import Tally, Turns
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import OwlError, PollerState
from tests.integration.airflow_tables import airflow_environment
from tests.integration.deliveries_support import (
    as_bytes,
    deliver,
    execute,
    journal,
    queue,
    raw,
    rows,
    settings_at,
    with_settings,
)

pytestmark = pytest.mark.database

ROOT = Path(__file__).resolve().parents[2]
POLLERS = """
- name: DP_ACS
  kind: telemetry
  directory: acs
  pattern: "j*"
  interval: 0.2
  instrument: ACS
  workflow: {single: sdp_prearch_acs, association: sdp_prearch_acs_asn}
  complete: {rule: settled, seconds: 0}
"""


@pytest.fixture
def site(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A site with one poller, and the one of Airflow's tables that pollers read."""
    execute(database, "CREATE TABLE dag (dag_id text PRIMARY KEY, is_paused boolean)")
    execute(database, "INSERT INTO dag VALUES ('poll_dp_acs', false)")
    file = tmp_path / "pollers.yaml"
    file.write_text(POLLERS)
    monkeypatch.setenv("OWL_HOME", str(tmp_path))
    monkeypatch.setenv("OWL_DATABASE_URL", database)
    monkeypatch.setenv("OWL_POLLERS", str(file))
    for name in ("OWL_INCOMING", "OWL_QUARANTINE"):
        monkeypatch.delenv(name, raising=False)
    return with_settings(settings_at(tmp_path, database), pollers=file)


@pytest.fixture
def turns(site: Settings) -> Iterator[Turns]:
    turns = Turns("DP_ACS", site)
    yield turns
    turns.close()


def beat(settings: Settings) -> dict[str, Any]:
    (row,) = rows(settings.database_url, "SELECT * FROM owl_poller")
    return row


def test_heartbeat_pause_and_go_on(site: Settings, turns: Turns) -> None:
    assert turns.turn().state is PollerState.RUNNING
    assert beat(site)["state"] == "running"
    assert beat(site)["result_at"] is None
    path = deliver(site.incoming / "acs", "jaaa01abq_raw.fits", raw("jaaa01abq"))
    execute(site.database_url, "UPDATE dag SET is_paused = true")
    for _ in range(3):
        assert turns.turn().state is PollerState.PAUSED
    assert beat(site)["state"] == "paused"
    assert path.exists()
    execute(site.database_url, "UPDATE dag SET is_paused = false")
    turns.turn()
    assert turns.turn().result.counts == {"queued": 1}
    assert beat(site)["result"] == {"found": 1, "counts": {"queued": 1}, "note": ""}
    turns.turn()
    assert beat(site)["result"]["found"] == 1  # the last result stays


def test_one_round_at_a_time(site: Settings, turns: Turns) -> None:
    other = Link(site, "other")
    with other.transaction() as cur:
        assert try_lock(cur, "DP_ACS")
    assert turns.turn().state is None
    other.close()
    # The server notices the end of the other's session a moment later.
    end = time.monotonic() + 60
    while (state := turns.turn().state) is None and time.monotonic() < end:
        time.sleep(0.05)
    assert state is PollerState.RUNNING


def test_a_changed_file_counts_at_once(site: Settings, turns: Turns) -> None:
    turns.turn()
    site.pollers.write_text(POLLERS.replace("interval: 0.2", "interval: 7"))
    assert turns.turn().wait_s == 7
    site.pollers.write_text(POLLERS.replace("interval: 0.2", "interval: soon"))
    turn = turns.turn()
    assert turn.state is PollerState.FAILING
    assert "Poller DP_ACS: interval 'soon' is not right" in str(turn.error)
    assert beat(site)["error"] == turn.error
    site.pollers.write_text(POLLERS.replace("DP_ACS", "OTHER"))
    assert turns.turn().gone


def test_options_that_are_wrong_are_shown(site: Settings, turns: Turns) -> None:
    site.pollers.write_text(POLLERS + "  options: {needs: [tea]}\n")
    turn = turns.turn()
    assert "options.needs ['tea'] is not right: write a list of: jit" in str(turn.error)
    assert turns.turn().wait_s > turn.wait_s


def test_an_outage_of_the_database(site: Settings, turns: Turns) -> None:
    turns.turn()
    deliver(site.incoming / "acs", "jaaa01abq_raw.fits", raw("jaaa01abq"))
    turns.turn()
    execute(
        site.database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    states = [turns.turn().state for _ in range(4)]
    assert states[0] is PollerState.FAILING
    assert states[-1] is PollerState.RUNNING
    assert len(queue(site.database_url)) == 1


def test_the_trigger_ends_its_task_itself(site: Settings) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    from htcondor_operator.triggers.poll import PollTrigger

    path, kwargs = PollTrigger("DP_ACS", shortest_s=0).serialize()
    assert path == "htcondor_operator.triggers.poll.PollTrigger"
    deliver(site.incoming / "acs", "jaaa01abq_raw.fits", raw("jaaa01abq"))

    async def first() -> Any:
        async for event in PollTrigger(**kwargs).run():
            return event
        return None

    event = asyncio.run(asyncio.wait_for(first(), 30))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms is not None
    result = event.xcoms["return_value"]
    assert result["counts"] == {"queued": 1}
    # A poller that is no longer declared ends its run.
    site.pollers.write_text("[]")
    assert isinstance(asyncio.run(asyncio.wait_for(first(), 30)), TaskSuccessEvent)


def test_the_sensor_does_the_same_rounds(site: Settings) -> None:
    from htcondor_operator.poller_dags import check_pollers, make_poller_dags

    site.pollers.write_text(POLLERS + "- {name: B, kind: what, interval: 1}\n")
    dags = make_poller_dags(site.pollers)
    assert set(dags) == {"poll_dp_acs"}
    with pytest.raises(OwlError, match="- Poller B: kind 'what' is not known"):
        check_pollers(site.pollers)
    (task,) = dags["poll_dp_acs"].tasks
    assert task.start_from_trigger
    assert task.start_trigger_args.trigger_kwargs["poller"] == "DP_ACS"
    deliver(site.incoming / "acs", "jaaa01abq_raw.fits", raw("jaaa01abq"))

    class DagRun:
        conf: ClassVar[dict[str, Any]] = {}

    first = task.poke({"dag_run": DagRun()})
    second = task.poke({"dag_run": DagRun()})
    assert not first
    assert second
    assert second.xcom_value["counts"] == {"queued": 1}
    DagRun.conf = {"once": True}
    assert task.poke({"dag_run": DagRun()})


def test_dag_test_does_a_round(airflow_database: str, tmp_path: Path) -> None:
    settings = settings_at(tmp_path, airflow_database)
    file = tmp_path / "pollers.yaml"
    file.write_text(POLLERS)
    deliver(settings.incoming / "acs", "jaaa01abq_raw.fits", raw("jaaa01abq"))
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "dags" / "pollers.py", dags)
    code = (
        "import sys; sys.path.insert(0, 'dags'); import pollers;"
        "run = pollers.poll_dp_acs.test(); print('ended', run.state)"
    )
    environment = airflow_environment(airflow_database, tmp_path) | {
        "OWL_POLLERS": str(file),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "ended success" in done.stdout, done.stdout + done.stderr
    assert len(queue(airflow_database)) == 1


def test_a_tally_of_turns() -> None:
    tally = Tally()
    assert tally.as_json() == {"rounds": 0, "found": 0, "failed": 0, "counts": {}, "note": ""}


# By hand.


def owl(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in words else result.stdout


def test_owl_poller(site: Settings, turns: Turns) -> None:
    acs = site.incoming / "acs"
    (line,) = owl("list", "--json")["pollers"]
    assert (line["name"], line["state"], line["age_s"]) == ("DP_ACS", "new", None)
    good = as_bytes(raw("jaaa01abq"), site.incoming)
    path = deliver(acs, "jaaa01abq_raw.fits", good[:-2880])
    (would,) = owl("look", "DP_ACS", "--json")
    assert would["action"] == "quarantine"
    assert path.exists()
    assert journal(site.database_url) == []
    assert owl("look", "DP_ACS", "--act", "--json")["counts"] == {"quarantined": 1}
    assert "running" in owl("list")
    execute(site.database_url, "UPDATE owl_poller SET beat_at = now() - interval '5 minutes'")
    assert owl("list", "--json")["pollers"][0]["state"] == "silent"
    (bad,) = owl("arrivals", "--state", "quarantined", "--json")
    assert "it is truncated" in bad["reason"]
    assert owl("show", "DP_ACS", "--json")["arrivals"] == {"quarantined": 1}
    # Put back as it is, it is still bad; corrected, it is taken.
    owl("retry", str(bad["id"]), "--by", "ana")
    assert path.exists()
    assert owl("look", "DP_ACS", "--act", "--json")["counts"] == {"quarantined": 1}
    (again,) = owl("arrivals", "--json")
    assert (again["id"], again["state"]) == (bad["id"], "quarantined")
    Path(again["path"]).write_bytes(good)
    assert "is back" in owl("retry", str(bad["id"]), "--by", "ana")
    assert list((site.quarantine / "DP_ACS").iterdir()) == []
    assert owl("look", "DP_ACS", "--act", "--json")["counts"] == {"queued": 1}
    (done,) = owl("arrivals", "--json")
    assert (done["id"], done["state"]) == (bad["id"], "queued")
    with pytest.raises(OwlError, match="is queued, not quarantined"):
        owl("retry", str(bad["id"]))
    with pytest.raises(OwlError, match="'NO' is not declared"):
        owl("show", "NO")


def test_retry_takes_old_content_all_the_same(site: Settings) -> None:
    acs = site.incoming / "acs"
    contents = [as_bytes(raw("jaaa01abq", seed=n), site.incoming) for n in (1, 2, 1)]
    for content in contents:
        deliver(acs, "jaaa01abq_raw.fits", content)
        owl("look", "DP_ACS", "--act")
    (bad,) = owl("arrivals", "--state", "quarantined", "--json")
    assert "older content" in bad["reason"]
    owl("retry", str(bad["id"]))
    assert owl("look", "DP_ACS", "--act", "--json")["counts"] == {"merged": 1}
    assert (site.incoming / "jaaa01abq_raw.fits").read_bytes() == contents[0]


# Killed.


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment(database: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    settings = settings_at(tmp_path, database)
    acs = settings.incoming / "acs"
    names = [f"jk{n:03}abcq" for n in range(60)]
    command = [sys.executable, "-m", "tests.integration.polling_process", str(tmp_path), database]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}"}
    todo = list(names)
    contents = {name: as_bytes(raw(name), tmp_path) for name in names}
    kills = 0
    while True:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        for name in [todo.pop() for _ in range(min(len(todo), 15))]:
            deliver(acs, f"{name}_raw.fits", contents[name])
        if kills >= 6 and not todo:
            break
        time.sleep(chance.uniform(0.02, 0.35))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    accepted = "SELECT FROM owl_arrival WHERE state = 'accepted'"
    try:
        end = time.monotonic() + 180
        while time.monotonic() < end:
            # In this order: what has left the folder is in the journal.
            if not any(acs.iterdir()) and not rows(database, accepted):
                break
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert {key[0] for key in queue(database)} == set(names)
    arrivals = journal(database)
    assert [row["state"] for row in arrivals] == ["queued"] * len(names)
    assert {row["name"] for row in arrivals} == {f"{name}_raw.fits" for name in names}
    for name, content in contents.items():
        assert (settings.incoming / f"{name}_raw.fits").read_bytes() == content


def test_the_heartbeat_says_what_is_waited_for_and_that_a_round_lasts(
    site: Settings, turns: Turns
) -> None:
    deliver(site.incoming / "acs", "jaaa01abq_raw.fits", raw("jaaa01abq"))
    turns.turn()
    assert beat(site)["note"] == "1 file not whole yet"
    turns.turn()
    assert beat(site)["note"] is None
    execute(site.database_url, "UPDATE owl_poller SET beat_at = now() - interval '1 hour'")

    def state() -> str:
        found = CliRunner().invoke(app, ["list", "--json"])
        return str(json.loads(found.stdout)["pollers"][0]["state"])

    assert state() == "silent"
    link = Link(site, "a round that lasts")
    with link.transaction() as cur:
        assert try_lock(cur, "DP_ACS")
    assert state() == "busy"
    link.close()
