"""The tables of the pool: machines and slots as the collector last told."""

from __future__ import annotations

import sqlalchemy as sa

from htcondor_operator.blackboard.columns import NOW, metadata
from htcondor_operator.blackboard.columns import time_column as _time

owl_slot = sa.Table(
    "owl_slot",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("machine", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("activity", sa.Text, nullable=False),
    sa.Column("cpus", sa.Float, nullable=False),
    sa.Column("memory_mb", sa.Float, nullable=False),
    sa.Column("disk_mb", sa.Float, nullable=False),
    sa.Column("gpus", sa.Float, nullable=False, server_default="0"),
    sa.Column("load", sa.Float),
    sa.Column("owner", sa.Text),
    sa.Column("job", sa.Text),
    _time("since"),
    _time("seen_at", nullable=False, server_default=NOW),
    sa.Index("owl_slot_machine", "machine"),
)

owl_machine = sa.Table(
    "owl_machine",
    metadata,
    sa.Column("machine", sa.Text, primary_key=True),
    sa.Column("present", sa.Boolean, nullable=False),
    sa.Column("cpus", sa.Float, nullable=False),
    sa.Column("memory_mb", sa.Float, nullable=False),
    sa.Column("gpus", sa.Float, nullable=False, server_default="0"),
    sa.Column("software", sa.Text),
    _time("joined_at", nullable=False, server_default=NOW),
    _time("left_at"),
    _time("seen_at", nullable=False, server_default=NOW),
)
