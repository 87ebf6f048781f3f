"""The console's writes: whose they may be, two at once, and what they leave behind.

Run by tests/integration/test_console_api.py together with scenario_console.py: Airflow's own web
application, scheduler and auth manager, and a database with its real tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.airflow_site.conftest import Site
from tests.airflow_site.scenario_console import act, bearer, cookie, get, post, sql

HIDDEN = "repro_wf3"
CLEAN = (
    "TRUNCATE owl_run, owl_attempt, owl_node, owl_command, owl_flow, owl_audit, owl_queue, "
    "owl_queue_history, owl_queue_tally, owl_campaign, owl_campaign_member, owl_arrival, owl_slot"
)


@pytest.fixture(autouse=True)
def clean(web: Any) -> None:
    sql(CLEAN)


@pytest.fixture
def limited(web: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, set[str]]]:
    """The user `op` may read and request `drill` only; `rights` can be changed."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    rights: dict[str, set[str]] = {"GET": {"drill"}, "POST": {"drill"}, "PUT": {"drill"}}
    ask = manager.is_authorized_dag

    def is_authorized_dag(*, method: str, user: Any, details: Any = None, **more: Any) -> bool:
        if user.get_name() != "op":
            return bool(ask(method=method, user=user, details=details, **more))
        return details is not None and details.id in rights[method]

    def get_authorized_dag_ids(*, user: Any, method: str = "GET", **more: Any) -> set[str]:
        if user.get_name() != "op":
            return {row[0] for row in sql("SELECT dag_id FROM dag")}
        return set(rights[method])

    monkeypatch.setattr(manager, "is_authorized_dag", is_authorized_dag)
    monkeypatch.setattr(manager, "get_authorized_dag_ids", get_authorized_dag_ids)
    yield rights
    sql(CLEAN)


def refused(web: Any, path: str, **body: Any) -> bool:
    answer = web.post(f"/owl/api{path}", json=body, headers=cookie("op"))
    assert answer.status_code in (200, 403), answer.text
    return bool(answer.status_code == 403)


def test_entries_of_unreadable_dags_are_as_if_they_were_not_there(
    web: Any, limited: dict[str, set[str]]
) -> None:
    for fileset, kind in (("d0", "drill"), ("d1", HIDDEN), ("d2", "awaiting_sci_jit")):
        sql("INSERT INTO owl_queue (fileset, type, priority, state) VALUES (%s, %s, 0, 'waiting')",
            fileset, kind)  # fmt: skip
    ids = {row[0]: row[1] for row in sql("SELECT fileset, id FROM owl_queue")}
    for dry_run in (True, False):
        told = post(web, "/queue/actions", "op", action="hold", dry_run=dry_run,
                    ids=[ids["d0"], ids["d1"]])  # fmt: skip
        assert {i["key"]: i["why_not"] for i in told["items"]} == {
            ids["d0"]: None, ids["d1"]: "It has left the queue.",
        }  # fmt: skip
    states = dict(sql("SELECT fileset, state FROM owl_queue"))
    assert (states["d0"], states["d1"]) == ("held", "waiting")
    # Informational entries are of no DAG: they are not for those who may change some of them only.
    assert refused(web, "/queue/actions", action="remove", ids=[ids["d2"]])
    limited["POST"].clear()
    limited["POST"].add(HIDDEN)
    limited["GET"].add(HIDDEN)
    assert refused(web, "/queue/actions", action="release", ids=[ids["d0"], ids["d1"]])
    assert not refused(web, "/queue/actions", action="hold", ids=[ids["d1"]])


