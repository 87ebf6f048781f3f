from __future__ import annotations

import pytest
from airflow.sdk import Connection

from htcondor_operator.blackboard.health import Beat
from htcondor_operator.hooks.htcondor import HTCondorHook, connection_url, verdict


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, ""),
        ({"schema": "airflow"}, "postgresql:///airflow"),
        (
            {"host": "db", "port": 5433, "schema": "a/b", "login": "u@x", "password": "p:w"},
            "postgresql://u%40x:p%3Aw@db:5433/a%2Fb",
        ),
        (
            {"host": "/run/pg", "schema": "airflow", "login": "owl"},
            "postgresql://owl@/airflow?host=%2Frun%2Fpg",
        ),
    ],
)
def test_connection_url(fields: dict[str, object], url: str) -> None:
    assert connection_url(Connection(conn_id="c", conn_type="htcondor", **fields)) == url


def test_where_the_database_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWL_DATABASE_URL", "postgresql://env/db")
    monkeypatch.setenv("AIRFLOW_CONN_PG", "postgres://u@pg/one")
    monkeypatch.setenv(
        "AIRFLOW_CONN_OTHER", '{"conn_type": "htcondor", "extra": {"database_conn_id": "pg"}}'
    )
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", '{"conn_type": "htcondor"}')
    assert HTCondorHook(None).database_url() == "postgresql://env/db"
    assert HTCondorHook("empty").database_url() == "postgresql://env/db"
    assert HTCondorHook("other").database_url() == "postgresql://u@pg/one"


def test_a_database_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWL_DATABASE_URL", "postgresql://u@/db?host=/nowhere")
    good, words = HTCondorHook(None).test_connection()
    assert not good
    assert "does not answer" in words
    monkeypatch.setenv("OWL_DATABASE_URL", "")
    assert HTCondorHook(None).test_connection()[1].startswith("OWL_DATABASE_URL is not set")


def test_verdict() -> None:
    gateway = Beat("gateway", "ap", "up", 1.2, {"schedd": "ap.example"})
    mirror = Beat("mirror", "ap", "up", 700.0, {})
    assert verdict([], None) == (
        False,
        "The database is OWL's blackboard, but no gateway ever worked on it.",
    )
    good, words = verdict([gateway, mirror], 0.25)
    assert good
    assert words == (
        "gateway on ap: up, heartbeat 1 s ago (schedd: ap.example). "
        "mirror on ap: silent, heartbeat 700 s ago. The mirror is 0.2 s behind HTCondor."
    )
    assert not verdict([Beat("gateway", "ap", "up", 60, {})], None)[0]
