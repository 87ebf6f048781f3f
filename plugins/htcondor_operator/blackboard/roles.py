"""The database role for task processes: enough to request a run and to wait for it, no more.

Airflow keeps task processes away from its own connection. ``HTCondorDagOperator`` in a worker
therefore uses a Connection to the same server, with a role that sees the blackboard only.
"""

from __future__ import annotations

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

WRITABLE = ("owl_run", "owl_attempt", "owl_node", "owl_command")
"""Tables that a task reads, adds to and changes."""

READABLE = ("owl_daemon", "owl_cursor")
"""Tables that a task reads."""


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
    name = sql.Identifier(role)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %(role)s", {"role": role})
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(name))
    if password is not None:
        cursor.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)),
        )
    cursor.execute("SELECT current_database(), current_schema()")
    database, schema = cursor.fetchone() or ("", "")
    cursor.execute(
        sql.SQL(
            "GRANT CONNECT ON DATABASE {database} TO {role};"
            "GRANT USAGE ON SCHEMA {schema} TO {role};"
            "REVOKE ALL ON {ours} FROM {role};"
            "GRANT SELECT, INSERT, UPDATE ON {writable} TO {role};"
            "GRANT SELECT ON {readable} TO {role}"
        ).format(
            database=sql.Identifier(database),
            schema=sql.Identifier(schema),
            role=name,
            ours=_names(WRITABLE + READABLE + ("owl_event",)),
            writable=_names(WRITABLE),
            readable=_names(READABLE),
        )
    )


def _names(tables: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table) for table in tables)
