"""The console's API inside Airflow's own web application, with its auth manager and tokens.

Run by tests/integration/test_console_api.py in a process of its own. Every documented route is
walked: without a login, as a viewer, from a foreign page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import pytest

from htcondor_operator.settings import Settings

BASE = "http://testserver"


@pytest.fixture(scope="session")
def web() -> Iterator[Any]:
    from airflow.api_fastapi.app import create_app
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from fastapi.testclient import TestClient

    folder = Path(__file__).resolve().parents[2] / "dags"
    DagBundlesManager().sync_bundles_to_db()
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    with TestClient(create_app(apps="core"), base_url=BASE, raise_server_exceptions=False) as client:
        yield client


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
    with closing(psycopg2.connect(Settings.from_environment().database_url)) as connection:
        with connection, connection.cursor() as cur:
            cur.execute("UPDATE owl_node SET err_path = %s, submitted_at = now() WHERE node = 'B'",
                        (str(err),))  # fmt: skip
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
    with closing(psycopg2.connect(Settings.from_environment().database_url)) as connection:
        with connection, connection.cursor() as cur:
            cur.execute("UPDATE owl_run SET state = 'running' WHERE run_key = %s", (keys[0],))
        answer = act(web, action="priority", priority=7, run_keys=keys, reason="urgent").json()
        assert answer["done"] == 1
        with connection.cursor() as cur:
            cur.execute("SELECT verb, run_key, argument, requested_by, reason FROM owl_command")
            assert cur.fetchall() == [("priority", keys[0], {"priority": 7}, "op", "urgent")]
            cur.execute("SELECT who, subject, action, reason FROM owl_audit")
            assert cur.fetchall() == [("op", f"run {keys[0]}", "priority", "urgent")]
    assert act(web, action="priority", run_keys=keys).status_code == 422
    assert act(web, action="retry_from", run_keys=keys).status_code == 422
    assert act(web, action="hold", run_keys=keys, resaon="typo").status_code == 422


def test_me_tells_what_the_pages_may_show(web: Any) -> None:
    viewer, admin = get(web, "/me"), get(web, "/me", "admin")
    assert not viewer["can"]["operate"]
    assert admin["can"]["operate"]
    assert "drill" in viewer["workflows"]
    assert viewer["exit_codes"]
