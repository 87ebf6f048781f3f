"""Every rule opens on the rows that it is about, and closes when they are right again."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from htcondor_operator.alerts import looking
from htcondor_operator.commands.alert import app
from htcondor_operator.queue.pollers.turns import Turns
from htcondor_operator.vocabulary import OwlError, PollerState
from tests.integration.airflow_tables import ROOT, add_dag, airflow_environment
from tests.integration.alerts_support import WEBHOOK, Receiver, Site, http_server, site_at

pytestmark = pytest.mark.database

HOOK = {"name": "hook", "notifier": WEBHOOK, "arguments": {"url": "http://127.0.0.1:9"}}


@pytest.fixture
def site(airflow_database: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(site_at(tmp_path, airflow_database))
    site.configure(HOOK)
    yield site
    site.close()


def opens(site: Site, rule: str) -> dict:
    """Look, and return the only open alert; it is told."""
    site.look()
    found = site.open()
    assert list(found) == [rule], found
    assert site.rows("SELECT * FROM owl_alert_message WHERE state = 'due'")
    return found[rule]


def closes(site: Site) -> None:
    site.look()
    site.look()
    assert not site.open()


def test_nothing_is_wrong_with_an_empty_site(site: Site) -> None:
    assert site.look().found == 0
    assert site.open() == {}


def test_failed_and_accepted(site: Site) -> None:
    site.fail(2)
    site.execute(
        "UPDATE owl_flow SET dag_id = 'v' WHERE run_key = (SELECT min(run_key) FROM owl_run)"
    )
    found = opens(site, "dataset_failed")
    assert found["title"] == "2 datasets failed in CA (reference_missing)"
    assert found["detail"]["dags"] == ["v", "w"]
    site.execute(
        "INSERT INTO owl_accepted_error "
        "(workflow, node, error_kind, fingerprint, reason, accepted_by) "
        "SELECT workflow, node, error_kind, fingerprint, 'known', 'ada' FROM owl_flow LIMIT 1"
    )
    closes(site)


def test_held_for_too_long(site: Site) -> None:
    site.fail(3)
    site.execute("UPDATE owl_flow SET status = 'held', error_message = NULL, hold_reason = 'disk'")
    site.look()
    assert site.open() == {}
    site.execute(
        """
        INSERT INTO owl_attempt (run_key, attempt, kind, state)
        SELECT run_key, 1, 'first', 'live' FROM owl_run;
        INSERT INTO owl_node (run_key, attempt, node, task_id, state, event_at)
        SELECT run_key, 1, 'CA', 'CA', 'held', now() - interval '31 minutes' FROM owl_run
        """
    )
    found = opens(site, "dataset_held")
    assert found["count"] == 3
    assert found["detail"]["message"] == "disk"
    assert found["detail"]["dags"] == ["w"]
    site.execute("UPDATE owl_flow SET status = 'done'")
    closes(site)


def test_an_attempt_that_takes_too_long(site: Site) -> None:
    site.fail(2)
    site.execute(
        """
        UPDATE owl_flow SET status = 'running', created_at = now() - interval '9 hours';
        INSERT INTO owl_machine (machine, present, cpus, memory_mb) VALUES ('m', true, 1, 1);
        INSERT INTO owl_attempt (run_key, attempt, kind, state, requested_at)
        SELECT run_key, 1, 'first', 'live', now() - interval '7 hours' FROM owl_run
        """
    )
    found = opens(site, "dataset_slow")
    assert found["title"] == "w: 2 datasets for more than 6 h at it"
    assert found["detail"]["dags"] == ["w"]
    # A rescue is a new attempt.
    site.execute("UPDATE owl_attempt SET requested_at = now()")
    closes(site)


def test_pollers(site: Site) -> None:
    site.settings.pollers.write_text(
        "- {name: JIT, kind: jitter, directory: jit, interval: 10}\n"
        "- {name: ALERTS, kind: alerts, interval: 15}\n"
    )
    found = opens(site, "poller_stale")
    assert found["title"] == "JIT has never looked"
    assert found["detail"]["dags"] == ["poll_jit"]
    beat = (
        "INSERT INTO owl_poller (name, dag_id, kind, interval_s, state, beat_at, error) VALUES "
        "('JIT', 'poll_jit', 'jitter', 10, %(state)s, now() - %(age)s * interval '1 s', %(e)s) "
        "ON CONFLICT (name) DO UPDATE SET state = excluded.state, beat_at = excluded.beat_at, "
        "error = excluded.error"
    )
    site.execute(beat, state="running", age=1, e=None)
    closes(site)
    # What was started a moment ago has had no time to look, however old its last word is.
    started = (
        "INSERT INTO owl_daemon (name, host, pid, state, started_at) "
        "VALUES ('mirror', 'h', 1, 'running', now() - %(age)s * interval '1 s') "
        "ON CONFLICT (name, host) DO UPDATE SET started_at = excluded.started_at"
    )
    site.execute(started, age=20)
    site.execute(beat, state="running", age=86_400, e=None)
    site.look()
    assert not site.open()
    site.execute("DELETE FROM owl_poller")
    site.look()
    assert not site.open()
    site.execute(started, age=301)
    assert opens(site, "poller_stale")["title"] == "JIT has never looked"
    site.execute("DELETE FROM owl_daemon")
    site.execute(beat, state="running", age=301, e=None)
    said = re.fullmatch(r"JIT has not looked for (\d+) s", opens(site, "poller_stale")["title"])
    assert said
    assert 301 <= int(said[1]) < 3600
    site.execute(beat, state="failing", age=1, e="no folder")
    assert opens(site, "poller_stale")["title"] == "JIT fails: no folder"
    site.execute(beat, state="running", age=301, e=None)
    with site.link.transaction() as cur:
        add_dag(cur, "poll_jit", paused=True)
    closes(site)


def test_backlog_counts_no_campaign(site: Site) -> None:
    site.execute(
        "INSERT INTO owl_queue (fileset, type, campaign, inserted_at) "
        "SELECT 'c' || n, 'acs', 'year', now() - interval '3 days' FROM generate_series(1, 9) n"
    )
    site.look()
    assert site.open() == {}
    site.execute(
        "INSERT INTO owl_queue (fileset, type, inserted_at) "
        "SELECT 'd' || n, 'acs', now() - interval '50 minutes' * n FROM generate_series(1, 3) n"
    )
    found = opens(site, "backlog")
    assert (found["subject"], found["count"]) == ("acs", 2)
    assert found["detail"]["dags"] == ["acs"]
    site.execute("DELETE FROM owl_queue WHERE fileset IN ('d2', 'd3')")
    closes(site)


def test_mirror_and_console_behind(site: Site) -> None:
    site.execute("INSERT INTO owl_cursor (schedd, path, lag_p99_s) VALUES ('s', '/l', 61)")
    assert opens(site, "mirror_lag")["title"] == "mirror of s: 61 s behind"
    # An old word is none: with nothing to do the mirror says nothing.
    site.execute("UPDATE owl_cursor SET updated_at = now() - interval '10 minutes'")
    closes(site)
    site.execute("INSERT INTO owl_flow_mark (run_key, at) VALUES (1, now() - interval '2 minutes')")
    assert opens(site, "mirror_lag")["subject"] == "console"
    site.execute("DELETE FROM owl_flow_mark")
    closes(site)


def test_pool_and_daemons(site: Site) -> None:
    machine = "INSERT INTO owl_machine (machine, present, cpus, memory_mb) VALUES "
    site.execute(machine + "('m1', false, 1, 1)")
    assert opens(site, "pool_empty")["severity"] == "critical"
    site.execute(machine + "('m2', true, 1, 1)")
    closes(site)
    # A daemon that moved to another host is not silent.
    site.execute(
        "INSERT INTO owl_daemon (name, host, pid, state, beat_at) VALUES "
        "('mirror', 'a', 1, 'running', now() - interval '90 seconds')"
    )
    assert opens(site, "daemon_silent")["subject"] == "mirror"
    site.execute("INSERT INTO owl_daemon (name, host, pid, state) VALUES ('mirror', 'b', 1, 'x')")
    closes(site)


def test_campaigns(site: Site) -> None:
    site.execute(
        """
        INSERT INTO owl_campaign (name, type, state, total, source, created_by, updated_at)
        VALUES ('year', 'acs', 'running', 2, 'list', 'ada', now() - interval '2 hours');
        INSERT INTO owl_queue (id, fileset, type, campaign) VALUES (1, 'd1', 'acs', 'year');
        INSERT INTO owl_campaign_member (campaign, fileset, type, entry)
        VALUES ('year', 'd1', 'acs', 1), ('year', 'd2', 'acs', 2);
        INSERT INTO owl_queue_history
            (id, fileset, type, priority, payload, campaign, inserted_at, dag_id, run_id, outcome,
             ended_at)
        VALUES (2, 'd2', 'acs', 0, '{}', 'year', now(), 'acs', 'r2', 'failed', now())
        """
    )
    found = opens(site, "campaign_stalled")
    assert found["title"] == "Campaign year has not moved for 60 minutes"
    assert found["detail"]["dags"] == ["acs"]
    site.fail(1)
    site.execute("UPDATE owl_flow SET campaign = 'year', status = 'done'")
    closes(site)
    site.execute(
        """
        WITH gone AS (DELETE FROM owl_queue RETURNING *)
        INSERT INTO owl_queue_history
            (id, fileset, type, priority, payload, campaign, inserted_at, dag_id, run_id, outcome,
             ended_at)
        SELECT id, fileset, type, 0, '{}', campaign, inserted_at, 'acs', 'r1', 'done', now()
          FROM gone
        """
    )
    assert site.look().found
    site.look()
    assert site.open() == {}  # it has happened: once
    (told,) = site.rows("SELECT * FROM owl_alert WHERE rule = 'campaign_done'")
    assert told["title"] == "Campaign year is done: 2 datasets, 1 failed"
    assert (told["state"], told["detail"]["dags"]) == ("closed", ["acs"])
    # More datasets, and it is done again.
    site.execute("UPDATE owl_campaign SET updated_at = now()")
    site.poller._looker._next_look.clear()
    site.look()
    assert len(site.rows("SELECT * FROM owl_alert WHERE rule = 'campaign_done'")) == 2


def test_an_end_of_long_ago_is_not_told(site: Site) -> None:
    site.execute(
        """
        INSERT INTO owl_campaign (name, type, state, total, source, created_by)
        VALUES ('old', 'acs', 'running', 1, 'list', 'ada');
        INSERT INTO owl_campaign_member (campaign, fileset, type, entry)
        VALUES ('old', 'd1', 'acs', 1);
        INSERT INTO owl_queue_history
            (id, fileset, type, priority, payload, campaign, inserted_at, dag_id, run_id, outcome,
             ended_at)
        VALUES (1, 'd1', 'acs', 0, '{}', 'old', now(), 'acs', 'r', 'done',
                now() - interval '2 days')
        """
    )
    assert site.look().found == 0
    assert site.look().found == 0
    (kept,) = site.rows("SELECT a.state FROM owl_alert a")
    assert kept == {"state": "closed"}


def test_a_rule_that_cannot_be_looked_at_keeps_no_other_back(site: Site) -> None:
    site.fail(1)
    site.execute("ALTER TABLE owl_machine RENAME TO owl_machine_away")
    result = site.look()
    assert result.found == 1
    assert 'rule pool_empty: relation "owl_machine" does not exist' in result.note
    site.execute("UPDATE owl_alert_message SET state = 'sent'")
    with pytest.raises(OwlError, match="owl_machine"):
        site.look()
    site.execute("UPDATE owl_flow SET status = 'done'")
    for _ in range(2):
        with contextlib.suppress(OwlError):  # only when there is nothing to be told
            site.look()
    assert site.open() == {}


def test_a_rule_that_takes_too_long_keeps_no_other_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.fail(1)

    def slow(looker: object, cur: Any, rule: object) -> list[Any]:
        cur.execute("SET LOCAL statement_timeout = 50")
        cur.execute("SELECT pg_sleep(5)")
        return []

    monkeypatch.setitem(looking._LOOKS, "pool_empty", slow)
    result = site.look()
    assert result.found == 1
    assert "rule pool_empty: canceling statement due to statement timeout" in result.note


def test_a_channel_that_is_taken_out_is_forgotten(site: Site) -> None:
    site.fail(1)
    site.look()
    site.configure()
    site.look()
    (message,) = site.rows("SELECT * FROM owl_alert_message")
    assert (message["state"], message["error"]) == ("cancelled", "there is no such channel")


def test_the_command(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWL_DATABASE_URL", site.url)
    monkeypatch.setenv("OWL_ALERTS", str(site.settings.alerts))

    def owl(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    site.fail(2)
    site.look()
    (line,) = json.loads(owl("list", "--json"))
    assert line["title"] == "2 datasets failed in CA (reference_missing)"
    number = str(line["id"])
    assert "2 datasets failed" in owl("list")
    with pytest.raises(OwlError, match="Give a reason"):
        owl("ack", number, "--reason", " ")
    owl("ack", number, "--reason", "the dark is coming", "--by", "ada")
    shown = json.loads(owl("show", number, "--json"))
    assert (shown["acked_by"], shown["ack_reason"]) == ("ada", "the dark is coming")
    assert [m["state"] for m in shown["messages"]] == ["cancelled"]
    assert "the dark is coming" in owl("show", number)
    assert "10 rules in force, 1 channels" in owl("check")
    with pytest.raises(OwlError, match="There is no channel 'mail'; there are hook"):
        owl("test", "mail")
    with pytest.raises(OwlError, match="does not answer"):
        owl("test", "hook")
    with http_server() as receiver:
        site.configure({**HOOK, "arguments": {"url": receiver.url}})
        owl("test", "hook")
        assert receiver.bodies[0]["rule"] == "test"
    with pytest.raises(OwlError, match="There is no open alert 99"):
        owl("ack", "99", "--reason", "x")
    with pytest.raises(OwlError, match="There is no alert 99"):
        owl("show", "99")


def test_the_polls_heartbeat(site: Site) -> None:
    site.settings.pollers.write_text("- {name: ALERTS, kind: alerts, interval: 15}\n")
    site.fail(1)
    turns = Turns("ALERTS", site.settings)
    try:
        turn = turns.turn()
        assert (turn.state, turn.result.found) == (PollerState.RUNNING, 1)
        site.settings.alerts.write_text("rules: [{name: fire}]\n")
        turn = turns.turn()
    finally:
        turns.close()
    assert turn.state is PollerState.FAILING
    assert "Rule 1: name 'fire' is not right" in str(turn.error)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_server() as receiver:
        yield receiver


@pytest.mark.timeout(600)
def test_the_dag_looks_and_tells(
    site: Site, airflow_database: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Both tasks in Airflow's own processes; the secret is in a connection of Airflow's."""
    # Nothing folds here: on a slow machine the console's lag is an alert of its own, too.
    only = {"rules": ["dataset_failed"]}
    site.configure({**HOOK, **only, "arguments": {"http_conn_id": "pager"}})
    site.fail(400)
    home = tmp_path / "airflow"
    home.mkdir()
    (tmp_path / "pollers.yaml").write_text("- {name: ALERTS, kind: alerts, interval: 15}\n")
    pager = {"conn_type": "http", "host": receiver.url, "password": "s3cret"}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", "alerts", "--conf", '{"once": true}'],
        env={
            **airflow_environment(airflow_database, home),
            "OWL_ALERTS": str(site.settings.alerts),
            "OWL_POLLERS": str(tmp_path / "pollers.yaml"),
            "AIRFLOW_CONN_PAGER": json.dumps(pager),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    (told,) = receiver.bodies or [pytest.fail(done.stdout[-6000:] + done.stderr[-3000:])]
    assert told["count"] == 400
    assert receiver.headers[0]["Authorization"] == "Bearer s3cret"
    assert site.rows("SELECT state FROM owl_alert_message") == [{"state": "sent"}]
