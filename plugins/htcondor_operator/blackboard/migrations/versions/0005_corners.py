"""Indexes for the corners of the console's lists: limits on time with other sorts, the start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ENDED = "coalesce(ended_at, '-infinity'::timestamptz)"
_STARTED = "coalesce(started_at, '-infinity'::timestamptz)"
_SEEN = "coalesce(observed_at, '-infinity'::timestamptz)"
_FAILED = "status IN ('failed', 'held', 'removed')"
_SHOWN = "coalesce(dataproduct_subtype, '') NOT IN ('preview', 'thumb', 'trailer')"
_STATE = ["latest", "workflow", "status"]
_ODD = (
    ("updated", [*_STATE, "updated_at"]),
    ("ended", [*_STATE, _ENDED]),
    ("started", ["latest", _STARTED]),
)
_PRODUCTS = (
    ("archived", ["archived_at", "id", "observed_at"]),
    ("observed", [_SEEN, "id"]),
    ("dataset", ["dataset", "id", "observed_at"]),
)


def _words(columns: list[str]) -> list[str | sa.ColumnElement[object]]:
    return [sa.literal_column(each) if "(" in each else each for each in columns]


def upgrade() -> None:
    """Apply."""
    op.create_index("owl_flow_started", "owl_flow", _words(["latest", _STARTED, "run_key"]))
    for name, columns in _ODD:
        op.create_index(
            f"owl_flow_odd_{name}",
            "owl_flow",
            _words([*columns, "run_key", "created_at"]),
            postgresql_where=sa.text(
                f"{name}_at - created_at NOT BETWEEN interval '-24 hours' AND interval '24 hours'"
            ),
        )
    _datasets("created_at")
    _errors(_FAILED)
    op.drop_index("owl_product_seen", "owl_product")
    op.drop_index("owl_product_instrument", "owl_product")
    for name, columns in _PRODUCTS:
        for prefix, first in (("list_", []), ("instrument_", ["instrument_name"])):
            op.create_index(
                f"owl_product_{prefix}{name}",
                "owl_product",
                _words([*first, *columns]),
                postgresql_where=sa.text(_SHOWN),
            )


def downgrade() -> None:
    """Take back."""
    for name, _ in _PRODUCTS:
        for prefix in ("list_", "instrument_"):
            op.drop_index(f"owl_product_{prefix}{name}", "owl_product")
    op.create_index(
        "owl_product_instrument", "owl_product", ["instrument_name", "archived_at", "id"]
    )
    op.create_index("owl_product_seen", "owl_product", _words([_SEEN, "id"]))
    _errors(f"latest AND {_FAILED}")
    _datasets()
    for name, _ in _ODD:
        op.drop_index(f"owl_flow_odd_{name}", "owl_flow")
    op.drop_index("owl_flow_started", "owl_flow")


def _datasets(*more: str) -> None:
    op.drop_index("owl_flow_dataset", "owl_flow")
    op.create_index("owl_flow_dataset", "owl_flow", ["latest", "dataset", "run_key", *more])
    op.drop_index("owl_flow_state_dataset", "owl_flow")
    op.create_index("owl_flow_state_dataset", "owl_flow", [*_STATE, "dataset", "run_key", *more])


def _errors(condition: str) -> None:
    op.drop_index("owl_flow_errors", "owl_flow")
    op.create_index(
        "owl_flow_errors",
        "owl_flow",
        ["node", "error_kind", "fingerprint", "run_key"],
        postgresql_where=sa.text(condition),
        postgresql_include=["latest", "status", "dag_id", "workflow", "instrument", "created_at"],
    )
