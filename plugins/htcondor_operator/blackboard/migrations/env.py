"""Alembic's environment for the blackboard's tables, and only for them."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa
from alembic import context

from htcondor_operator.blackboard.connection import libpq_url
from htcondor_operator.blackboard.schema import VERSION_TABLE
from htcondor_operator.blackboard.tables import metadata


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Whether a thing in the database is the blackboard's: Airflow's tables live there too."""
    table = name if kind == "table" else parents.get("table_name")
    return kind == "schema" or table in metadata.tables


def url() -> str:
    """Return the database's URL: Airflow's when Airflow calls, else OWL_DATABASE_URL."""
    given = context.config.get_main_option("sqlalchemy.url") or os.environ.get(
        "OWL_DATABASE_URL", ""
    )
    return libpq_url(given).replace("postgresql://", "postgresql+psycopg2://", 1)


def run_offline() -> None:
    """Print the SQL."""
    context.configure(
        url=url(), target_metadata=metadata, version_table=VERSION_TABLE, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Change the database."""
    engine = sa.create_engine(url(), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table=VERSION_TABLE,
            include_name=is_ours,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
