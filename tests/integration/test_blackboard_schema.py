from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from htcondor_operator.blackboard.connection import connect, connect_url
from htcondor_operator.blackboard.retention import Retention, forget
from htcondor_operator.blackboard.roles import grant_tasks
from htcondor_operator.blackboard.schema import VERSION_TABLE, downgrade, upgrade
from htcondor_operator.blackboard.tables import metadata
from htcondor_operator.launcher.postgres import Postgres
from htcondor_operator.settings import Settings
from tests.conftest import drop_database

pytestmark = pytest.mark.database


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    name = f"owl_{uuid.uuid4().hex[:12]}"
    yield postgres.ensure_database(name)
    drop_database(postgres, name)


def differences(url: str) -> list[object]:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://", 1))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_server_default": True, "version_table": VERSION_TABLE},
        )
        found = compare_metadata(context, metadata)
    engine.dispose()
    return found


def tables(url: str) -> set[str]:
    connection = connect_url(url, application="test")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = {name for (name,) in cursor.fetchall()}
    connection.close()
    return names


def functions(url: str) -> list[object]:
    connection = connect_url(url, application="test")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'owl%'")
        names = [name for (name,) in cursor.fetchall()]
    connection.close()
    return names


def catalogue(url: str) -> list[tuple[object, ...]]:
    """Everything that alembic's comparison does not look at, such as identity and keys."""
    connection = connect_url(url, application="test")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT table_name, column_name, data_type, is_nullable, column_default,
                   identity_generation
            FROM information_schema.columns WHERE table_name LIKE 'owl%'
            UNION ALL
            SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
            FROM pg_constraint WHERE conrelid::regclass::text LIKE 'owl%'
            UNION ALL
            SELECT tablename, indexname, indexdef, '', '', ''
            FROM pg_indexes WHERE tablename LIKE 'owl%'
            UNION ALL
            SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', '', ''
            FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'owl%'
            UNION ALL
            SELECT '', proname, pg_get_functiondef(oid), '', '', ''
            FROM pg_proc WHERE proname LIKE 'owl%'
            UNION ALL
            SELECT attrelid::regclass::text, attname, attcollation::regcollation::text, '', '', ''
            FROM pg_attribute
            WHERE attnum > 0 AND attcollation <> 0 AND attrelid::regclass::text LIKE 'owl%'
            ORDER BY 1, 2, 3
            """
        )
        rows = cursor.fetchall()
    connection.close()
    return rows


def test_migrations_and_create_all_agree(empty: str, database: str) -> None:
    upgrade(empty)
    assert differences(empty) == []
    assert catalogue(empty) == catalogue(database)
    assert len(functions(empty)) == 5


def test_upgrade_again_and_downgrade_to_nothing(empty: str) -> None:
    upgrade(empty)
    upgrade(empty)
    assert set(metadata.tables) | {VERSION_TABLE} == tables(empty)
    downgrade(empty, "base")
    assert tables(empty) == {VERSION_TABLE}
    assert functions(empty) == []
    upgrade(empty)
    assert differences(empty) == []


def test_migrations_leave_foreign_tables_alone(empty: str) -> None:
    connection = connect_url(empty, application="test")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE dag_run (id int)")
    connection.close()
    upgrade(empty)
    downgrade(empty, "base")
    assert "dag_run" in tables(empty)


def test_connection_names_itself_and_cannot_wait_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWL_DATABASE_URL", database.replace("postgresql:", "postgresql+asyncpg:"))
    connection = connect(Settings.from_environment(), application="test", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        assert cursor.fetchone() == ("owl test",)
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() == ("1min",)
    connection.close()


def test_task_role_can_do_its_work_and_nothing_else(postgres: Postgres, database: str) -> None:
    role = f"task_{uuid.uuid4().hex[:8]}"
    owner = connect_url(database, application="test")
    try:
        with owner, owner.cursor() as cursor:
            cursor.execute("CREATE TABLE connection (password text)")
            grant_tasks(cursor, role, "it's a secret")
            grant_tasks(cursor, role)
        name = database.partition("?")[0].rpartition("/")[2]
        task = psycopg2.connect(host=str(postgres.socket_dir), dbname=name, user=role)
        task.autocommit = True
        with task.cursor() as cursor:
            cursor.execute(
                "INSERT INTO owl_run (dag_id, run_id, workflow, dataset)"
                " VALUES ('d', 'r', 'w', 's') RETURNING run_key"
            )
            (key,) = cursor.fetchone() or (0,)
            cursor.execute(
                "INSERT INTO owl_attempt (run_key, attempt, kind) VALUES (%s, 1, 'first')", (key,)
            )
            cursor.execute("SELECT 1 FROM owl_run WHERE run_key = %s FOR UPDATE", (key,))
            cursor.execute("UPDATE owl_run SET priority = 5")
            cursor.execute("NOTIFY owl_attempt")
            cursor.execute("SELECT * FROM owl_daemon")
            for forbidden in (
                "SELECT * FROM connection",
                "DELETE FROM owl_run",
                "TRUNCATE owl_run",
                "UPDATE owl_cursor SET position = 0",
                "SELECT * FROM owl_event",
                "CREATE TABLE mine (x int)",
            ):
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(forbidden)
        task.close()
    finally:
        with owner, owner.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {role}")
            cursor.execute(f"DROP ROLE {role}")
        owner.close()


def test_retention_forgets_the_old_journal_of_ended_runs_only(database: str) -> None:
    connection = connect_url(database, application="test")
    with connection, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO owl_run (dag_id, run_id, workflow, dataset, ended_at)
            VALUES ('d', 'open', 'w', 's', NULL), ('d', 'ended', 'w', 's', now());
            INSERT INTO owl_event (run_key, schedd, cluster, proc, type, event_at, digest,
                                   recorded_at)
            SELECT run_key, 's', k, 0, 1, now(), run_id, now() - make_interval(days => 10 * k)
            FROM owl_run, generate_series(1, 20) k;
            INSERT INTO owl_daemon (name, host, pid, state, beat_at)
            VALUES ('mirror', 'gone', 1, 'up', now() - interval '30 days'),
                   ('mirror', 'here', 1, 'up', now());
            INSERT INTO owl_command (verb, run_key, state, requested_at)
            SELECT 'hold', run_key, unnest(ARRAY['wanted', 'done']), now() - interval '2 years'
            FROM owl_run;
            """
        )
    with connection.cursor() as cursor:
        deleted = forget(cursor, Retention(events=timedelta(days=95)), connection.commit, batch=4)
        assert deleted == {"owl_event": 11, "owl_command": 2, "owl_daemon": 1}
        cursor.execute(
            "SELECT run_id, count(*) FROM owl_event JOIN owl_run USING (run_key) GROUP BY 1"
        )
        assert dict(cursor.fetchall()) == {"open": 20, "ended": 9}
        cursor.execute("SELECT host FROM owl_daemon")
        assert cursor.fetchall() == [("here",)]
    connection.close()


def test_alembic_files_are_part_of_the_package() -> None:
    folder = Path(connect.__code__.co_filename).parent
    assert (folder / "alembic.ini").is_file()
    assert (folder / "migrations" / "versions" / "0001_blackboard.py").is_file()
