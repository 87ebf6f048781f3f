"""The console's API inside Airflow's own web application, with its auth manager and tokens.

Run by tests/integration/test_console_api.py in a process of its own. Every documented route is
walked: without a login, as a viewer, from a foreign page.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pytest

from htcondor_operator.settings import Settings

BASE = "http://testserver"


def token(role: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role)))


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(role)}"}


def cookie(role: str, origin: str | None = BASE, header: bool = True) -> dict[str, str]:
    """The headers that a browser sends, from a page at `origin`."""
    found = {"Cookie": f"_token={token(role)}"}
    if origin:
        found["Origin"] = origin
    if header:
        found["X-OWL-Request"] = "1"
    return found


@pytest.fixture(scope="session")
def document(web: Any) -> dict[str, Any]:
    answer = web.get("/owl/api/openapi.json", headers=bearer("admin"))
    assert answer.status_code == 200
    return dict(answer.json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), "/owl" + re.sub(r"{[^}]*}", "1", path), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


EXPECTED = Path(__file__).with_name("console_permissions.txt")


def test_every_route_names_its_permission(document: dict[str, Any]) -> None:
    found = [
        f"{method.upper()} {path} {operation['x-owl-permission']}"
        for path, methods in sorted(document["paths"].items())
        for method, operation in sorted(methods.items())
    ]
    assert found == EXPECTED.read_text().splitlines(), "\n".join(found)


def test_without_a_login_nothing_answers(web: Any, document: dict[str, Any]) -> None:
    web.cookies.clear()
    for method, path, _ in operations(document):
        assert web.request(method, path, json={}).status_code == 401, (method, path)
    assert web.get("/owl/api/openapi.json").status_code == 401
    for path in ("/owl/docs", "/owl/redoc", "/owl/openapi.json"):
        assert web.get(path).status_code in (401, 404), path


def test_viewers_read_everything_and_change_nothing(web: Any, document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        answer = web.request(method, path, json={}, headers=cookie("viewer"))
        if operation["x-owl-permission"] == "read":
            assert method == "GET"
            assert answer.status_code in (200, 404, 422), (method, path, answer.text)
        else:
            assert method != "GET"
            assert answer.status_code == 403, (method, path, answer.text)


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://testserver:8443"}, {"origin": "https://evil.example"}, {"origin": None},
     {"header": False}],
    ids=["other port", "other host", "no origin", "no header"],
)  # fmt: skip
def test_foreign_pages_change_nothing(
    web: Any, document: dict[str, Any], headers: dict[str, Any]
) -> None:
    for method, path, operation in operations(document):
        if operation["x-owl-permission"] != "read":
            answer = web.request(method, path, json={}, headers=cookie("admin", **headers))
            assert answer.status_code == 403, (method, path, answer.text)


def test_a_page_of_this_server_gets_as_far_as_its_body(web: Any, document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if operation["x-owl-permission"] != "read":
            answer = web.request(method, path, json={"?": 1}, headers=cookie("admin"))
            assert answer.status_code in (404, 422), (method, path, answer.text)


@pytest.fixture
def runs() -> Iterator[dict[str, int]]:
    """Two failed runs of a DAG that exists, as mirror and gateway leave them."""
    url = Settings.from_environment().database_url
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        connection.autocommit = True
        keys = {}
        for dataset in ("j8bt05njq", "j8bt06o6q"):
            cur.execute(
                "INSERT INTO owl_run (dag_id, run_id, workflow, dataset, state, latest_attempt) "
                "VALUES ('drill', %s, 'drill', %s, 'failed', 1) RETURNING run_key",
                (f"console {dataset}", dataset),
            )
            keys[dataset] = cur.fetchone()[0]
            cur.execute(
                "INSERT INTO owl_attempt (run_key, attempt, kind, state, cluster) "
                "VALUES (%s, 1, 'first', 'failed', 7)",
                (keys[dataset],),
            )
            cur.execute(
                "INSERT INTO owl_node (run_key, attempt, node, task_id, state, exit_code, host) "
                "VALUES (%s, 1, 'A', 'A', 'done', 0, 'm1'), (%s, 1, 'B', 'B', 'failed', 29, 'm2')",
                (keys[dataset], keys[dataset]),
            )
        fold(connection)
        yield keys
        cur.execute("TRUNCATE owl_run, owl_attempt, owl_node, owl_command, owl_flow, owl_audit")


def sql(text: str, *values: Any) -> list[tuple[Any, ...]]:
    url = Settings.from_environment().database_url
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        cur.execute(text, values)
        return list(cur.fetchall()) if cur.description else []


def post(web: Any, path: str, role: str = "admin", **body: Any) -> Any:
    answer = web.post(f"/owl/api{path}", json=body, headers=cookie(role))
    assert answer.status_code == 200, answer.text
    return answer.json()


def fold(connection: Any) -> None:
    from htcondor_operator.mirror.flow import look

    connection.autocommit = False
    look(connection)
    connection.autocommit = True


def get(web: Any, path: str, role: str = "viewer", **query: Any) -> Any:
    answer = web.get(f"/owl/api{path}", params=query, headers=bearer(role))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_flow(web: Any, runs: dict[str, int]) -> None:
    page = get(web, "/flow", status=["failed"], limit=1)
    assert [r["dataset"] for r in page["rows"]] == ["j8bt06o6q"]
    row = page["rows"][0]
    assert (row["node"], row["exit_code"], row["nodes_done"]) == ("B", 29, 1)
    assert row["exit_name"]
    assert row["exit_sentence"]
    rest = get(web, "/flow", status=["failed"], limit=1, cursor=page["next"])
    assert [r["dataset"] for r in rest["rows"]] == ["j8bt05njq"]
    assert rest["next"] is None
    assert get(web, "/flow", search="j8bt05")["rows"][0]["dataset"] == "j8bt05njq"
    assert get(web, "/flow/totals")["status"] == {"failed": 2}


def test_figures_are_as_old_as_what_they_come_from(web: Any, runs: dict[str, int]) -> None:
    url = Settings.from_environment().database_url
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cur:
        connection.autocommit = True
        ahead = "now() + interval '1 hour'"
        cur.execute("DELETE FROM owl_daemon")
        assert get(web, "/flow")["as_of"] is None
        silent = get(web, "/pool/health")["silent"]
        assert [(one["name"], one["age_s"]) for one in silent] == [
            ("executor", None), ("gateway", None), ("mirror", None),
        ]  # fmt: skip
        cur.execute(
            "INSERT INTO owl_daemon (name, host, pid, state, beat_at, detail) VALUES "
            "('mirror', 'h', 1, 'running', '2026-03-04 12:00Z', '{}'), "
            # Ahead of time: they stay fresh however long the questions take.
            f"('executor', 'h', 1, 'running', {ahead}, '{{}}'), "
            f"('gateway', 'h', 1, 'running', {ahead}, "
            ' \'{"pool": {"held": 30, "at": "2026-03-04T12:01:00+00:00"}}\')'
        )
        cur.execute("DELETE FROM owl_flow_mark")
        for path in ("flow", "flow/totals", "errors", f"runs/{runs['j8bt05njq']}"):
            assert get(web, f"/{path}")["as_of"].startswith("2026-03-04T12:00:00"), path
        assert get(web, "/pool")["as_of"].startswith("2026-03-04T12:01:00")
        (silent,) = get(web, "/pool/health")["silent"]
        assert silent["name"] == "mirror"
        # The mirror beats, but its changes are not in the tables yet.
        cur.execute(f"UPDATE owl_daemon SET beat_at = {ahead}")
        cur.execute("INSERT INTO owl_flow_mark (run_key, at) VALUES (1, '2026-03-04 12:02Z')")
        assert get(web, "/flow")["as_of"].startswith("2026-03-04T12:02:00")
        assert get(web, "/pool/health")["silent"] == []
        cur.execute("DELETE FROM owl_flow_mark; DELETE FROM owl_daemon")


@pytest.mark.parametrize(
    ("query", "words"),
    [({"sort": "host"}, "sort"), ({"cursor": "nonsense"}, "cursor"), ({"limit": "9999"}, "limit"),
     ({"status": "broken"}, "status")],
)  # fmt: skip
def test_bad_queries_name_the_field(web: Any, query: dict[str, str], words: str) -> None:
    answer = web.get("/owl/api/flow", params=query, headers=bearer("viewer"))
    assert answer.status_code == 422
    assert words in answer.text


def test_a_run_with_its_log(web: Any, runs: dict[str, int], tmp_path: Path) -> None:
    key = runs["j8bt05njq"]
    err = tmp_path / "b.err"
    err.write_text("".join(f"line {n}\n" for n in range(1, 3001)) + "the end\n")
    sql("UPDATE owl_node SET err_path = %s, submitted_at = now() WHERE node = 'B'", str(err))
    found = get(web, f"/runs/{key}")
    assert [n["state"] for n in found["nodes"]] == ["done", "failed"]
    assert found["nodes"][1]["exit_sentence"]
    log = get(web, f"/runs/{key}/log", node="B", stream="err", lines=2)
    assert [(line["n"], line["text"]) for line in log["lines"]] == [
        (3000, "line 3000"), (3001, "the end"),
    ]  # fmt: skip
    log = get(web, f"/runs/{key}/log", node="B", stream="err", search="LINE 29", lines=3)
    assert log["matches"] == 111
    log = get(web, f"/runs/{key}/log", node="B", stream="err", first=1500, lines=1)
    assert log["lines"][0]["text"] == "line 1500"
    missing = web.get(f"/owl/api/runs/{key}/log?node=A&stream=out", headers=bearer("viewer"))
    assert missing.status_code == 404
    assert get(web, "/runs/find", dag_id="drill", run_id="console j8bt05njq", task_id="B") == {
        "run_key": key, "node": "B",
    }  # fmt: skip


def act(web: Any, role: str = "op", **body: Any) -> Any:
    return web.post("/owl/api/runs/actions", json=body, headers=cookie(role))


def test_commands_say_what_they_will_do_and_why_not(web: Any, runs: dict[str, int]) -> None:
    keys = list(runs.values())
    answer = act(web, action="hold", run_keys=[*keys, 999], dry_run=True).json()
    assert answer["done"] == 0
    assert [bool(item["why_not"]) for item in answer["items"]] == [True, True, True]
    sql("UPDATE owl_run SET state = 'running' WHERE run_key = %s", keys[0])
    wanted = {"action": "priority", "priority": 7, "run_keys": keys[:1], "dry_run": True}
    will = act(web, **wanted).json()["items"][0]["will"]
    assert "on top of its node's own" in will
    assert "later nodes get it a few seconds after DAGMan has submitted them" in will
    answer = act(web, action="priority", priority=7, run_keys=keys, reason="urgent").json()
    assert answer["done"] == 1
    assert sql("SELECT verb, run_key, argument, requested_by, reason FROM owl_command") == [
        ("priority", keys[0], {"priority": 7}, "op", "urgent")
    ]
    assert sql("SELECT who, subject, action, reason FROM owl_audit") == [
        ("op", f"run {keys[0]}", "priority", "urgent")
    ]
    assert act(web, action="priority", run_keys=keys).status_code == 422
    assert act(web, action="retry_from", run_keys=keys).status_code == 422
    assert act(web, action="hold", run_keys=keys, resaon="typo").status_code == 422


def test_me_tells_what_the_pages_may_show(web: Any) -> None:
    viewer, admin = get(web, "/me"), get(web, "/me", "admin")
    assert not viewer["can"]["operate"]
    assert admin["can"]["operate"]
    assert "drill" in viewer["workflows"]
    assert not {"alerts", "shoveler", "repro_auto"} & set(viewer["workflows"])
    assert not [name for name in viewer["workflows"] if name.startswith("poll_")]
    assert {"A", "CA", "2FITS"} <= set(viewer["nodes"])
    assert viewer["exit_codes"]


def test_one_cause_is_one_row_and_can_be_accepted(web: Any, runs: dict[str, int]) -> None:
    found = get(web, "/errors")["rows"]
    assert [(g["node"], g["n"]) for g in found] == [("B", 2)]
    group = found[0]
    members = get(
        web, "/errors/runs", cause_node="B", cause_kind=group["error_kind"],
        cause_fingerprint=group["fingerprint"],
    )  # fmt: skip
    assert {r["dataset"] for r in members["rows"]} == set(runs)
    cause_of = {
        "cause_node": "B",
        "cause_kind": group["error_kind"],
        "cause_fingerprint": group["fingerprint"],
    }
    one = members["rows"][0]["dataset"]
    fitting = get(web, "/errors/runs", **cause_of, search=one)["rows"]
    assert [r["dataset"] for r in fitting] == [one]
    assert get(web, "/errors/runs", **cause_of, campaign="another")["rows"] == []
    assert len(get(web, "/errors/runs", **cause_of, limit=1)["rows"]) == 1
    cause = {name: group[name] for name in ("node", "error_kind", "fingerprint", "workflows")}
    assert post(web, "/errors/accept", **cause)["done"] == 0  # without a reason
    assert post(web, "/errors/accept", **cause, reason="known", dry_run=True)["done"] == 0
    assert get(web, "/errors")["rows"][0]["accepted_by"] is None
    assert post(web, "/errors/accept", **cause, reason="known")["done"] == 1
    assert get(web, "/errors")["rows"][0]["accepted_by"] == "admin"
    # The same words in another workflow are news: a row of their own.
    key = runs["j8bt05njq"]
    sql("UPDATE owl_flow SET workflow = 'other' WHERE run_key = %s", key)
    news, known = get(web, "/errors")["rows"]
    assert (news["workflows"], news["accepted_by"], news["n"]) == (["other"], None, 1)
    assert (known["workflows"], known["accepted_by"], known["n"]) == (["drill"], "admin", 1)
    (only,) = get(
        web, "/errors/runs", cause_node="B", cause_kind=group["error_kind"],
        cause_fingerprint=group["fingerprint"], workflow="other",
    )["rows"]  # fmt: skip
    assert only["run_key"] == key
    sql("UPDATE owl_flow SET workflow = 'drill' WHERE run_key = %s", key)
    assert post(web, "/errors/accept", **cause, accepted=False)["done"] == 1
    assert get(web, "/errors")["rows"][0]["accepted_by"] is None


@pytest.fixture
def entries() -> Iterator[list[int]]:
    from htcondor_operator.blackboard.new_entries import NewEntry
    from htcondor_operator.blackboard.queue_entries import add_entries

    url = Settings.from_environment().database_url
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cur:
        add_entries(cur, [NewEntry(fileset=f"d{n}", type="drill") for n in range(3)])
    yield [row[0] for row in sql("SELECT id FROM owl_queue ORDER BY fileset")]
    sql("TRUNCATE owl_queue, owl_queue_history, owl_queue_tally, owl_audit")


def test_queue_and_history(web: Any, entries: list[int]) -> None:
    page = get(web, "/queue", limit=2)
    assert [r["fileset"] for r in page["rows"]] == ["d0", "d1"]
    page = get(web, "/queue", limit=2, cursor=page["next"])
    assert [r["fileset"] for r in page["rows"]] == ["d2"]
    assert get(web, "/queue", fileset="d1")["rows"][0]["id"] == entries[1]
    assert get(web, "/queue/totals")["rows"][0]["unshoveled"] == 3
    told = post(web, "/queue/actions", action="priority", priority=9, ids=entries[:2],
                dry_run=True)  # fmt: skip
    assert [item["why_not"] for item in told["items"]] == [None, None]
    assert told["done"] == 0
    assert sql("SELECT DISTINCT priority FROM owl_queue") == [(0,)]
    assert sql("SELECT * FROM owl_audit") == []
    assert post(web, "/queue/actions", action="priority", priority=9, ids=entries[:1])["done"] == 1
    told = post(web, "/queue/actions", "op", action="remove", ids=[entries[2], 999], reason="old")
    assert told["done"] == 1
    assert [bool(i["why_not"]) for i in told["items"]] == [False, True]
    assert get(web, "/history")["rows"][0]["fileset"] == "d2"
    assert sql("SELECT who, action, reason FROM owl_audit ORDER BY id") == [
        ("admin", "priority", None), ("op", "remove", "old"),
    ]  # fmt: skip


def test_pollers_start_and_stop_as_in_airflows_own_page(web: Any) -> None:
    names = [line["name"] for line in get(web, "/pollers")["rows"]]
    assert "DP_ACS" in names
    told = post(web, "/pollers/DP_ACS/actions", action="stop", dry_run=True)
    assert told["done"] == 0
    before = sql("SELECT is_paused FROM dag WHERE dag_id = 'poll_dp_acs'")
    post(web, "/pollers/DP_ACS/actions", action="stop", reason="maintenance")
    assert sql("SELECT is_paused FROM dag WHERE dag_id = 'poll_dp_acs'") == [(True,)]
    assert before == [(False,)]
    again = post(web, "/pollers/DP_ACS/actions", action="stop")
    assert again["items"][0]["why_not"]
    post(web, "/pollers/DP_ACS/actions", action="start")
    assert sql("SELECT is_paused FROM dag WHERE dag_id = 'poll_dp_acs'") == [(False,)]
    events = sql("SELECT owner FROM log WHERE event = 'owl_pause'")
    assert events == [("admin",), ("admin",)]


def test_a_stop_that_fails_is_not_told_as_done(
    web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = tmp_path / "pollers.yaml"
    shipped = (Path(__file__).parents[2] / "include" / "pollers.yaml").read_text()
    declared.write_text(shipped.replace("DP_ACS", "DP_NEW"))
    monkeypatch.setenv("OWL_POLLERS", str(declared))
    sql("TRUNCATE owl_audit")
    answer = web.post(
        "/owl/api/pollers/DP_NEW/actions", json={"action": "stop"}, headers=cookie("admin")
    )
    assert answer.status_code == 422, answer.text
    assert "no DAG 'poll_dp_new'; is it imported?" in answer.text
    assert sql("SELECT * FROM owl_audit") == []


def test_quarantine(web: Any, tmp_path: Path) -> None:
    numbers = []
    for name in ("a.fits", "b.fits"):
        (tmp_path / "q").mkdir(exist_ok=True)
        (tmp_path / "q" / name).write_text("bad")
        numbers += sql(
            "INSERT INTO owl_arrival (poller, name, directory, sha256, bytes, state, path, "
            "modified_at) VALUES ('DP_ACS', %s, %s, 'x', 3, 'quarantined', %s, now()) RETURNING id",
            name, str(tmp_path), str(tmp_path / "q" / name),
        )[0]  # fmt: skip
    listed = get(web, "/pollers/arrivals", state="quarantined")["rows"]
    assert {row["id"] for row in listed} == set(numbers)
    told = post(web, "/pollers/quarantine/actions", action="delete", ids=numbers, dry_run=True)
    assert told["done"] == 0
    assert (tmp_path / "q" / "b.fits").exists()
    assert post(web, "/pollers/quarantine/actions", action="release", ids=numbers[:1])["done"] == 1
    assert (tmp_path / "a.fits").exists()
    told = post(web, "/pollers/quarantine/actions", action="delete", ids=numbers, reason="junk")
    assert told["done"] == 1
    assert not (tmp_path / "q" / "b.fits").exists()
    assert sql("SELECT state FROM owl_arrival WHERE id = %s", numbers[1]) == [("discarded",)]
    sql("TRUNCATE owl_arrival, owl_audit")


def test_campaigns(web: Any, entries: list[int]) -> None:
    sql("INSERT INTO owl_campaign (name, type, state, source, created_by) "
        "VALUES ('flats', 'drill', 'running', 'list', 'me')")  # fmt: skip
    for number, fileset in zip(entries, ("d0", "d1", "d2"), strict=True):
        sql("UPDATE owl_queue SET campaign = 'flats' WHERE id = %s", number)
        sql("INSERT INTO owl_campaign_member (campaign, fileset, type, entry) "
            "VALUES ('flats', %s, 'drill', %s)", fileset, number)  # fmt: skip
    assert get(web, "/campaigns")["rows"][0]["name"] == "flats"
    assert get(web, "/campaigns/flats")["open"] == 3
    told = post(web, "/campaigns/flats/actions", action="pause", dry_run=True)
    assert "3 entries" in told["summary"]
    assert sql("SELECT DISTINCT state FROM owl_queue") == [("waiting",)]
    assert post(web, "/campaigns/flats/actions", action="pause", reason="night")["done"] == 1
    assert sql("SELECT DISTINCT state FROM owl_queue") == [("paused",)]
    refused = post(web, "/campaigns/flats/actions", action="approve")
    assert refused["items"][0]["why_not"]
    assert post(web, "/campaigns/flats/actions", action="resume")["done"] == 1
    assert len(get(web, "/campaigns/flats/members", state=["waiting"])["rows"]) == 3
    assert post(web, "/campaigns/flats/actions", action="cancel")["done"] == 1
    assert sql("SELECT count(*) FROM owl_queue") == [(0,)]
    sql("TRUNCATE owl_campaign, owl_campaign_member")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three products near the pole, across RA 0, with a preview; one file is on its shelf."""
    monkeypatch.setenv("OWL_ARCHIVE", str(tmp_path))
    for number, (ra, dec) in enumerate(((359.99, 10.0), (0.01, 10.0), (180.0, 89.99))):
        for name, subtype in (("flt.fits", "flt"), ("preview.png", "preview")):
            sql(
                "INSERT INTO owl_product (obs_id, dataset, name, obs_collection, "
                "obs_publisher_did, dataproduct_type, dataproduct_subtype, calib_level, "
                "access_url, access_format, access_estsize, bytes, sha256, instrument_name, "
                "target_name, s_ra, s_dec, workflow) VALUES (%s, %s, %s, 'HST', 'ivo://x', "
                "'image', %s, 2, 'file:x', 'application/fits', 1, 1, 'x', 'ACS', %s, %s, %s, "
                "'drill')",
                f"d{number}", f"d{number}", f"d{number}_{name}", subtype, f"NGC 10{number}_x",
                ra, dec,
            )  # fmt: skip
    (tmp_path / "d0").mkdir()
    (tmp_path / "d0" / "d0_flt.fits").write_bytes(b"SIMPLE")
    (tmp_path / "d0" / "d0_preview.png").write_bytes(b"PNG")
    yield tmp_path
    sql("TRUNCATE owl_product")


