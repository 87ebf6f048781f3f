"""The data dictionary ``docs/blackboard.md``, made from the tables themselves."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from htcondor_operator.blackboard.roles import READABLE, WRITABLE
from htcondor_operator.blackboard.tables import metadata

_INTRODUCTION = """# The blackboard

OWL's tables in Airflow's metadata database. This page is made from
`run_tables.py`, `intake_tables.py`, `flow_tables.py`, `alert_tables.py` and their
`..._comments.py` in
`plugins/htcondor_operator/blackboard/` by
`owl blackboard dictionary > docs/blackboard.md`; the same sentences are the comments in
PostgreSQL (`\\d+ owl_run`).

`airflow db migrate` makes and changes the tables (`BlackboardDBManager`; their revision is in
`alembic_version_owl`). All times carry a time zone. Who writes what is in `architecture.md`.
"""

_CHANGING = """## How to change a table

1. Change `run_tables.py` or `intake_tables.py`, and the `..._comments.py` beside it.
2. `OWL_DATABASE_URL=... alembic -c plugins/htcondor_operator/blackboard/alembic.ini revision
   --autogenerate --rev-id 0005 -m "what changed"` against a database of the revision before.
   Read what it wrote.
3. `owl blackboard dictionary > docs/blackboard.md`.

A test compares the tables, the migrations and this page.
"""


def dictionary() -> str:
    """Return the page as Markdown."""
    # By name: the order of the imports, in which they register, is not the same everywhere.
    tables = "\n".join(_table(table) for _, table in sorted(metadata.tables.items()))
    return "\n".join((_INTRODUCTION, tables, _role(), _CHANGING))


def _table(table: sa.Table) -> str:
    rows = [_row(column) for column in table.columns]
    lines = [
        f"## {table.name}",
        "",
        table.comment or "",
        "",
        "| column | type | | meaning |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    unique = [_columns(item) for item in table.constraints if isinstance(item, sa.UniqueConstraint)]
    if unique:
        lines += [f"Unique: {'; '.join(sorted(unique))}.", ""]
    return "\n".join(lines)


def _columns(item: sa.UniqueConstraint) -> str:
    return "(" + ", ".join(f"`{column.name}`" for column in item.columns) + ")"


def _row(column: sa.Column[object]) -> str:
    kind = column.type.compile(dialect=postgresql.dialect()).lower()  # type: ignore[no-untyped-call]
    kind = kind.partition(" collate")[0]
    notes = [
        *(["key"] if column.primary_key else []),
        *[f"-> {key.column.table.name}" for key in column.foreign_keys],
        *([] if column.primary_key or column.nullable else ["not null"]),
    ]
    return f"| `{column.name}` | {kind} | {', '.join(sorted(set(notes)))} | {column.comment} |"


def _role() -> str:
    def names(tables: tuple[str, ...]) -> str:
        return ", ".join(f"`{table}`" for table in tables)

    return f"""## The role for tasks

Task processes must not use Airflow's own database connection. `owl blackboard grant ROLE` makes a
role that may select, insert and update in {names(WRITABLE)},
read {names(READABLE)}, and do nothing else. Put it into an Airflow Connection of
type `htcondor` (or `postgres`) for `HTCondorDagOperator`.
"""
