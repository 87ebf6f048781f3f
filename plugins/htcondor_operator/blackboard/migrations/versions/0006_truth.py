"""What pages say is true: lag at the event, executions, time of failure, acceptance by workflow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = "owl_accepted_error_pkey"
_ERRORS = "owl_flow_errors"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "owl_node",
        sa.Column(
            "lag_s",
            sa.Float(),
            comment="Seconds from the latest event that changed the state to this row.",
        ),
    )
    op.add_column(
        "owl_node",
        sa.Column(
            "executions",
            postgresql.JSONB(),
            comment="When the job ran, and where: [proc, from, to or null, host].",
        ),
    )
    op.alter_column("owl_node", "started_at", comment="When the job first started to run.")
    op.add_column(
        "owl_flow",
        sa.Column(
            "failed_at",
            sa.TIMESTAMP(timezone=True),
            comment="When the node failed, was held or removed, or the run if no node did.",
        ),
    )
    _index("created_at)", "created_at, failed_at)")
    op.execute(
        "INSERT INTO owl_flow_mark (run_key) SELECT run_key FROM owl_flow "
        "WHERE status IN ('failed', 'held', 'removed')"
    )
    op.add_column("owl_accepted_error", sa.Column("workflow", sa.Text(), comment="The workflow."))
    # What was accepted stays accepted where it has been seen.
    op.execute(f"ALTER TABLE owl_accepted_error DROP CONSTRAINT {_KEY}")
    op.execute(
        """
        INSERT INTO owl_accepted_error
               (workflow, node, error_kind, fingerprint, reason, accepted_by, accepted_at, until)
        SELECT DISTINCT f.workflow, a.node, a.error_kind, a.fingerprint, a.reason, a.accepted_by,
               a.accepted_at, a.until
          FROM owl_accepted_error a JOIN owl_flow f
            ON (coalesce(f.node, ''), coalesce(f.error_kind, ''), coalesce(f.fingerprint, ''))
             = (a.node, a.error_kind, a.fingerprint)
        """
    )
    op.execute("DELETE FROM owl_accepted_error WHERE workflow IS NULL")
    op.alter_column("owl_accepted_error", "workflow", nullable=False)
    op.create_primary_key(
        _KEY, "owl_accepted_error", ["workflow", "node", "error_kind", "fingerprint"]
    )


def downgrade() -> None:
    """Take back."""
    op.execute(f"ALTER TABLE owl_accepted_error DROP CONSTRAINT {_KEY}")
    op.execute(
        """
        DELETE FROM owl_accepted_error a USING owl_accepted_error b
         WHERE (a.node, a.error_kind, a.fingerprint) = (b.node, b.error_kind, b.fingerprint)
           AND a.workflow > b.workflow
        """
    )
    op.drop_column("owl_accepted_error", "workflow")
    op.create_primary_key(_KEY, "owl_accepted_error", ["node", "error_kind", "fingerprint"])
    _index("created_at, failed_at)", "created_at)")
    op.drop_column("owl_flow", "failed_at")
    op.alter_column("owl_node", "started_at", comment="When the job last started to run.")
    op.drop_column("owl_node", "executions")
    op.drop_column("owl_node", "lag_s")


def _index(old: str, new: str) -> None:
    """Make the index again with other columns beside it, whatever its condition is."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT indexdef FROM pg_indexes "
            "WHERE schemaname = current_schema() AND indexname = :name"
        ),
        {"name": _ERRORS},
    )
    definition = found.scalar_one()
    op.drop_index(_ERRORS, "owl_flow")
    op.execute(definition.replace(old, new))