def test_files_belong_to_their_pollers_dag(
    web: Any, limited: dict[str, set[str]], tmp_path: Any
) -> None:
    for poller in ("DP_ACS", "DP_WF3", "GONE"):
        (tmp_path / f"{poller}.fits").write_text("bad")
        sql(
            "INSERT INTO owl_arrival (poller, name, directory, sha256, bytes, state, path, "
            "modified_at) VALUES (%s, %s, %s, 'x', 3, 'quarantined', %s, now())",
            poller, f"{poller}.fits", str(tmp_path), str(tmp_path / f"{poller}.fits"),
        )  # fmt: skip
    ids = {row[0]: row[1] for row in sql("SELECT poller, id FROM owl_arrival")}
    limited["GET"].add("poll_dp_acs")
    limited["PUT"].add("poll_dp_wf3")
    assert [r["poller"] for r in get(web, "/pollers/arrivals", "op")["rows"]] == ["DP_ACS"]
    assert len(get(web, "/pollers/arrivals")["rows"]) == 3
    assert refused(web, "/pollers/quarantine/actions", action="delete", ids=[ids["DP_ACS"]])
    told = post(web, "/pollers/quarantine/actions", "op", action="delete",
                ids=[ids["DP_WF3"], ids["GONE"]])  # fmt: skip
    assert told["done"] == 0
    assert "not in quarantine" in told["items"][0]["why_not"]
    limited["PUT"].add("poll_dp_acs")
    told = post(web, "/pollers/quarantine/actions", "op", action="delete", ids=list(ids.values()))
    assert told["done"] == 1
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["DP_WF3.fits", "GONE.fits"]


def test_slots_show_only_what_may_be_read(web: Any, limited: dict[str, set[str]]) -> None:
    for number, dag_id in ((1, "drill"), (2, HIDDEN)):
        ((key,),) = sql(
            "INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt) "
            "VALUES (%s, 'r', 'w', %s, 'running', 1) RETURNING run_key", dag_id, f"d{number}",
        )  # fmt: skip
        sql("INSERT INTO owl_attempt (run_key, attempt, kind, state) "
            "VALUES (%s, 1, 'first', 'live')",
            key)  # fmt: skip
        sql("INSERT INTO owl_node (run_key, attempt, node, task_id, state, cluster, proc) "
            "VALUES (%s, 1, 'A', 'A', 'running', %s, 0)", key, number)  # fmt: skip
        sql("INSERT INTO owl_slot (name, machine, kind, state, activity, cpus, memory_mb, disk_mb, "
            "gpus, job) VALUES (%s, 'm', 'Static', 'Claimed', 'Busy', 1, 1, 1, 0, %s)",
            f"s{number}", f"{number}.0")  # fmt: skip

    def seen(role: str) -> list[tuple[Any, Any, bool]]:
        rows = get(web, "/pool/machines/m", role)["rows"]
        return [(row["dataset"], row["node"], row["run_key"] is not None) for row in rows]

    assert seen("op") == [("d1", "A", True), (None, None, False)]
    assert seen("viewer") == [("d1", "A", True), ("d2", "A", True)]


@pytest.fixture
def failed(site: Site, web: Any) -> Iterator[dict[int, str]]:
    """Ten runs of the drill whose node B has failed, in Airflow as in HTCondor, by name.

    By name and not by key: the executor takes a loop's tasks in no order.
    """
    names = [f"j8bt{n:02}njq" for n in range(10)]
    for name in names:
        site.run_id = name
        site.trigger({"dataset": name})
    site.loop()
    for name in names:
        site.run_id = name
        site.gateway_renders()
        site.attempt_becomes("live")
    site.loop()
    for name in names:
        site.run_id = name
        site.nodes_become("done", "A", exit_code=0)
        site.nodes_become("done", "C", exit_code=0)
        site.nodes_become("failed", "B", exit_code=29)
        site.nodes_become("futile", "D", "E")
        site.attempt_becomes("failed")
    for _ in range(10):
        site.loop()
        if {row[0] for row in sql("SELECT state FROM dag_run WHERE run_id = ANY(%s)", names)} == {
            "failed"
        }:
            break
    try:
        found = dict(sql("SELECT run_key, run_id FROM owl_run ORDER BY run_id"))
        assert sorted(found.values()) == names
        yield found
    finally:
        sql(CLEAN)
        sql("DELETE FROM dag_run WHERE run_id = ANY(%s)", names)
        sql("DELETE FROM log WHERE run_id = ANY(%s)", names)


def clears() -> list[tuple[Any, ...]]:
    return sql("SELECT run_id, clear_number FROM dag_run WHERE run_id LIKE 'j8bt%%' ORDER BY 1")