def test_a_query_that_takes_too_long_says_what_to_do(
    web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from htcondor_operator.console import database

    database.connections.forget()
    with (
        monkeypatch.context() as impatient,
        closing(psycopg2.connect(Settings.from_environment().database_url)) as other,
    ):
        impatient.setattr(database, "STATEMENT_SECONDS", 0.2)
        other.cursor().execute("LOCK owl_flow_tally, owl_flow IN ACCESS EXCLUSIVE MODE")
        for path in ("/flow", "/flow/totals", "/errors"):
            answer = web.get(f"/owl/api{path}", headers=bearer("viewer"))
            assert answer.status_code == 503, path
            assert answer.json()["detail"] == {
                "kind": "too_slow",
                "message": "The database took too long. Narrow the filter, or try again.",
            }
        other.rollback()
    # Whoever asks next gets a connection without that limit.
    database.connections.forget()
    assert web.get("/owl/api/flow", headers=bearer("viewer")).status_code == 200


def test_products_are_found_by_name_target_and_cone(web: Any, shelf: Path) -> None:
    def found(**query: Any) -> list[str]:
        return sorted(row["dataset"] for row in get(web, "/products", **query)["rows"])

    assert found() == ["d0", "d1", "d2"]
    assert found(target="ngc 101") == ["d1"]
    assert found(target="%") == []
    assert found(ra=0.0, dec=10.0, radius=0.02) == ["d0", "d1"]
    assert found(ra=0.0, dec=89.99, radius=0.03) == ["d2"]
    assert found(ra=0.0, dec=10.0, radius=0.005) == []
    page = get(web, "/products", sort="dataset", limit=2)
    assert page["rows"][0]["preview"]
    rest = get(web, "/products", sort="dataset", limit=2, cursor=page["next"])
    assert [r["dataset"] for r in rest["rows"]] == ["d2"]
    sql("UPDATE owl_product SET observed_at = '2026-05-01' WHERE dataset = 'd1'")
    sql("UPDATE owl_product SET observed_at = '2026-07-01' WHERE dataset = 'd2'")
    sql("UPDATE owl_product SET archived_at = now() - interval '1 day' WHERE dataset = 'd1'")
    for sort, order in {
        "observed": ["d0", "d1", "d2"], "-observed": ["d2", "d1", "d0"],
        "archived": ["d1", "d0", "d2"], "-dataset": ["d2", "d1", "d0"],
    }.items():  # fmt: skip
        # Walked by an index, and collected.
        for many in ({}, {"target": "ngc"}, {"instrument": "ACS"}):
            rows: list[str] = []
            cursor: dict[str, str] = {}
            for _ in order:
                page = get(web, "/products", sort=sort, limit=1, **many, **cursor)
                rows += [r["dataset"] for r in page["rows"]]
                cursor = {"cursor": page["next"]}
            assert (rows, page["next"]) == (order, None), (sort, many)
        for span, inside in (
            ({"since": "2026-06-01T00:00:00Z"}, ["d2"]),
            ({"until": "2026-06-01T00:00:00Z"}, ["d1"]),
            ({"since": "2026-07-01T00:00:00Z", "until": "2026-06-01T00:00:00Z"}, []),
        ):
            assert found(sort=sort, **span) == inside
    for query in ({"ra": 1}, {"ra": 400, "dec": 0, "radius": 1}):
        answer = web.get("/owl/api/products", params=query, headers=bearer("viewer"))
        assert answer.status_code == 422
        assert "ra" in answer.json()["detail"]["message"]


def test_files_come_from_the_datasets_shelf_only(web: Any, shelf: Path) -> None:
    rows = {r["dataset"]: r for r in get(web, "/products")["rows"]}
    taken = web.get(f"/owl/api/products/{rows['d0']['id']}/file", headers=bearer("viewer"))
    assert taken.content == b"SIMPLE"
    assert "attachment" in taken.headers["content-disposition"]
    shown = web.get(f"/owl/api/products/{rows['d0']['preview']}/file", headers=bearer("viewer"))
    assert shown.headers["content-type"] == "image/png"
    absent = web.get(f"/owl/api/products/{rows['d1']['id']}/file", headers=bearer("viewer"))
    assert absent.status_code == 404
    (shelf / "secret").write_text("s")
    sql("UPDATE owl_product SET name = '../secret' WHERE id = %s", rows["d0"]["id"])
    stolen = web.get(f"/owl/api/products/{rows['d0']['id']}/file", headers=bearer("viewer"))
    assert stolen.status_code == 404


def new_alert(rule: str, severity: str, *, dags: list[str] | None = None, **more: Any) -> int:
    detail = {"sample": "j8bt05njq"} if dags is None else {"sample": "j8bt05njq", "dags": dags}
    values = {
        "rule": rule, "severity": severity, "detail": json.dumps(detail),
        "subject": uuid.uuid4().hex, "title": rule, **more,
    }  # fmt: skip
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    found = sql(f"INSERT INTO owl_alert ({names}) VALUES ({marks}) RETURNING id", *values.values())
    return int(found[0][0])


@pytest.fixture
def no_alerts() -> Iterator[None]:
    yield
    sql("TRUNCATE owl_alert, owl_alert_message, owl_audit")


def test_alerts_are_shown_and_acknowledged(web: Any, no_alerts: None) -> None:
    number = new_alert("backlog", "warning", dags=["drill"], title="drill: 4 in the queue", count=4)
    for why, state, error in (("opened", "sent", None), ("grown", "due", "451 later")):
        sql(
            "INSERT INTO owl_alert_message (alert, channel, why, state, error, sent_at) "
            "VALUES (%s, 'mail', %s, %s, %s, CASE WHEN %s THEN now() END)",
            number, why, state, error, state == "sent",
        )  # fmt: skip
    (row,) = get(web, "/alerts")["rows"]
    assert (row["id"], row["title"], row["dags"]) == (number, "drill: 4 in the queue", ["drill"])
    (channel,) = row["channels"]
    assert (channel["channel"], channel["state"], channel["error"]) == ("mail", "due", "451 later")
    assert channel["told_at"]
    assert [m["why"] for m in get(web, f"/alerts/{number}")["messages"]] == ["opened", "grown"]
    assert get(web, "/alerts/totals")["unacknowledged"] == 1
    body = {"action": "ack", "ids": [number, number + 1]}
    tried = post(web, "/alerts/actions", "op", dry_run=True, **body)
    assert [item["why_not"] is None for item in tried["items"]] == [True, False]
    assert "Give a reason" in post(web, "/alerts/actions", "op", **body)["items"][0]["why_not"]
    done = post(web, "/alerts/actions", "op", reason="a new disk is coming", **body)
    assert (done["done"], done["summary"]) == (1, "1 of 2 alerts acknowledged")
    (row,) = get(web, "/alerts")["rows"]
    assert (row["acked_by"], row["ack_reason"]) == ("op", "a new disk is coming")
    assert row["channels"][0]["state"] == "cancelled"
    again = post(web, "/alerts/actions", "op", reason="me too", **body)
    assert "op has acknowledged it" in again["items"][0]["why_not"]
    told = get(web, "/alerts/totals")
    assert (told["open"], told["unacknowledged"], told["worst"]) == (1, 0, None)
    assert get(web, "/alerts", state="closed")["rows"] == []
    assert sql("SELECT who FROM owl_audit WHERE subject = %s", f"alert {number}") == [("op",)]


def test_the_worst_alerts_come_first_and_the_closed_ones_last(web: Any, no_alerts: None) -> None:
    old = new_alert("pool_empty", "critical", state="closed")
    acked = new_alert("pool_empty", "critical", acked_by="op", acked_at=datetime.now(UTC))
    warning = new_alert("mirror_lag", "warning")
    error = new_alert("dataset_failed", "error", dags=["drill"])
    error2 = new_alert("dataset_failed", "error", dags=["drill"])
    order = [error2, error, warning, acked, old]
    assert [r["id"] for r in get(web, "/alerts", state="all")["rows"]] == order
    paged, cursor = [], None
    while True:
        page = get(web, "/alerts", state="all", limit=2, **({"cursor": cursor} if cursor else {}))
        paged += [r["id"] for r in page["rows"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == order
    assert [r["id"] for r in get(web, "/alerts")["rows"]] == order[:-1]
    assert [r["id"] for r in get(web, "/alerts", state="closed")["rows"]] == [old]
    assert [r["id"] for r in get(web, "/alerts", id=[old])["rows"]] == [old]
    assert [r["id"] for r in get(web, "/alerts", rule=["mirror_lag"])["rows"]] == [warning]
    chosen = get(web, "/alerts", severity=["warning", "critical"])["rows"]
    assert [r["id"] for r in chosen] == [warning, acked]
    told = get(web, "/alerts/totals")
    assert (told["worst"], told["severity"]) == ("error", {"error": 2, "warning": 1})
    for query in ({"cursor": "nonsense"}, {"severity": "bad"}, {"state": "bad"}):
        answer = web.get("/owl/api/alerts", params=query, headers=bearer("viewer"))
        assert answer.status_code == 422, query


def test_alerts_of_runs_are_for_those_who_may_read_their_dag(
    web: Any, no_alerts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    site = new_alert("pool_empty", "critical")
    own = new_alert("dataset_failed", "error", dags=["drill"])
    shared = new_alert("dataset_failed", "error", dags=["drill", "secret"])
    others = [
        new_alert(rule, "error", dags=["secret"])
        for rule in ("dataset_failed", "dataset_held", "dataset_slow", "backlog",
                     "campaign_done", "campaign_stalled", "poller_stale")
    ]  # fmt: skip
    unknown = new_alert("dataset_failed", "error")  # nobody knows whose runs
    waiting = new_alert("backlog", "warning", dags=[])  # entries of no DAG
    manager = get_auth_manager()
    everything = {r["id"] for r in get(web, "/alerts", state="all")["rows"]}
    assert unknown not in everything

    def operates(*, details: Any = None, **_: Any) -> bool:
        return details is None or details.id in (None, "drill")

    monkeypatch.setattr(manager, "get_authorized_dag_ids", lambda **_: {"drill"})
    monkeypatch.setattr(manager, "is_authorized_dag", operates)
    seen = {r["id"]: r for r in get(web, "/alerts", state="all")["rows"]}
    assert set(seen) == {site, own, shared, waiting}
    assert (seen[own]["detail"], seen[own]["partly"]) == ({"sample": "j8bt05njq"}, False)
    # The sample may be a dataset of the other DAG, whose name is nobody's business either.
    assert (seen[shared]["detail"], seen[shared]["partly"]) == ({}, True)
    assert seen[shared]["dags"] == ["drill"]
    assert get(web, "/alerts/totals")["unacknowledged"] == 4
    for number in (*others, unknown):
        assert get(web, "/alerts", id=[number])["rows"] == []
        answer = web.get(f"/owl/api/alerts/{number}", headers=bearer("viewer"))
        assert answer.status_code == 404
    done = post(web, "/alerts/actions", "op", action="ack", ids=[own, shared, others[0], site],
                reason="mine")  # fmt: skip
    assert [item["why_not"] is None for item in done["items"]] == [True, False, False, True]
    assert "may not operate" in done["items"][1]["why_not"]
    assert "secret" not in json.dumps(done)
    assert sql("SELECT count(*) FROM owl_alert WHERE acked_at IS NOT NULL") == [(2,)]


def test_a_run_of_the_alerts_that_is_overdue_is_told_without_the_triggerer(
    web: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's deadline alert: the scheduler's part of it is called here, the rest is real."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.deadline import Deadline
    from airflow.sdk.execution_time.callback_supervisor import execute_callback
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import select
    from structlog import get_logger

    from tests.integration.alerts_support import http_server

    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag("alerts", session=session)
        dag.create_dagrun(
            run_id="r1", run_after=datetime.now(UTC), run_type=DagRunType.SCHEDULED,
            triggered_by=DagRunTriggeredByType.TIMETABLE, state=DagRunState.QUEUED,
            session=session,
        )  # fmt: skip
        session.flush()
        deadline = session.scalars(select(Deadline)).one()
        assert 1400 < (deadline.deadline_time - datetime.now(UTC)).total_seconds() < 1501
        deadline.handle_miss(session)
        data = dict(deadline.callback.data)
    with http_server() as receiver:
        file = tmp_path / "alerts.yaml"
        file.write_text(
            "channels:\n- {name: hook, notifier: "
            "htcondor_operator.notifications.webhook.WebhookNotifier, "
            f"arguments: {{url: '{receiver.url}'}}}}\n"
            "- {name: other, rules: [backlog], notifier: x.Y}\n"
        )
        monkeypatch.setenv("OWL_ALERTS", str(file))
        done, error = execute_callback(data["path"], data["kwargs"], "", None, get_logger())
        assert (done, error) == (True, None)
        (told,) = receiver.bodies
        assert (told["rule"], told["severity"]) == ("alerts_silent", "critical")
        sql("UPDATE dag SET is_paused = true WHERE dag_id = 'alerts'")
        execute_callback(data["path"], data["kwargs"], "", None, get_logger())
        sql("UPDATE dag SET is_paused = false WHERE dag_id = 'alerts'")
        assert len(receiver.bodies) == 1
