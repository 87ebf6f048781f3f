"""The one step before everything else: Airflow's and OWL's tables, and the pool of nodes.

Run as ``python -m htcondor_operator.launcher.schema`` by the supervisor. Nothing is imported from
Airflow when neither its version nor OWL's migrations changed since the last time.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from htcondor_operator.launcher.airflow import POOL, POOL_SLOTS
from htcondor_operator.launcher.environment import DATABASE
from htcondor_operator.launcher.home import CHECKOUT, Home, digest
from htcondor_operator.launcher.postgres import Postgres


def main() -> int:
    """Make or upgrade the tables; return the exit code."""
    home = Home.current()
    server = Postgres(home.postgres)
    url = os.environ["OWL_DATABASE_URL"]
    if url == server.url(DATABASE):
        server.ensure_database(DATABASE)
    blackboard = CHECKOUT / "plugins" / "htcondor_operator" / "blackboard"
    wanted = f"{version('apache-airflow')} {digest(blackboard)} {url}"
    stamp = home.run / "schema"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    _migrate()
    stamp.write_text(wanted)
    return 0


def _migrate() -> None:
    from airflow.models.pool import Pool
    from airflow.utils.db import upgradedb

    upgradedb()
    Pool.create_or_update_pool(
        POOL, POOL_SLOTS, "Nodes that run on HTCondor, which alone decides when.", False
    )


if __name__ == "__main__":
    sys.exit(main())