def test_two_rescues_at_once_are_one(web: Any, site: Site, failed: dict[int, str]) -> None:
    keys = list(failed)
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(
                lambda order: act(web, action="rescue", run_keys=order, reason="new disk"),
                (keys, keys[::-1]),
            )
        )
    assert [answer.status_code for answer in answers] == [200, 200], [a.text for a in answers]
    items = [item for answer in answers for item in answer.json()["items"]]
    done = [item for item in items if item["why_not"] is None]
    assert sorted(item["key"] for item in done) == sorted(keys)
    assert {i["why_not"] for i in items if i["why_not"]} == {
        "It is being rescued already; the scheduler has yet to take it up."
    }
    assert [n for _, n in clears()] == [1] * 10
    history = sql(
        "SELECT run_id, task_id, count(*) FROM task_instance_history WHERE run_id = ANY(%s) "
        "GROUP BY 1, 2", list(failed.values()),
    )  # fmt: skip
    assert {n for *_, n in history} == {1}
    assert {run for run, task, _ in history if task == "B"} == set(failed.values())
    assert sql("SELECT count(*), count(DISTINCT subject) FROM owl_audit") == [(10, 10)]
    assert sql("SELECT count(*) FROM log WHERE event = 'owl_rescue' AND run_id = ANY(%s)",
               list(failed.values())) == [(10,)]  # fmt: skip
    tried = act(web, action="rescue", run_keys=keys, dry_run=True).json()
    assert {"being rescued" in str(item["why_not"]) for item in tried["items"]} == {True}
    for _ in range(10):
        site.loop()
        if sql("SELECT DISTINCT latest_attempt FROM owl_run") == [(2,)]:
            break
    found = get(web, f"/runs/{keys[0]}")
    assert [(a["requested_by"], a["reason"]) for a in found["attempts"][1:]] == [("op", "new disk")]
    assert [(a["action"], a["reason"]) for a in found["actions"]] == [
        ("rescue", "new disk"), ("first", None),
    ]  # fmt: skip


