"""Database roles with few rights: one for task processes, one for the pollers and the shoveler.

Airflow keeps task processes away from its own connection. ``HTCondorDagOperator`` in a worker
therefore uses a Connection to the same server, with a role that sees the blackboard only. The
intake's role can do that as well, works on the queue, and makes DAG runs, but it can neither change
nor delete one, nor does it see anything else of Airflow.
"""

from __future__ import annotations

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard.tables import metadata
from htcondor_operator.vocabulary import ErrorKind, OwlError

WRITABLE = ("owl_run", "owl_attempt", "owl_node", "owl_command")
"""Tables that a task reads, adds to and changes."""

READABLE = ("owl_daemon", "owl_cursor")
"""Tables that a task reads."""

INTAKE_READABLE = (
    "owl_setting",
    "owl_product",
    "owl_flow",
    "owl_flow_tally",
    "owl_flow_mark",
    "owl_accepted_error",
    "owl_machine",
)
"""Tables that pollers and the shoveler read; what the console has for the alerts."""

INTAKE_APPENDABLE = ("owl_audit",)
"""Tables that they read and add to."""

INTAKE_DELETABLE = ("owl_queue", "owl_queue_tally")
"""Tables in which they also delete. In all other tables of the intake they add and change."""

AIRFLOW_READABLE = ("dag", "dag_run", "dag_version", "log_template", "backfill")
"""Airflow's tables that the shoveler reads; it adds to ``dag_run``."""

_RUN_TABLES = (*WRITABLE, *READABLE, "owl_event")


CONSOLE = (
    "owl_flow",
    "owl_flow_tally",
    "owl_flow_mark",
    "owl_accepted_error",
    "owl_slot",
    "owl_machine",
    "owl_target",
)
"""Tables of the console: triggers with the owner's rights write into some of them."""


def intake_writable() -> tuple[str, ...]:
    """Return the tables that pollers and the shoveler read, add to and change."""
    others = {*_RUN_TABLES, *CONSOLE, *INTAKE_READABLE, *INTAKE_APPENDABLE}
    return tuple(sorted(set(metadata.tables) - others))


def grant_tasks(cursor: Cursor, role: str, password: str | None = None) -> None:
    """Make a role for task processes, or bring an existing one to what tasks need.

    The caller owns the transaction and must be allowed to create roles. Whatever the role could
    do to OWL's tables before is taken away first; other tables are not touched.

    Parameters
    ----------
    cursor
        Of a connection of the tables' owner.
    role
        Name of the role.
    password
        Its password; None leaves it as it is.
    """
    _make(cursor, role, password)
    _grant(cursor, role, "SELECT, INSERT, UPDATE", WRITABLE)
    _grant(cursor, role, "SELECT", READABLE)


def grant_intake(cursor: Cursor, role: str, password: str | None = None) -> None:
    """Make a role for the processes that run pollers and the shoveler; see :func:`grant_tasks`.

    Raises
    ------
    OwlError
        ``BAD_CONF``, when this database is not Airflow's.
    """
    cursor.execute("SELECT to_regclass('dag_run') IS NULL")
    if cursor.fetchone() == (True,):
        raise OwlError(
            ErrorKind.BAD_CONF,
            "OWL_DATABASE_URL names a database without Airflow's table dag_run. The shoveler makes "
            "DAG runs in it: give the URL of Airflow's database.",
        )
    grant_tasks(cursor, role, password)
    name = sql.Identifier(role)
    _grant(cursor, role, "SELECT, INSERT, UPDATE", intake_writable())
    _grant(cursor, role, "DELETE", INTAKE_DELETABLE)
    _grant(cursor, role, "SELECT, INSERT", INTAKE_APPENDABLE)
    _grant(cursor, role, "SELECT", INTAKE_READABLE + AIRFLOW_READABLE)
    _grant(cursor, role, "INSERT", ("dag_run",))
    cursor.execute(
        sql.SQL(
            "GRANT USAGE ON SEQUENCE owl_queue_id_seq, dag_run_id_seq TO {role};"
            "GRANT TEMPORARY ON DATABASE {database} TO {role}"
        ).format(role=name, database=sql.Identifier(_here(cursor)[0]))
    )


def _make(cursor: Cursor, role: str, password: str | None) -> None:
    """Make the role if it is not there; take all its rights to OWL's tables."""
    name = sql.Identifier(role)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %(role)s", {"role": role})
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(name))
    if password is not None:
        cursor.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)),
        )
    database, schema = _here(cursor)
    cursor.execute(
        sql.SQL(
            "GRANT CONNECT ON DATABASE {database} TO {role};"
            "GRANT USAGE ON SCHEMA {schema} TO {role};"
            "REVOKE ALL ON {ours} FROM {role}"
        ).format(
            database=sql.Identifier(database),
            schema=sql.Identifier(schema),
            role=name,
            ours=_names(tuple(sorted(metadata.tables))),
        )
    )


def _here(cursor: Cursor) -> tuple[str, str]:
    cursor.execute("SELECT current_database(), current_schema()")
    database, schema = cursor.fetchone() or ("", "")
    return database, schema


def _grant(cursor: Cursor, role: str, rights: str, tables: tuple[str, ...]) -> None:
    cursor.execute(
        sql.SQL("GRANT {rights} ON {tables} TO {role}").format(
            rights=sql.SQL(rights), tables=_names(tables), role=sql.Identifier(role)
        )
    )


def _names(tables: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table) for table in tables)
