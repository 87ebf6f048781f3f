"""The tables of the alerts: what is wrong now and was, and who is still to be told."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from htcondor_operator.blackboard.columns import NOW, metadata
from htcondor_operator.blackboard.columns import time_column as _time

owl_alert = sa.Table(
    "owl_alert",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="open"),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("most", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("detail", JSONB, nullable=False, server_default="{}"),
    _time("opened_at", nullable=False, server_default=NOW),
    _time("seen_at", nullable=False, server_default=NOW),
    # Since when it is not seen: it closes when that has lasted.
    _time("gone_at"),
    _time("closed_at"),
    # The count and time of what people were told last.
    sa.Column("told_count", sa.BigInteger),
    _time("told_at"),
    sa.Column("acked_by", sa.Text),
    _time("acked_at"),
    sa.Column("ack_reason", sa.Text),
    sa.Index(
        "owl_alert_open",
        "rule",
        "subject",
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    ),
    sa.Index("owl_alert_subject", "rule", "subject", "opened_at"),
)

owl_alert_message = sa.Table(
    "owl_alert_message",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column(
        "alert",
        sa.BigInteger,
        sa.ForeignKey("owl_alert.id", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="due"),
    _time("due_at", nullable=False, server_default=NOW),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False, server_default=NOW),
    _time("sent_at"),
    sa.Column("error", sa.Text),
    # A channel that is down collects no news of an alert: what it gets is the latest.
    sa.Index(
        "owl_alert_message_due",
        "alert",
        "channel",
        unique=True,
        postgresql_where=sa.text("state = 'due'"),
    ),
    sa.Index("owl_alert_message_alert", "alert"),
)
