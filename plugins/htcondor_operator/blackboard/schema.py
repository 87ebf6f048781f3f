"""Make and change the blackboard's tables, with Airflow (``airflow db migrate``) or without."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

VERSION_TABLE = "alembic_version_owl"
ALEMBIC_FILE = Path(__file__).with_name("alembic.ini")
MIGRATIONS = Path(__file__).with_name("migrations")


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for a database."""
    config = Config(ALEMBIC_FILE)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the blackboard's tables to a revision, from nothing or from an older one."""
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the blackboard's tables back to a revision; ``base`` drops them all."""
    command.downgrade(alembic_config(url), revision)
