"""The pollers of campaigns and the days of backfills, on PostgreSQL with Airflow's tables."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from htcondor_operator.blackboard import campaign_days, campaign_rows, campaign_truth
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries
from htcondor_operator.blackboard.rescue_candidates import candidates
from htcondor_operator.commands import rescue_me
from htcondor_operator.queue.campaigns import acts as campaigns
from htcondor_operator.queue.campaigns.backfill_days import Day, select
from htcondor_operator.queue.campaigns.mapping_files import sha1sum
from htcondor_operator.queue.campaigns.proposals import withdraw_question
from htcondor_operator.queue.campaigns.rescue_policy import DEFAULT, decide
from htcondor_operator.queue.pollers.declarations import parse_declaration
from htcondor_operator.queue.pollers.kinds import make_poller
from htcondor_operator.queue.shoveler.shoveling import shovel_batch
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import CampaignState, OwlError
from tests.integration.airflow_tables import ROOT, add_dag

pytestmark = pytest.mark.database


@pytest.fixture
def db(airflow_database):
    with closing(connect_url(airflow_database, application="test")) as connection:
        with connection, connection.cursor() as cur:
            for dag in ("drill", "repro_wf3", "acs_single_repro"):
                add_dag(cur, dag)
        yield connection


@pytest.fixture
def settings(airflow_database, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'plugins'}:{ROOT}")
    home = tmp_path / "home"
    found = Settings.from_environment(
        {"OWL_HOME": str(home), "OWL_DATABASE_URL": airflow_database, "OWL_PYTHON": sys.executable}
    )
    for folder in (found.incoming, found.references, found.quarantine):
        folder.mkdir(parents=True)
    return found


def run(db, function, *args, **kwargs):
    with db, db.cursor() as cur:
        return function(cur, *args, **kwargs)


def execute(db, text, *values):
    with db, db.cursor() as cur:
        cur.execute(text, values)
        return cur.fetchall() if cur.description else []


def archive(db, dataset, instrument, observed, keys=None):
    execute(
        db,
        """
        INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
            dataproduct_type, calib_level, access_url, access_format, access_estsize, bytes,
            sha256, instrument_name, observed_at, reference_keys)
        VALUES (%s, %s, %s, 'HST', %s, 'image', 2, 'u', 'f', 1, 1, 's', %s, %s, %s)
        """,
        *(dataset, dataset, f"{dataset}_raw.fits", dataset, instrument, observed),
        json.dumps(keys or {}),
    )


def poller(kind, settings, directory):
    declaration = {
        **{"name": kind.upper(), "kind": kind, "directory": directory, "interval": 1},
        "complete": {"rule": "settled", "seconds": 0},
    }
    (settings.incoming / directory).mkdir(parents=True, exist_ok=True)
    return make_poller(parse_declaration(declaration), settings)


def rounds(watcher, n=3):
    counts = {}
    for _ in range(n):
        for name, number in watcher.round().counts.items():
            counts[name] = counts.get(name, 0) + number
    return counts


# ------------------------------------------------------------------------ requests


def test_requests_become_campaigns_or_go_to_quarantine(db, settings):
    watcher = poller("requests", settings, "repro")
    folder = settings.incoming / "repro"
    (folder / "night7.yaml").write_text("type: drill\ndatasets: [x1, x2]\nreason: mail\n")
    (folder / "n8.csv").write_text("dataset,type,priority\nx3,drill,5\n")
    (folder / "broken.yaml").write_text("type: drill\n")
    (folder / "nothing.yaml").write_text("type: drill\nwhere: instrument=ACS\n")
    with closing(watcher):
        assert rounds(watcher) == {"campaigns": 2, "queued": 3, "quarantined": 2}
        # The name is taken; the same content again is a duplicate.
        (folder / "other.yaml").write_text("name: night7\ntype: drill\ndatasets: [x9]\n")
        (folder / "n8.csv").write_text("dataset,type,priority\nx3,drill,5\n")
        assert rounds(watcher) == {"quarantined": 1, "duplicate": 1}
    assert execute(db, "SELECT fileset, campaign, priority FROM owl_queue ORDER BY fileset") == [
        ("x1", "night7", 0),
        ("x2", "night7", 0),
        ("x3", "n8", 5),
    ]
    bad = settings.quarantine / "REQUESTS"
    reasons = {p.name: json.loads(p.read_text())["reason"] for p in bad.glob("*.reason.json")}
    assert "one of datasets" in reasons["broken.yaml.reason.json"]
    assert "nothing was chosen" in reasons["nothing.yaml.reason.json"]
    assert "campaign 'night7' already" in reasons["other.yaml.reason.json"]
    assert not [p for p in folder.iterdir() if p.is_file()]
    assert run(db, campaign_rows.the_campaign, "night7").created_by == "REQUESTS"


# ------------------------------------------------------------------------ references


def signed(text):
    said = text.split("'sha1sum' : '")[1][:40]
    return text.replace(said, sha1sum(text))


@pytest.fixture
def delivery(settings, shared_data):
    """A site with a context, and the files of the next one."""
    source = shared_data / "hst" / "crds_mappings"
    folder = settings.references / "mappings" / "hst"
    folder.mkdir(parents=True)
    names = ("hst_0001.pmap", "hst_acs_0001.imap", "hst_acs_biasfile_0001.rmap")
    texts = {name: (source / name).read_text() for name in names}
    for name, text in texts.items():
        (folder / name).write_text(text)
    changed = texts[names[2]].replace("q9e12071j_bia.fits", "brandnew_bia.fits")
    pmap = texts[names[0]].replace("hst_acs_0001", "hst_acs_0002")
    imap = texts[names[1]].replace("biasfile_0001", "biasfile_0002")
    return {
        "hst_0002.pmap": signed(pmap),
        "hst_acs_0002.imap": signed(imap),
        "hst_acs_biasfile_0002.rmap": signed(changed),
    }


KEYS = {
    **{"INSTRUME": "ACS", "DETECTOR": "HRC", "CCDAMP": "A", "CCDGAIN": "4.0", "APERTURE": "HRC"},
    **{"NUMCOLS": "1062", "NUMROWS": "1044", "LTV1": "19.0", "LTV2": "20.0", "XCORNER": "N/A"},
    **{"YCORNER": "N/A", "CCDCHIP": "N/A", "TIME-OBS": "00:00:00", "BIASCORR": "PERFORM"},
}


def test_a_new_context_proposes_what_it_changes(db, settings, delivery):
    for number, date in enumerate(("1993-02-01", "2007-01-01", "2007-02-01")):
        archive(db, f"j8cr0{number}abq", "ACS", date, {**KEYS, "DATE-OBS": date})
    archive(db, "ie0100abq", "WFC3", "2010-01-01")
    watcher = poller("references", settings, "crds")
    folder = settings.incoming / "crds"
    mappings = settings.references / "mappings" / "hst"
    with closing(watcher):
        (folder / "hst_0002.pmap").write_text(delivery["hst_0002.pmap"])
        (folder / "hst_acs_0009.imap").write_text(delivery["hst_acs_0002.imap"] + "# more\n")
        assert rounds(watcher) == {"contexts": 1, "quarantined": 1}
        assert not (mappings / "hst_0002.pmap").exists()
        ((reason,),) = execute(db, "SELECT reason FROM owl_arrival WHERE name = 'hst_0002.pmap'")
        assert reason == "waits for 1 rules: hst_acs_0002.imap"
        for name in ("hst_acs_0002.imap", "hst_acs_biasfile_0002.rmap"):
            (folder / name).write_text(delivery[name])
        assert rounds(watcher) == {"rules": 2, "proposed": 1}
        # A mapping is never changed.
        (folder / "hst_acs_0001.imap").write_text(delivery["hst_acs_0002.imap"])
        assert rounds(watcher) == {"quarantined": 1}
    assert (mappings / "hst_0002.pmap").is_file()
    campaign = run(db, campaign_rows.the_campaign, "crds_hst_0002")
    assert campaign.state is CampaignState.PROPOSED
    assert campaign.detail["changes"] == {
        "BIASFILE": {"q9e12071j_bia.fits -> brandnew_bia.fits": 2}
    }
    ((payload, state),) = execute(
        db, "SELECT payload, state FROM owl_queue WHERE type = 'approve_campaign'"
    )
    assert payload["subject"] == "Reprocess 2 datasets with hst_0002.pmap?"
    assert "| BIASFILE | q9e12071j_bia.fits -> brandnew_bia.fits | 2 |" in payload["body"]
    assert run(db, campaigns.approve, "crds_hst_0002", by="boss").added == 2
    assert run(db, withdraw_question, "crds_hst_0002", by="boss") == []
    assert execute(db, "SELECT fileset, type, instrument FROM owl_queue ORDER BY fileset") == [
        ("j8cr01abq", "acs_single_repro", "ACS"),
        ("j8cr02abq", "acs_single_repro", "ACS"),
    ]
    assert state == "waiting"


def test_a_broken_rule_keeps_its_context_out(db, settings, delivery):
    archive(db, "j8cr01abq", "ACS", "2007-01-01", {**KEYS, "DATE-OBS": "2007-01-01"})
    rmap = delivery["hst_acs_biasfile_0002.rmap"].replace("UseAfter({", "UseNever({", 1)
    delivery["hst_acs_biasfile_0002.rmap"] = signed(rmap)
    watcher = poller("references", settings, "crds")
    with closing(watcher):
        for name, text in delivery.items():
            (settings.incoming / "crds" / name).write_text(text)
        counts = rounds(watcher)
    assert counts == {"contexts": 1, "rules": 2, "quarantined": 1}
    assert not (settings.references / "mappings" / "hst" / "hst_0002.pmap").exists()
    ((state, reason),) = execute(
        db, "SELECT state, reason FROM owl_arrival WHERE name = 'hst_0002.pmap'"
    )
    assert state == "quarantined"
    assert "hst_acs_biasfile_0002.rmap" in reason


# ------------------------------------------------------------------------ days of backfills

DAY = Day(
    dag_id="repro_wf3",
    run_id="backfill__2026-01-02",
    start=datetime(2026, 1, 1, tzinfo=UTC),
    end=datetime(2026, 1, 2, tzinfo=UTC),
    instrument="WFC3",
    workflows=("drill", "drill"),
    conf={"reason": "new flats", "priority": 4, "params": {"sleep_s": 1}},
)


def backfill(db, number, behavior="none"):
    execute(
        db,
        """
        INSERT INTO backfill (id, dag_id, from_date, to_date, dag_run_conf, reprocess_behavior,
                              max_active_runs, created_at, updated_at, triggering_user_name)
        VALUES (%s, 'repro_wf3', now(), now(), '{}', %s, 1, now(), now(), 'op')
        """,
        number,
        behavior,
    )
    if number == 1:
        execute(
            db,
            """
            INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, backfill_id,
                                 clear_number, span_status, updated_at)
            VALUES ('repro_wf3', %s, 'backfill', 'running', now(), 1, 0, 'not_started', now())
            """,
            DAY.run_id,
        )
    execute(db, "UPDATE dag_run SET backfill_id = %s WHERE dag_id = 'repro_wf3'", number)


def day(db, settings, which=DAY):
    return run(db, select, settings.templates, which)


def states(db):
    found = run(db, campaign_days.day_states, DAY.part)
    return {name: str(state) for name, state in found.items()}


def end(db, fileset, state):
    execute(
        db,
        "UPDATE dag_run SET state = %s, end_date = now() WHERE conf ->> 'dataset' = %s",
        *(state, fileset),
    )


def test_a_day_from_its_first_run_to_its_reprocessing(db, settings):
    for name, when in (("a", "2026-01-01"), ("b", "2026-01-01 23:59:59"), ("c", "2026-01-02")):
        archive(db, name, "WFC3", f"{when}+00")
    archive(db, "other", "ACS", "2026-01-01+00")
    backfill(db, 1)
    first = day(db, settings)
    assert (first.campaign, first.datasets, first.put.added) == ("repro_wf3.backfill_1", 2, 2)
    assert states(db) == {"a": "waiting", "b": "waiting"}
    assert execute(
        db, "SELECT DISTINCT priority, payload, reason, requested_by FROM owl_queue"
    ) == [(4, {"sleep_s": 1}, "new flats", "op")]
    # Selected again while all is open: nothing is doubled.
    assert day(db, settings).put.added == 0
    run(db, shovel_batch)
    end(db, "a", "success")
    end(db, "b", "failed")
    assert states(db) == {"a": "done", "b": "failed"}
    # The same or another backfill puts in what did not succeed, and what is new.
    archive(db, "late", "WFC3", "2026-01-01 12:00+00")
    backfill(db, 2, "completed")
    again = day(db, settings)
    assert (again.campaign, again.put.added) == ("repro_wf3.backfill_2", 2)
    assert states(db) == {"a": "done", "b": "waiting", "late": "waiting"}
    run(db, shovel_batch)
    for name in ("b", "late"):
        end(db, name, "success")
    # All were done: all again, but not for a backfill of failed days.
    backfill(db, 3, "failed")
    assert day(db, settings).put.added == 0
    backfill(db, 4, "completed")
    assert day(db, settings).put.added == 3
    assert run(db, campaign_truth.progress, "repro_wf3.backfill_4").more_to_come


def test_a_dataset_in_airflow_for_another_counts_for_the_day(db, settings):
    archive(db, "a", "WFC3", "2026-01-01+00")
    other = campaign_rows.Campaign("night7", "drill", CampaignState.RUNNING, created_by="me")
    run(db, campaigns.create, other, [campaign_rows.Wanted("a", "drill")])
    run(db, shovel_batch)
    backfill(db, 1)
    put = day(db, settings).put
    assert (put.added, put.joined, put.refused) == (0, 1, ())
    assert states(db) == {"a": "starting"}
    end(db, "a", "success")
    assert states(db) == {"a": "done"}
    assert campaign_days.summary(run(db, campaign_days.day_states, DAY.part)) == {
        "datasets": 1,
        "counts": {"done": 1},
        "not_done": [],
    }


def test_a_cancelled_backfill_takes_no_more_days(db, settings):
    archive(db, "a", "WFC3", "2026-01-01+00")
    backfill(db, 1)
    day(db, settings)
    assert run(db, campaigns.cancel, "repro_wf3.backfill_1", by="me").entries == 1
    assert states(db) == {"a": "cancelled"}
    with pytest.raises(OwlError, match="it is cancelled"):
        day(db, settings)
    with pytest.raises(OwlError, match="where 'colour=red'"):
        day(db, settings, replace(DAY, run_id="x", conf={"where": "colour=red"}))


# ------------------------------------------------------------------------ rescue_me


def failed_run(db, dataset, *, attempt_error=None, exit_code=None, ended="10 minutes"):
    ((key,),) = execute(
        db,
        """
        WITH d AS (
          INSERT INTO dag_run (dag_id, run_id, run_type, state, run_after, end_date, clear_number,
                               span_status, updated_at)
          VALUES ('drill', %s, 'manual', 'failed', now(), now() - %s::interval, 0, 'not_started',
                  now()))
        INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt, mirrored)
        VALUES ('drill', %s, 'drill', %s, 'failed', 1, true) RETURNING run_key
        """,
        *(dataset, ended, dataset, dataset),
    )
    execute(
        db,
        """
        INSERT INTO owl_attempt (run_key, attempt, kind, state, error_kind, ended_at)
        VALUES (%s, 1, 'first', 'failed', %s, now() - %s::interval)
        """,
        *(key, attempt_error, ended),
    )
    if exit_code is not None:
        execute(
            db,
            """INSERT INTO owl_node (run_key, attempt, node, task_id, state, exit_code)
               VALUES (%s, 1, 'B', 'B', 'failed', %s)""",
            *(key, exit_code),
        )
    return key


def test_candidates_are_failed_and_nothing_of_them_lives(db):
    died = failed_run(db, "died", attempt_error="dagman_died")
    failed_run(db, "bad", exit_code=3)
    failed_run(db, "old", attempt_error="dagman_died", ended="3 days")
    again = failed_run(db, "again", attempt_error="dagman_died")
    execute(
        db,
        """INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state)
           VALUES ('drill', 'newer', 'drill', 'again', 'running')""",
    )
    live = failed_run(db, "live", attempt_error="dagman_died")
    execute(
        db,
        """INSERT INTO owl_node (run_key, attempt, node, task_id, state)
           VALUES (%s, 1, 'A', 'A', 'running')""",
        live,
    )
    removed = failed_run(db, "removed", attempt_error="node_removed")
    execute(db, "INSERT INTO owl_command (verb, run_key) VALUES ('remove', %s)", removed)
    found = run(db, candidates, 86_400)
    told = {each.failed.fileset: decide(each, DEFAULT) for each in found}
    assert set(told) == {"died", "bad", "removed"}
    assert told["died"].rescue
    assert told["bad"].kind == "B exit_3"
    assert told["removed"].why == "somebody removed it"
    assert again
    (only,) = run(db, candidates, 86_400, keys=[died], lock=True)
    execute(
        db,
        "INSERT INTO owl_audit (who, subject, action) VALUES ('rescue_me', %s, %s)",
        *(only.subject, "automatic rescue"),
    )
    (only,) = run(db, candidates, 86_400, keys=[died])
    assert only.rescues == 1


def test_a_crash_among_many_rescues_costs_one(db, settings, monkeypatch):
    monkeypatch.setenv("OWL_DATABASE_URL", settings.database_url)
    monkeypatch.setattr(rescue_me, "check_airflow", lambda: None)
    for name in ("a", "b", "c"):
        failed_run(db, name, attempt_error="dagman_died")

    def crash(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(rescue_me.operator_rescue, "rescue", crash)
    with pytest.raises(KeyboardInterrupt):
        rescue_me.now(by="rescue_me")
    assert sorted(each.rescues for each in run(db, candidates, 86_400)) == [0, 0, 1]


# ------------------------------------------------------------------------ what others write


def test_what_the_database_does_not_take_is_the_requests_fault(db, settings):
    watcher = poller("requests", settings, "repro")
    folder = settings.incoming / "repro"
    (folder / "nul.yaml").write_text('type: drill\ndatasets: [x1]\nreason: "a\\0b"\n')
    (folder / "half.yaml").write_text('type: drill\ndatasets: [x2]\nby: "a\\ud800b"\n')
    (folder / "where.yaml").write_text('type: drill\nwhere: "target=\\0"\n')
    (folder / "several.csv").write_bytes(b"dataset,type,reason\nx,drill,a\0\nx,drill,b\n")
    (folder / "good.yaml").write_text("type: drill\ndatasets: [x3]\n")
    with closing(watcher):
        assert rounds(watcher) == {"campaigns": 1, "queued": 1, "quarantined": 4}
    assert execute(db, "SELECT fileset FROM owl_queue") == [("x3",)]


def test_a_context_that_vanishes_does_not_stop_the_others(db, settings, delivery):
    watcher = poller("references", settings, "crds")
    folder = settings.incoming / "crds"
    with closing(watcher):
        (folder / "hst_0002.pmap").write_text(delivery["hst_0002.pmap"])
        assert rounds(watcher) == {"contexts": 1}
        (folder / "waiting" / "hst_0002.pmap").unlink()
        assert rounds(watcher) == {"lost": 1}
    ((state, reason),) = execute(db, "SELECT state, reason FROM owl_arrival")
    assert state == "quarantined"
    assert "vanished" in reason


def test_an_association_around_midnight_belongs_to_one_day(db, settings):
    archive(db, "asn", "WFC3", "2025-12-31 23:50+00")
    execute(db, "UPDATE owl_product SET name = 'first_flt.fits'")
    archive(db, "asn", "WFC3", "2026-01-01 00:10+00")
    archive(db, "own", "WFC3", "2026-01-01 00:20+00")
    backfill(db, 1)
    assert day(db, settings).datasets == 1
    assert states(db) == {"own": "waiting"}
    eve = replace(DAY, run_id="eve", start=datetime(2025, 12, 31, tzinfo=UTC), end=DAY.start)
    assert day(db, settings, eve).datasets == 1


def test_parameters_of_a_day_are_the_workflows(db, settings):
    archive(db, "a", "WFC3", "2026-01-01+00")
    backfill(db, 1)
    with pytest.raises(OwlError, match=r"params\.dataset is not a parameter"):
        day(db, settings, replace(DAY, conf={"params": {"dataset": "other"}}))


def test_a_payload_cannot_name_another_dataset(db):
    entry = NewEntry("x1", "drill", payload={"dataset": "x2", "priority": 9, "sleep_s": 1})
    run(db, add_entries, [entry])
    run(db, shovel_batch)
    assert execute(db, "SELECT conf FROM dag_run") == [
        ({"dataset": "x1", "priority": 0, "sleep_s": 1},)
    ]
