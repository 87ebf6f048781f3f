"""The tables of the intake: what waits, why, what became of it, and what is in the archive.

``owl_queue`` holds the entries that wait, ``owl_queue_history`` those that have left it,
``owl_queue_tally`` their numbers. ``owl_arrival`` is the journal of delivered files.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from htcondor_operator.blackboard.columns import NOW, metadata
from htcondor_operator.blackboard.columns import time_column as _time

# Names of filesets sort by their bytes, so that an index finds prefixes on every server.
owl_queue = sa.Table(
    "owl_queue",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=False), primary_key=True),
    sa.Column("fileset", sa.Text(collation="C"), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("instrument", sa.Text),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("payload", JSONB, nullable=False, server_default="{}"),
    sa.Column("reason", sa.Text),
    sa.Column("campaign", sa.Text),
    sa.Column("requested_by", sa.Text),
    _time("inserted_at", nullable=False, server_default=NOW),
    _time("updated_at", nullable=False, server_default=NOW),
    sa.UniqueConstraint("fileset", "type", name="owl_queue_once"),
    # The shoveler's: the best entries of a type and instrument.
    sa.Index(
        "owl_queue_claim",
        "type",
        sa.text("coalesce(instrument, '')"),
        sa.text("priority DESC"),
        "id",
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    # The age of what waits (alert_facts.py); a campaign's entries may wait for weeks.
    sa.Index(
        "owl_queue_age",
        "type",
        "inserted_at",
        postgresql_where=sa.text("state = 'waiting' AND campaign IS NULL"),
    ),
    # Lists (queue_views.py), by age and by name.
    sa.Index("owl_queue_list", "type", "state", sa.text("priority DESC"), "id"),
    sa.Index("owl_queue_name", "type", "state", "priority", "fileset", "id"),
    sa.Index(
        "owl_queue_campaign",
        "campaign",
        "type",
        "state",
        "priority",
        "fileset",
        "id",
        postgresql_where=sa.text("campaign IS NOT NULL"),
    ),
)

owl_queue_history = sa.Table(
    "owl_queue_history",
    metadata,
    # The entry's number in the queue.
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("fileset", sa.Text(collation="C"), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("instrument", sa.Text),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("payload", JSONB, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("campaign", sa.Text),
    sa.Column("requested_by", sa.Text),
    _time("inserted_at", nullable=False),
    _time("left_at", nullable=False, server_default=NOW),
    sa.Column("dag_id", sa.Text),
    sa.Column("run_id", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False),
    _time("ended_at"),
    sa.UniqueConstraint("dag_id", "run_id", name="owl_queue_history_run"),
    sa.Index("owl_queue_history_fileset", "fileset", "type"),
    # Lists (queue_views.py), by what left last and by name.
    sa.Index("owl_queue_history_left", "type", "outcome", "priority", "left_at", "id"),
    sa.Index("owl_queue_history_name", "type", "outcome", "priority", "fileset", "id"),
    sa.Index(
        "owl_queue_history_campaign",
        "campaign",
        "type",
        "outcome",
        "priority",
        "fileset",
        "id",
        postgresql_where=sa.text("campaign IS NOT NULL"),
    ),
    # What is in Airflow and not known to be over: what a further entry of a fileset waits for.
    sa.Index(
        "owl_queue_history_open",
        "fileset",
        "type",
        postgresql_where=sa.text("outcome = 'shoveled'"),
    ),
)

owl_queue_tally = sa.Table(
    "owl_queue_tally",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False),
)

owl_setting = sa.Table(
    "owl_setting",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", JSONB, nullable=False),
    sa.Column("updated_by", sa.Text),
    _time("updated_at", nullable=False, server_default=NOW),
)

owl_audit = sa.Table(
    "owl_audit",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _time("at", nullable=False, server_default=NOW),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("before", JSONB),
    sa.Column("after", JSONB),
    sa.Column("reason", sa.Text),
    sa.Index("owl_audit_subject", "subject", "id"),
)

owl_poller = sa.Table(
    "owl_poller",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("directory", sa.Text),
    sa.Column("interval_s", sa.Float, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    _time("beat_at", nullable=False, server_default=NOW),
    _time("result_at"),
    sa.Column("result", JSONB, nullable=False, server_default="{}"),
    sa.Column("note", sa.Text),
    sa.Column("error", sa.Text),
)

owl_arrival = sa.Table(
    "owl_arrival",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("poller", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("fileset", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("entry", sa.BigInteger),
    _time("modified_at", nullable=False),
    _time("arrived_at", nullable=False, server_default=NOW),
    _time("updated_at", nullable=False, server_default=NOW),
    sa.Index("owl_arrival_content", "name", "sha256"),
    sa.Index("owl_arrival_state", "state", "id"),
    sa.Index("owl_arrival_fileset", "fileset"),
)

owl_association = sa.Table(
    "owl_association",
    metadata,
    sa.Column("association", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("payload", JSONB, nullable=False, server_default="{}"),
    # Whether the members are known from an association table, not from their headers alone.
    sa.Column("complete_list", sa.Boolean, nullable=False, server_default="false"),
    _time("deadline"),
    _time("created_at", nullable=False, server_default=NOW),
    _time("updated_at", nullable=False, server_default=NOW),
    sa.Index("owl_association_open", "deadline", postgresql_where=sa.text("state = 'collecting'")),
)

owl_association_member = sa.Table(
    "owl_association_member",
    metadata,
    sa.Column("association", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("role", sa.Text),
    sa.Column("expected", sa.Boolean, nullable=False, server_default="true"),
    _time("arrived_at"),
    sa.Column("sha256", sa.Text),
    sa.ForeignKeyConstraint(
        ["association", "type"], ["owl_association.association", "owl_association.type"]
    ),
    sa.Index("owl_association_member_name", "member"),
)

owl_campaign = sa.Table(
    "owl_campaign",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("total", sa.BigInteger, nullable=False, server_default="0"),
    # list, query, backfill, references: where its datasets come from, with the details.
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("detail", JSONB, nullable=False, server_default="{}"),
    sa.Column("reason", sa.Text),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("approved_by", sa.Text),
    _time("created_at", nullable=False, server_default=NOW),
    _time("updated_at", nullable=False, server_default=NOW),
    sa.Index("owl_campaign_state", "state", "created_at"),
)

owl_campaign_member = sa.Table(
    "owl_campaign_member",
    metadata,
    sa.Column("campaign", sa.Text, sa.ForeignKey("owl_campaign.name"), primary_key=True),
    # The DAG run of a backfill that put it in ("repro_wf3/backfill__..."); else empty.
    sa.Column("part", sa.Text, primary_key=True, server_default=""),
    sa.Column("fileset", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    # In the queue, later in its history: by it the truth about the member is found.
    sa.Column("entry", sa.BigInteger),
    sa.Column("note", sa.Text),
    _time("put_at", nullable=False, server_default=NOW),
    sa.Index("owl_campaign_member_entry", "entry"),
    sa.Index("owl_campaign_member_part", "part", "fileset", "put_at"),
)

PRODUCT_SHOWN = "coalesce(dataproduct_subtype, '') NOT IN ('preview', 'thumb', 'trailer')"
"""Products that are listed; the others stand beside them. Word for word as queries have it."""

owl_product = sa.Table(
    "owl_product",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    # Names after IVOA ObsCore 1.1 where it has one.
    sa.Column("obs_id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("obs_collection", sa.Text, nullable=False),
    sa.Column("obs_publisher_did", sa.Text, nullable=False),
    sa.Column("dataproduct_type", sa.Text, nullable=False),
    sa.Column("dataproduct_subtype", sa.Text),
    sa.Column("calib_level", sa.Integer, nullable=False),
    sa.Column("access_url", sa.Text, nullable=False),
    sa.Column("access_format", sa.Text, nullable=False),
    sa.Column("access_estsize", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("facility_name", sa.Text),
    sa.Column("instrument_name", sa.Text),
    sa.Column("detector", sa.Text),
    sa.Column("filters", sa.Text),
    sa.Column("target_name", sa.Text),
    sa.Column("proposal_id", sa.Text),
    sa.Column("s_ra", sa.Float),
    sa.Column("s_dec", sa.Float),
    sa.Column("t_min", sa.Float),
    sa.Column("t_max", sa.Float),
    sa.Column("t_exptime", sa.Float),
    _time("observed_at"),
    sa.Column("members", ARRAY(sa.Text), nullable=False, server_default="{}"),
    # How it was made.
    sa.Column("workflow", sa.Text),
    sa.Column("template_hash", sa.Text),
    sa.Column("run_key", sa.BigInteger),
    sa.Column("attempt", sa.Integer),
    sa.Column("reference_context", sa.Text),
    sa.Column("reference_files", JSONB, nullable=False, server_default="{}"),
    # Header values by which CRDS chooses references.
    sa.Column("reference_keys", JSONB, nullable=False, server_default="{}"),
    sa.Column("software", JSONB, nullable=False, server_default="{}"),
    sa.Column("raw_sha256", sa.Text),
    _time("archived_at", nullable=False, server_default=NOW),
    _time("verified_at"),
    sa.Column("fault", sa.Text),
    sa.UniqueConstraint("dataset", "name", name="owl_product_once"),
    sa.Index("owl_product_observed", "instrument_name", "observed_at"),
    sa.Index("owl_product_run", "run_key"),
    sa.Index("owl_product_observation", "obs_id"),
    sa.Index("owl_product_archived", "archived_at"),
    sa.Index("owl_product_position", "s_dec"),
    # Lists (product_views.py); a limit on the observation is told by the index.
    *(
        sa.Index(
            f"owl_product_{prefix}{name}", *columns, *order, postgresql_where=sa.text(PRODUCT_SHOWN)
        )
        for prefix, columns in (("list_", ()), ("instrument_", ("instrument_name",)))
        for name, order in (
            ("archived", ("archived_at", "id", "observed_at")),
            ("observed", (sa.text("coalesce(observed_at, '-infinity'::timestamptz)"), "id")),
            ("dataset", ("dataset", "id", "observed_at")),
        )
    ),
    sa.Index("owl_product_target", sa.text("lower(target_name)"), "id"),
    sa.Index("owl_product_faulty", "id", postgresql_where=sa.text("fault IS NOT NULL")),
)

# Far fewer than products: a part of a name is looked for here.
owl_target = sa.Table("owl_target", metadata, sa.Column("target", sa.Text, primary_key=True))
