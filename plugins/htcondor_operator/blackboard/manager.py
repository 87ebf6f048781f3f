"""Lets ``airflow db migrate`` make and change the blackboard's tables with Airflow's own.

Airflow finds :class:`BlackboardDBManager` through the provider's metadata; name it in
``[database] external_db_managers`` as well, because ``airflow db-manager`` reads only that.
"""

from __future__ import annotations

from typing import Any

from airflow.utils.db_manager import BaseDBManager
from alembic import command

from htcondor_operator.blackboard.schema import ALEMBIC_FILE, MIGRATIONS, VERSION_TABLE
from htcondor_operator.blackboard.tables import metadata


class BlackboardDBManager(BaseDBManager):
    """The blackboard's tables in Airflow's metadata database."""

    metadata = metadata
    migration_dir = str(MIGRATIONS)
    alembic_file = str(ALEMBIC_FILE)
    version_table_name = VERSION_TABLE
    supports_table_dropping = True

    def downgrade(
        self, to_revision: str, from_revision: str | None = None, show_sql_only: bool = False
    ) -> None:
        """Take the tables back to a revision."""
        revision: Any = to_revision
        if show_sql_only:
            revision = f"{from_revision or self.get_current_revision()}:{to_revision}"
        command.downgrade(self.get_alembic_config(), revision, sql=show_sql_only)