def test_what_goes_wrong_with_one_run_is_told_and_the_others_go_on(
    web: Any, failed: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from htcondor_operator.executors import operator_rescue

    first, second, third = list(failed)[:3]
    real = operator_rescue.audit

    def audit(cur: Any, **words: Any) -> None:
        if words["subject"] == f"run {first}":
            cur.execute("SELECT 1 / 0")
        if words["subject"] == f"run {second}":
            raise RuntimeError("broken")
        real(cur, **words)

    monkeypatch.setattr(operator_rescue, "audit", audit)
    answer = act(web, action="rescue", run_keys=[first, second, third])
    assert answer.status_code == 200, answer.text
    assert [bool(i["why_not"]) for i in answer.json()["items"]] == [True, True, False]
    assert answer.json()["done"] == 1
    # No clear without its line in the audit.
    assert dict(clears()) == {name: int(key == third) for key, name in failed.items()}
    assert sql("SELECT subject FROM owl_audit") == [(f"run {third}",)]


def test_text_that_cannot_be_kept_is_refused(web: Any, failed: dict[int, str]) -> None:
    for reason in ("bell\x07", "nul\x00", "half \ud800"):
        answer = web.post(
            "/owl/api/runs/actions",
            headers={**cookie("op"), "Content-Type": "application/json"},
            content=json.dumps({"action": "rescue", "run_keys": list(failed), "reason": reason}),
        )
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"][0]["loc"] == ["body", "reason"]
    assert {n for _, n in clears()} == {0}
    # Ends of lines are text.
    assert act(web, action="rescue", run_keys=list(failed)[:1], reason="a\nb").json()["done"] == 1


def test_filters_that_cannot_be_kept_are_refused(web: Any) -> None:
    for path in (
        "flow?search=b%00", "flow?workflow=%07", "queue?fileset=a%00", "products?target=x%00",
        "history?campaign=%00", "errors?search=%00", "pollers/arrivals?poller=%00",
        "campaigns/x%00", "pool/machines/m%00", "runs/find?dag_id=drill&run_id=%00",
        f"runs/{10**30}", f"pollers/arrivals?cursor={10**25}",
    ):  # fmt: skip
        answer = web.get(f"/owl/api/{path}", headers=bearer("admin"))
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["detail"]["message"], path
    assert (
        web.get("/owl/api/flow?search=b%00", headers=bearer("admin"))
        .json()["detail"]["message"]
        .startswith("search:")
    )
    assert act(web, action="hold", run_keys=[10**40]).status_code == 422


def test_what_is_not_there_is_404(web: Any) -> None:
    for path in ("runs/99999", "campaigns/nowhere", "campaigns/nowhere/members", "campaigns/a%20b"):
        assert web.get(f"/owl/api/{path}", headers=bearer("admin")).status_code == 404, path


def test_a_broken_transaction_is_not_given_to_the_next(web: Any) -> None:
    import psycopg2

    from htcondor_operator.console.database import connections

    for _ in range(3):
        with (
            pytest.raises(psycopg2.Error),
            connections.connection() as connection,
            connection.cursor() as cur,
        ):
            cur.execute("SELECT 1 / 0")
        get(web, "/flow")


def test_a_command_that_changes_nothing_says_so_before(web: Any, site: Site) -> None:
    site.run_id = "j8bt77njq"
    site.trigger({"dataset": "j8bt77njq"})
    site.loop()
    ((key,),) = sql("SELECT run_key FROM owl_run WHERE run_id = 'j8bt77njq'")

    def why(action: str, node: str | None = None, **more: Any) -> str | None:
        answer = act(web, action=action, run_keys=[key], node=node, dry_run=True, **more)
        return answer.json()["items"][0]["why_not"]  # type: ignore[no-any-return]

    assert "not submitted yet" in str(why("hold"))
    assert why("priority", priority=5) is None
    site.gateway_renders()
    site.attempt_becomes("live")
    site.nodes_become("done", "A", exit_code=0)
    site.nodes_become("running", "B")
    site.nodes_become("held", "C")
    assert why("hold") is None
    assert why("hold", "B") is None
    assert "no node Z" in str(why("hold", "Z"))
    assert "A is done" in str(why("hold", "A"))
    assert "held already" in str(why("hold", "C"))
    assert "not held" in str(why("release", "B"))
    assert why("release") is None
    site.nodes_become("running", "C")
    assert "nothing of it is held" in str(why("release"))
    sql("UPDATE owl_run SET state = 'held' WHERE run_key = %s", key)
    assert "held already" in str(why("hold"))
    told = act(web, action="priority", run_keys=[key], node="B", priority=5, reason="soon").json()
    assert told["done"] == 1
    acts = get(web, f"/runs/{key}")["actions"]
    assert [(a["action"], a["what"], a["reason"]) for a in acts] == [
        ("priority", "node B to 5 wanted", "soon"), ("first", "attempt 1: live", None),
    ]  # fmt: skip
    sql(CLEAN)
    sql("DELETE FROM dag_run WHERE run_id = 'j8bt77njq'")


def campaign(name: str, runs: dict[int, str], kind: str = "drill") -> None:
    """A campaign whose members are these runs."""
    sql("INSERT INTO owl_campaign (name, type, state, source, created_by) "
        "VALUES (%s, %s, 'running', 'list', 'me')", name, kind)  # fmt: skip
    for number, run_id in runs.items():
        sql("INSERT INTO owl_queue_history (id, fileset, type, priority, outcome, dag_id, run_id, "
            "payload, inserted_at) "
            "VALUES (%s, %s, 'drill', 0, 'shoveled', 'drill', %s, '{}', now())",
            number, run_id, run_id)  # fmt: skip
        sql("INSERT INTO owl_campaign_member (campaign, fileset, type, entry) "
            "VALUES (%s, %s, 'drill', %s)", name, run_id, number)  # fmt: skip


def test_a_campaign_is_retried_in_parts_and_each_is_told(
    web: Any, failed: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from htcondor_operator.console import campaign_acts

    monkeypatch.setattr(campaign_acts, "PART", 4)
    campaign("flats", failed)
    broken = list(failed)[5]
    sql("UPDATE owl_node SET state = 'done' WHERE run_key = %s", broken)
    sql("UPDATE owl_attempt SET state = 'live' WHERE run_key = %s", broken)
    tried = post(web, "/campaigns/flats/actions", action="retry", dry_run=True)
    assert (tried["done"], len(tried["items"])) == (0, 4)
    assert tried["next"]
    assert sql("SELECT * FROM owl_audit") == []
    parts: list[Any] = []
    following = None
    while following is not None or not parts:
        parts.append(
            post(web, "/campaigns/flats/actions", action="retry", reason="disk", after=following)
        )
        following = parts[-1]["next"]
    assert [len(part["items"]) for part in parts] == [4, 4, 2]
    assert [part["done"] for part in parts] == [4, 3, 2]
    assert dict(clears()) == {name: int(key != broken) for key, name in failed.items()}
    assert sql("SELECT subject, action, reason FROM owl_audit WHERE subject LIKE 'campaign%%'") == [
        ("campaign/flats", "retry-failed", "disk")
    ]
    assert sql("SELECT count(*) FROM owl_audit WHERE subject LIKE 'run %%'") == [(9,)]
    found = get(web, "/campaigns/flats")
    assert [(f["kind"], f["n"]) for f in found["failures"]] == [("dagman_died", 1)]


def test_runs_that_wait_in_airflow_are_ended_with_their_campaign(
    web: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from htcondor_operator.console import campaign_acts

    monkeypatch.setattr(campaign_acts, "PART", 2)
    names = [f"j8bt6{n}njq" for n in range(3)]
    for name in names:
        site.run_id = name
        site.trigger({"dataset": name})
    campaign("waits", dict(enumerate(names, 1)))
    sql("UPDATE owl_queue_history SET campaign = 'waits'")
    told = post(web, "/campaigns/waits/actions", action="cancel", running=True, reason="wrong")
    assert told["done"] == 1
    ended = []
    while told["next"]:
        told = post(web, "/campaigns/waits/actions", action="cancel", running=True,
                    after=told["next"])  # fmt: skip
        ended.append(told["done"])
    assert ended == [2, 1]
    assert sql("SELECT DISTINCT state FROM dag_run WHERE run_id = ANY(%s)", names) == [("failed",)]
    assert sql("SELECT subject, action FROM owl_audit") == [("campaign/waits", "cancel")]
    sql(CLEAN)
    sql("DELETE FROM dag_run WHERE run_id = ANY(%s)", names)


def test_who_may_not_operate_does_not_rescue_by_a_campaign(
    web: Any, limited: dict[str, set[str]]
) -> None:
    campaign("flats", {1: "d1"})
    limited["PUT"].clear()
    assert refused(web, "/campaigns/flats/actions", action="retry")
    assert refused(web, "/campaigns/flats/actions", action="cancel", running=True)
    assert not refused(web, "/campaigns/flats/actions", action="pause")
    assert sql("SELECT subject, action FROM owl_audit") == [("campaign/flats", "pause")]


def test_campaigns_come_in_pages_of_readable_ones(web: Any, limited: dict[str, set[str]]) -> None:
    for n in range(6):
        campaign(f"c{n}", {}, "drill" if n % 2 else HIDDEN)
        sql("UPDATE owl_campaign SET created_at = timestamptz '2026-01-09' - %s * interval '1 day'"
            " WHERE name = %s", n // 2, f"c{n}")  # fmt: skip

    def names(role: str, **query: Any) -> list[str]:
        found: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = get(web, "/campaigns", role, **query, **more)
            assert len(page["rows"]) <= query["limit"]
            found += [row["name"] for row in page["rows"]]
            if page["next"] is None:
                return found
            more = {"cursor": page["next"]}

    assert names("viewer", limit=2) == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert names("op", limit=2) == ["c1", "c3", "c5"]
    # A campaign without anything open is done, whatever is kept.
    assert names("op", limit=1, state="done") == ["c1", "c3", "c5"]
    assert names("op", limit=1, state="running") == []
    answer = web.get("/owl/api/campaigns/c0", headers=bearer("op"))
    assert answer.status_code == 404
