"""Campaigns on a real PostgreSQL with Airflow's tables, shoveled by the shoveler's own code."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest

from htcondor_operator.blackboard import campaign_rows, campaign_truth
from htcondor_operator.blackboard.campaign_rows import Campaign, Wanted
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.outcome_rows import sweep_outcomes
from htcondor_operator.blackboard.queue_entries import NewEntry, add_entries
from htcondor_operator.cli import main
from htcondor_operator.queue.campaigns import acts as campaigns
from htcondor_operator.queue.shoveler.shoveling import shovel_batch
from htcondor_operator.vocabulary import CampaignState, MemberState, OwlError
from tests.integration.airflow_tables import ROOT, add_dag

pytestmark = pytest.mark.database

NIGHT = Campaign(
    "night7", "drill", CampaignState.RUNNING, priority=3, reason="why", created_by="me"
)


@pytest.fixture
def db(airflow_database, monkeypatch):
    monkeypatch.setenv("OWL_DATABASE_URL", airflow_database)
    monkeypatch.setenv("OWL_TEMPLATES", str(ROOT / "include" / "templates"))
    with closing(connect_url(airflow_database, application="test")) as connection:
        with connection, connection.cursor() as cur:
            add_dag(cur, "drill")
        yield connection


def run(db, function, *args, **kwargs):
    with db, db.cursor() as cur:
        return function(cur, *args, **kwargs)


def wanted(*names, type_="drill"):
    return [Wanted(name, type_) for name in names]


def create(db, *names, **more):
    add = more.pop("add", False)
    return run(db, campaigns.create, replace(NIGHT, **more), wanted(*names), add=add)


def execute(db, text, *values):
    with db, db.cursor() as cur:
        cur.execute(text, values)
        return cur.fetchall() if cur.description else []


def end(db, fileset, state):
    execute(
        db,
        "UPDATE dag_run SET state = %s, end_date = now() WHERE run_id LIKE %s",
        state,
        f"dpq\\_\\_{fileset}\\_\\_%",
    )


def counts(db, name="night7"):
    found = run(db, campaign_truth.progress, name).counts
    return {str(state): n for state, n in found.items()}


def owl(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    captured = capsys.readouterr()
    return caught.value.code or 0, captured.out, captured.err


def test_from_the_queue_to_the_end_and_back_by_a_rescue(db):
    put = create(db, "x1", "x2", "x3")
    assert (put.added, put.merged, put.refused) == (3, 0, ())
    assert counts(db) == {"waiting": 3}
    assert run(db, shovel_batch).shoveled == 3
    assert counts(db) == {"starting": 3}
    end(db, "x1", "success")
    end(db, "x2", "failed")
    end(db, "x3", "running")
    assert counts(db) == {"done": 1, "failed": 1, "running": 1}
    run(db, sweep_outcomes)
    assert counts(db) == {"done": 1, "failed": 1, "running": 1}
    # A rescue makes the DAG run run again; the history need not know yet.
    end(db, "x2", "running")
    assert counts(db) == {"done": 1, "running": 2}
    progress = run(db, campaign_truth.progress, "night7")
    assert progress.ended_lately == 1
    assert progress.eta_s > 0


def test_what_somebody_removed_has_not_failed(db):
    create(db, "x1", "x2", "x3")
    run(db, shovel_batch)
    for fileset, message in (
        ("x1", "DAGMan was removed: wrong flats (by ann)"),
        ("x2", "DAGMan was removed: The system macro SYSTEM_PERIODIC_REMOVE expression "
               "'(x)' evaluated to TRUE"),
        ("x3", None),
    ):  # fmt: skip
        execute(
            db,
            """WITH r AS (
                INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt)
                SELECT dag_id, run_id, 'drill', fileset, %s, 1 FROM owl_queue_history
                 WHERE fileset = %s RETURNING run_key)
            INSERT INTO owl_attempt (run_key, attempt, kind, state, error_message)
            SELECT run_key, 1, 'first', 'removed', %s FROM r""",
            "removed" if message else "failed",
            fileset,
            message,
        )
        end(db, fileset, "failed")
    assert counts(db) == {"removed": 1, "failed": 2}
    assert [one.fileset for one in run(db, campaign_truth.failed_members, "night7")] == ["x2", "x3"]
    run(db, sweep_outcomes)
    execute(db, "DELETE FROM dag_run")
    assert counts(db) == {"removed": 1, "failed": 2}


def test_the_history_outlives_the_dag_run(db):
    create(db, "x1", "x2")
    run(db, shovel_batch)
    end(db, "x1", "success")
    run(db, sweep_outcomes)
    execute(db, "DELETE FROM dag_run")
    assert counts(db) == {"done": 1, "unknown": 1}
    run(db, sweep_outcomes)
    assert counts(db) == {"done": 1, "removed": 1}


def test_a_name_is_used_once_or_added_to(db):
    create(db, "x1", "x2")
    with pytest.raises(OwlError, match="There is a campaign 'night7' already"):
        create(db, "x3")
    put = create(db, "x2", "x3", add=True)
    assert (put.added, put.members) == (1, 1)
    assert counts(db) == {"waiting": 3}
    with pytest.raises(OwlError, match="is of type drill, not bench_true"):
        create(db, "x4", add=True, type="bench_true")
    with pytest.raises(OwlError, match="no datasets"):
        create(db, name="night8")
    assert run(db, campaign_rows.find_campaign, "night8") is None


def test_what_is_queued_is_merged_and_what_runs_is_refused(db):
    run(db, add_entries, [NewEntry("x1", "drill"), NewEntry("x2", "drill", campaign="night6")])
    run(db, shovel_batch)
    run(db, add_entries, [NewEntry("x3", "drill"), NewEntry("x4", "drill", campaign="night6")])
    put = create(db, "x1", "x3", "x4", "x5")
    assert (put.added, put.merged) == (1, 2)
    assert [name for name, _ in put.refused] == ["x1"]
    assert counts(db) == {"waiting": 3, "refused": 1}
    notes = dict(execute(db, "SELECT fileset, note FROM owl_campaign_member"))
    assert notes["x4"] == "was in the queue already, for campaign night6"
    assert notes["x3"] == "was in the queue already, for itself"
    # Pausing and cancelling leave other people's entries alone.
    assert run(db, campaigns.pause, "night7", by="me") == 1
    assert run(db, campaigns.cancel, "night7", by="me").entries == 1
    assert counts(db) == {"waiting": 2, "cancelled": 1, "refused": 1}
    # What was refused may be asked for again when its run is over, also before the next sweep.
    end(db, "x1", "success")
    put = run(db, campaigns.create, replace(NIGHT, name="night9"), wanted("x1"))
    assert (put.added, put.refused) == (1, ())


def test_pause_resume_priority(db):
    create(db, "x1", "x2")
    execute(db, "UPDATE owl_queue SET state = 'held' WHERE fileset = 'x2'")
    assert run(db, campaigns.pause, "night7", by="me", reason="slow") == 1
    with pytest.raises(OwlError, match="Cannot pause campaign 'night7': it is paused"):
        run(db, campaigns.pause, "night7", by="me")
    assert run(db, shovel_batch).shoveled == 0
    create(db, "x3", add=True)
    assert counts(db) == {"paused": 2, "held": 1}
    assert run(db, campaigns.change_priority, "night7", 50, by="me") == 3
    assert run(db, campaigns.resume, "night7", by="me") == 2
    assert counts(db) == {"waiting": 2, "held": 1}
    assert execute(db, "SELECT DISTINCT priority FROM owl_queue") == [(50,)]
    assert execute(
        db,
        "SELECT who, action, reason FROM owl_audit WHERE subject = 'campaign/night7' ORDER BY id",
    ) == [
        ("me", "create", "why"),
        ("me", "pause", "slow"),
        ("me", "add", "why"),
        ("me", "priority", None),
        ("me", "resume", None),
    ]


def test_cancel_removes_what_runs_when_asked(db):
    create(db, "x1", "x2", "x3")
    run(db, shovel_batch)
    ((dag_id, run_id),) = execute(
        db, "SELECT dag_id, run_id FROM owl_queue_history WHERE fileset = 'x1'"
    )
    ((key,),) = execute(
        db,
        """INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt)
           VALUES (%s, %s, 'drill', 'x1', 'running', 1) RETURNING run_key""",
        dag_id,
        run_id,
    )
    execute(
        db,
        "INSERT INTO owl_attempt (run_key, attempt, kind, state) VALUES (%s, 1, 'first', 'live')",
        key,
    )
    end(db, "x2", "success")
    create(db, "x4", add=True)
    done = run(db, campaigns.cancel, "night7", by="me", reason="wrong flats", running=True)
    assert (done.entries, done.removals, len(done.unstarted)) == (1, 1, 1)
    assert execute(db, "SELECT verb, run_key, requested_by, reason FROM owl_command") == [
        ("remove", key, "me", "campaign night7 was cancelled by me: wrong flats")
    ]
    assert run(db, campaigns.remove_launched, "night7", [(dag_id, run_id)], by="me") == 1
    with pytest.raises(OwlError, match="it is cancelled"):
        run(db, campaigns.resume, "night7", by="me")
    # Airflow was out of reach, or only the waiting ones were cancelled at first: once more.
    again = run(db, campaigns.cancel, "night7", by="me", running=True)
    assert (again.entries, again.removals, again.unstarted) == (0, 1, done.unstarted)
    with pytest.raises(OwlError, match="it is cancelled"):
        run(db, campaigns.cancel, "night7", by="me")


def test_ten_thousand_in_one_transaction(db, capsys, tmp_path):
    file = tmp_path / "many.txt"
    file.write_text("".join(f"big{n:05}\n" for n in range(10_000)))
    words = ["campaign", "create", "big", "--type", "drill", "--datasets", str(file), "--json"]
    code, out, _ = owl(capsys, *words, "--dry-run")
    assert json.loads(out)["added"] == 10_000
    assert execute(db, "SELECT count(*) FROM owl_queue") == [(0,)]
    code, out, _ = owl(capsys, *words)
    assert (code, json.loads(out)["added"]) == (0, 10_000)
    # In how many transactions the rows were written, and by how many statements of these.
    ((transactions, statements),) = execute(
        db, "SELECT count(DISTINCT xmin::text), count(DISTINCT cmin::text) FROM owl_queue"
    )
    assert transactions == 1
    assert statements < 100
    code, out, _ = owl(capsys, "campaign", "status", "big", "--json")
    assert json.loads(out)["counts"]["waiting"] == 10_000


def test_the_command_line(db, capsys, tmp_path):
    file = tmp_path / "list"
    file.write_text("x1\nx2\n")
    words = ["campaign", "create", "night7", "--type", "drill", "--datasets", str(file)]
    code, out, err = owl(capsys, *words, "--reason", "new flats", "--param", "sleep_s=2")
    assert (code, out) == (0, "night7: 2 added to the queue\n"), err
    assert execute(db, "SELECT DISTINCT payload FROM owl_queue") == [({"sleep_s": 2},)]
    code, out, err = owl(capsys, *words)
    assert code == 2
    assert "There is a campaign 'night7' already" in err
    code, _, err = owl(capsys, *words[:4], "nonsense", *words[5:])
    assert "type 'nonsense' is not a workflow; there are " in err
    code, _, err = owl(capsys, "campaign", "create", "n8", "--type", "drill")
    assert "one of --datasets FILE and --where" in err
    code, out, _ = owl(capsys, "campaign", "pause", "night7", "--json")
    assert json.loads(out) == {"campaign": "night7", "state": "paused", "entries": 2}
    code, out, _ = owl(capsys, "campaign", "resume", "night7")
    assert out == "night7: state running, entries 2\n"
    code, out, _ = owl(capsys, "campaign", "list", "--json")
    (row,) = json.loads(out)
    assert (row["name"], row["open"], row["total"]) == ("night7", 2, 2)
    code, out, _ = owl(capsys, "campaign", "show", "night7", "--state", "waiting", "--json")
    assert [each["fileset"] for each in json.loads(out)["datasets"]] == ["x1", "x2"]
    code, out, _ = owl(capsys, "campaign", "status", "night7")
    assert "0 %  0 of 2" in out
    code, out, _ = owl(capsys, "campaign", "cancel", "night7", "--reason", "enough")
    assert (code, out) == (
        0,
        "night7: state cancelled, entries 2, removed from htcondor 0, ended before launch 0, "
        "go on 0\n",
    )
    code, _, err = owl(capsys, "campaign", "status", "nobody")
    assert "There is no campaign 'nobody'" in err


def test_chosen_by_the_catalogue(db, capsys):
    execute(
        db,
        """
        INSERT INTO owl_product (obs_id, dataset, name, obs_collection, obs_publisher_did,
            dataproduct_type, calib_level, access_url, access_format, access_estsize, bytes,
            sha256, instrument_name, filters, observed_at)
        SELECT d, d, d || suffix, 'HST', d || suffix, 'image', 2, 'u', 'f', 1, 1, 's', i, f, t
          FROM (VALUES ('ie01', 'WFC3', 'F606W', timestamptz '2026-01-02 00:00Z'),
                       ('ie02', 'WFC3', 'F814W', timestamptz '2026-01-03 00:00Z'),
                       ('je03', 'ACS', 'F606W', timestamptz '2026-01-02 00:00Z')) v (d, i, f, t),
               unnest(ARRAY['_flt.fits', '_raw.fits']) s (suffix)
        """,
    )
    words = ["campaign", "create", "flats", "--type", "drill", "--json", "--where"]
    _, out, _ = owl(capsys, *words, "instrument=WF3 from=2026-01-01 to=2026-01-03")
    assert json.loads(out)["added"] == 1
    assert execute(db, "SELECT fileset, instrument FROM owl_queue") == [("ie01", "WF3")]
    _, out, _ = owl(capsys, *words, "instrument=WFC3", "--add")
    assert (json.loads(out)["added"], json.loads(out)["members"]) == (1, 1)
    _, _, err = owl(capsys, *words, "filters=F999W")
    assert "nothing was chosen" in err


def test_a_proposal_is_approved_once(db):
    proposal = replace(
        NIGHT,
        name="crds",
        state=CampaignState.PROPOSED,
        detail={
            "datasets": [{"fileset": "x1", "type": "drill"}, {"fileset": "x2", "type": "drill"}]
        },
    )
    assert run(db, campaign_rows.insert_campaign, proposal)
    assert not run(db, campaign_rows.insert_campaign, proposal)
    put = run(db, campaigns.approve, "crds", by="boss")
    assert put.added == 2
    campaign = run(db, campaign_rows.the_campaign, "crds")
    assert (campaign.state, campaign.approved_by, campaign.total) == (
        CampaignState.RUNNING,
        "boss",
        2,
    )
    with pytest.raises(OwlError, match="Cannot approve"):
        run(db, campaigns.approve, "crds", by="boss")
    assert run(db, campaign_truth.overview, state="running")[0]["open"] == 2
    assert MemberState.WAITING.is_open
