"""What all tables of the blackboard share: the metadata they register in, and common columns."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

NOW = sa.text("now()")


def time_column(name: str, **kwargs: object) -> sa.Column[object]:
    """Return a column for a point in time (with a time zone)."""
    return sa.Column(name, sa.TIMESTAMP(timezone=True), **kwargs)  # type: ignore[arg-type]
