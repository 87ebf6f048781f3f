"""Alerts and their messages; the age of what waits in the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "owl_alert",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the alert.",
        ),
        sa.Column(
            "rule", sa.Text(), nullable=False, comment="The rule of alerts.yaml that it broke."
        ),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=False,
            comment="What it is about: a cause of failures, a poller, a workflow, a daemon.",
        ),
        sa.Column(
            "state", sa.Text(), server_default="open", nullable=False, comment="`open` or `closed`."
        ),
        sa.Column(
            "severity",
            sa.Text(),
            nullable=False,
            comment="`info`, `warning`, `error` or `critical`.",
        ),
        sa.Column("title", sa.Text(), nullable=False, comment="What is wrong, in one line."),
        sa.Column(
            "count",
            sa.BigInteger(),
            server_default="1",
            nullable=False,
            comment="How many datasets, entries or things it concerns now.",
        ),
        sa.Column(
            "most",
            sa.BigInteger(),
            server_default="1",
            nullable=False,
            comment="The largest count it had.",
        ),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="What else is known, with a sample.",
        ),
        sa.Column(
            "opened_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first seen.",
        ),
        sa.Column(
            "seen_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last seen.",
        ),
        sa.Column(
            "gone_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Since when it is not seen; it closes when that has lasted.",
        ),
        sa.Column(
            "closed_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When it was closed."
        ),
        sa.Column(
            "told_count",
            sa.BigInteger(),
            nullable=True,
            comment="The count that people were told last.",
        ),
        sa.Column(
            "told_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When people were last told.",
        ),
        sa.Column(
            "acked_by",
            sa.Text(),
            nullable=True,
            comment="Who takes care of it: nothing more is sent before it closes.",
        ),
        sa.Column("acked_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When."),
        sa.Column("ack_reason", sa.Text(), nullable=True, comment="Why."),
        sa.PrimaryKeyConstraint("id"),
        comment="What is or was wrong, one row from its beginning to its end.",
    )
    op.create_index(
        "owl_alert_open",
        "owl_alert",
        ["rule", "subject"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "owl_alert_subject", "owl_alert", ["rule", "subject", "opened_at"], unique=False
    )
    op.create_table(
        "owl_alert_message",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the messages.",
        ),
        sa.Column("alert", sa.BigInteger(), nullable=False, comment="The alert."),
        sa.Column("channel", sa.Text(), nullable=False, comment="The channel of alerts.yaml."),
        sa.Column(
            "why",
            sa.Text(),
            nullable=False,
            comment="`opened`, `grown`, `repeated` or `closed`: what it was made for.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="due",
            nullable=False,
            comment="`due`, `sent` or `cancelled`.",
        ),
        sa.Column(
            "due_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it is sent, or tried again.",
        ),
        sa.Column(
            "tries",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="How often it was tried.",
        ),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was made.",
        ),
        sa.Column(
            "sent_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the channel took it.",
        ),
        sa.Column(
            "error",
            sa.Text(),
            nullable=True,
            comment="Why the last try failed, or why it was cancelled.",
        ),
        sa.ForeignKeyConstraint(["alert"], ["owl_alert.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        comment="News of an alert for one channel.",
    )
    op.create_index("owl_alert_message_alert", "owl_alert_message", ["alert"], unique=False)
    op.create_index(
        "owl_alert_message_due",
        "owl_alert_message",
        ["alert", "channel"],
        unique=True,
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index(
        "owl_queue_age",
        "owl_queue",
        ["type", "inserted_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting' AND campaign IS NULL"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(
        "owl_queue_age",
        table_name="owl_queue",
        postgresql_where=sa.text("state = 'waiting' AND campaign IS NULL"),
    )
    op.drop_index(
        "owl_alert_message_due",
        table_name="owl_alert_message",
        postgresql_where=sa.text("state = 'due'"),
    )
    op.drop_index("owl_alert_message_alert", table_name="owl_alert_message")
    op.drop_table("owl_alert_message")
    op.drop_index("owl_alert_subject", table_name="owl_alert")
    op.drop_index(
        "owl_alert_open", table_name="owl_alert", postgresql_where=sa.text("state = 'open'")
    )
    op.drop_table("owl_alert")
