"""The tables of the intake: queue, arrivals, associations, campaigns, archive catalogue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


_QUEUE_TALLIED = (
    """
CREATE OR REPLACE FUNCTION owl_queue_tallied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, state, count(*) FROM new_rows GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, state, -count(*) FROM old_rows GROUP BY 1, 2, 3;
    ELSE
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, state, sum(n)
        FROM (SELECT type, priority, state, 1 FROM new_rows
              UNION ALL
              SELECT type, priority, state, -1 FROM old_rows) AS c(type, priority, state, n)
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END
$$""",
    """CREATE TRIGGER owl_queue_insert AFTER INSERT ON owl_queue REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_queue_tallied()""",
    """CREATE TRIGGER owl_queue_update AFTER UPDATE ON owl_queue REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_queue_tallied()""",
    """CREATE TRIGGER owl_queue_delete AFTER DELETE ON owl_queue REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_queue_tallied()""",
)
_HISTORY_TALLIED = (
    """
CREATE OR REPLACE FUNCTION owl_queue_history_tallied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, outcome, count(*) FROM new_rows GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, outcome, -count(*) FROM old_rows GROUP BY 1, 2, 3;
    ELSE
        INSERT INTO owl_queue_tally (type, priority, state, n)
        SELECT type, priority, state, sum(n)
        FROM (SELECT type, priority, outcome, 1 FROM new_rows
              UNION ALL
              SELECT type, priority, outcome, -1 FROM old_rows) AS c(type, priority, state, n)
        GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
    END IF;
    RETURN NULL;
END
$$""",
    """CREATE TRIGGER owl_queue_history_insert AFTER INSERT ON owl_queue_history REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_queue_history_tallied()""",
    """CREATE TRIGGER owl_queue_history_update AFTER UPDATE ON owl_queue_history REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_queue_history_tallied()""",
    """CREATE TRIGGER owl_queue_history_delete AFTER DELETE ON owl_queue_history REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_queue_history_tallied()""",
)


def upgrade() -> None:
    """Make the tables of the intake."""
    op.create_table(
        "owl_arrival",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the arrival.",
        ),
        sa.Column("poller", sa.Text(), nullable=False, comment="Poller that saw it."),
        sa.Column("name", sa.Text(), nullable=False, comment="File name."),
        sa.Column(
            "directory", sa.Text(), nullable=False, comment="Directory in which it was delivered."
        ),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Digest of its content."),
        sa.Column("bytes", sa.BigInteger(), nullable=False, comment="Size in bytes."),
        sa.Column("fileset", sa.Text(), nullable=True, comment="Dataset that it belongs to."),
        sa.Column("type", sa.Text(), nullable=True, comment="Workflow that it was queued for."),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="State of the arrival (ArrivalState)."
        ),
        sa.Column("path", sa.Text(), nullable=False, comment="Where the file is now."),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="Why it is in quarantine, or what it waits for.",
        ),
        sa.Column(
            "entry", sa.BigInteger(), nullable=True, comment="Entry of the queue that it caused."
        ),
        sa.Column(
            "modified_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When the file was last written.",
        ),
        sa.Column(
            "arrived_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was delivered, or put back from quarantine.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was last changed.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Journal of delivered files: one row per file and content.",
    )
    op.create_index("owl_arrival_content", "owl_arrival", ["name", "sha256"], unique=False)
    op.create_index("owl_arrival_fileset", "owl_arrival", ["fileset"], unique=False)
    op.create_index("owl_arrival_state", "owl_arrival", ["state", "id"], unique=False)
    op.create_table(
        "owl_association",
        sa.Column("association", sa.Text(), nullable=False, comment="Name of the association."),
        sa.Column("type", sa.Text(), nullable=False, comment="Workflow that it is collected for."),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="State of the collection (AssociationState).",
        ),
        sa.Column(
            "priority",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Priority that its entry will get.",
        ),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Payload that its entry will get, beside the members.",
        ),
        sa.Column(
            "complete_list",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether an association table named its members.",
        ),
        sa.Column(
            "deadline",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it goes on with the members that are there.",
        ),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When its first member or table arrived.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was last changed.",
        ),
        sa.PrimaryKeyConstraint("association", "type"),
        comment="Associations whose members are collected.",
    )
    op.create_index(
        "owl_association_open",
        "owl_association",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("state = 'collecting'"),
    )
    op.create_table(
        "owl_audit",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the change.",
        ),
        sa.Column(
            "at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When.",
        ),
        sa.Column("who", sa.Text(), nullable=False, comment="Who."),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=False,
            comment="What was changed, for instance shovel.policy or campaign/night7.",
        ),
        sa.Column("action", sa.Text(), nullable=False, comment="What was done."),
        sa.Column(
            "before",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The value before.",
        ),
        sa.Column(
            "after",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The value after.",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why."),
        sa.PrimaryKeyConstraint("id"),
        comment="Who changed what in queue, policy and campaigns.",
    )
    op.create_index("owl_audit_subject", "owl_audit", ["subject", "id"], unique=False)
    op.create_table(
        "owl_campaign",
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the campaign."),
        sa.Column("type", sa.Text(), nullable=False, comment="Workflow."),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="State of the campaign (CampaignState)."
        ),
        sa.Column(
            "priority",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Priority of its entries.",
        ),
        sa.Column(
            "total",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Datasets that were put into the queue for it.",
        ),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="Where its datasets come from (list, query, request, backfill, references).",
        ),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="The query, the interval or the mappings.",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why."),
        sa.Column("created_by", sa.Text(), nullable=False, comment="Who asked for it."),
        sa.Column(
            "approved_by",
            sa.Text(),
            nullable=True,
            comment="Who approved it, if it needed approval.",
        ),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last changed.",
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="Reprocessing of many datasets with one name.",
    )
    op.create_index("owl_campaign_state", "owl_campaign", ["state", "created_at"], unique=False)
    op.create_table(
        "owl_poller",
        sa.Column(
            "name", sa.Text(), nullable=False, comment="Name of the poller (DP_ACS, SHOVELER)."
        ),
        sa.Column(
            "dag_id",
            sa.Text(),
            nullable=False,
            comment="Airflow DAG that it is; pausing the DAG stops it.",
        ),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="What it does (telemetry, checksum, delivery).",
        ),
        sa.Column(
            "directory", sa.Text(), nullable=True, comment="Directory that it watches, if any."
        ),
        sa.Column("interval_s", sa.Float(), nullable=False, comment="Seconds between its looks."),
        sa.Column("state", sa.Text(), nullable=False, comment="State of the poller (PollerState)."),
        sa.Column(
            "beat_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it looked last.",
        ),
        sa.Column(
            "result_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it last found something.",
        ),
        sa.Column(
            "result",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="What it found then.",
        ),
        sa.Column(
            "note",
            sa.Text(),
            nullable=True,
            comment="What its last look says when nothing was found (what is waited for).",
        ),
        sa.Column(
            "error",
            sa.Text(),
            nullable=True,
            comment="Why its last look failed; empty when it did not.",
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="Heartbeat of each poller, the shoveler among them.",
    )
    op.create_table(
        "owl_product",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the row.",
        ),
        sa.Column(
            "obs_id",
            sa.Text(),
            nullable=False,
            comment="Observation: the root name of the exposure or association.",
        ),
        sa.Column(
            "dataset", sa.Text(), nullable=False, comment="Dataset on whose shelf the file is."
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="File name."),
        sa.Column("obs_collection", sa.Text(), nullable=False, comment="Collection (HST)."),
        sa.Column(
            "obs_publisher_did",
            sa.Text(),
            nullable=False,
            comment="Identifier of the product, unique in the archive.",
        ),
        sa.Column(
            "dataproduct_type",
            sa.Text(),
            nullable=False,
            comment="ObsCore: image, spectrum, event, measurements or other.",
        ),
        sa.Column(
            "dataproduct_subtype",
            sa.Text(),
            nullable=True,
            comment="Kind of product: its suffix (raw, flt, drz).",
        ),
        sa.Column(
            "calib_level",
            sa.Integer(),
            nullable=False,
            comment="ObsCore: 0 raw, 1 instrumental, 2 calibrated, 3 combined.",
        ),
        sa.Column("access_url", sa.Text(), nullable=False, comment="Where the file is."),
        sa.Column("access_format", sa.Text(), nullable=False, comment="MIME type."),
        sa.Column(
            "access_estsize", sa.BigInteger(), nullable=False, comment="ObsCore: size in kB."
        ),
        sa.Column("bytes", sa.BigInteger(), nullable=False, comment="Size in bytes."),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Digest of the content."),
        sa.Column("facility_name", sa.Text(), nullable=True, comment="Telescope."),
        sa.Column("instrument_name", sa.Text(), nullable=True, comment="Instrument."),
        sa.Column("detector", sa.Text(), nullable=True, comment="Detector."),
        sa.Column("filters", sa.Text(), nullable=True, comment="Filters or gratings."),
        sa.Column("target_name", sa.Text(), nullable=True, comment="Target."),
        sa.Column("proposal_id", sa.Text(), nullable=True, comment="Proposal."),
        sa.Column("s_ra", sa.Float(), nullable=True, comment="Right ascension in degrees (ICRS)."),
        sa.Column("s_dec", sa.Float(), nullable=True, comment="Declination in degrees (ICRS)."),
        sa.Column("t_min", sa.Float(), nullable=True, comment="Start of the exposure (MJD, UTC)."),
        sa.Column("t_max", sa.Float(), nullable=True, comment="End of the exposure (MJD, UTC)."),
        sa.Column("t_exptime", sa.Float(), nullable=True, comment="Exposure time in seconds."),
        sa.Column(
            "observed_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Start of the exposure.",
        ),
        sa.Column(
            "members",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Member exposures, when the dataset is an association.",
        ),
        sa.Column("workflow", sa.Text(), nullable=True, comment="Workflow that made it."),
        sa.Column(
            "template_hash", sa.Text(), nullable=True, comment="Digest of the workflow's template."
        ),
        sa.Column("run_key", sa.BigInteger(), nullable=True, comment="Run that made it (owl_run)."),
        sa.Column("attempt", sa.Integer(), nullable=True, comment="Attempt of that run."),
        sa.Column(
            "reference_context",
            sa.Text(),
            nullable=True,
            comment="CRDS context by which references were chosen.",
        ),
        sa.Column(
            "reference_files",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Reference files by header keyword.",
        ),
        sa.Column(
            "reference_keys",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Header values by which references are chosen.",
        ),
        sa.Column(
            "software",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Versions of the software that made it.",
        ),
        sa.Column(
            "raw_sha256",
            sa.Text(),
            nullable=True,
            comment="Digest of the raw file that it was made of.",
        ),
        sa.Column(
            "archived_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was catalogued.",
        ),
        sa.Column(
            "verified_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When its checksum was last verified.",
        ),
        sa.Column(
            "fault",
            sa.Text(),
            nullable=True,
            comment="What the last verification found; empty when all was well.",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dataset", "name", name="owl_product_once"),
        comment="The archive's catalogue: one row per product, named after IVOA ObsCore.",
    )
    op.create_index(
        "owl_product_observed", "owl_product", ["instrument_name", "observed_at"], unique=False
    )
    op.create_index("owl_product_run", "owl_product", ["run_key"], unique=False)
    op.create_index("owl_product_observation", "owl_product", ["obs_id"], unique=False)
    op.create_index("owl_product_archived", "owl_product", ["archived_at"], unique=False)
    op.create_table(
        "owl_queue",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="Number of the entry; the order among equals, and part of the DAG run's id.",
        ),
        sa.Column(
            "fileset",
            sa.Text(collation="C"),
            nullable=False,
            comment="Name of the dataset or association.",
        ),
        sa.Column(
            "type",
            sa.Text(),
            nullable=False,
            comment="Workflow that it waits for, or the kind of an informational entry.",
        ),
        sa.Column(
            "instrument",
            sa.Text(),
            nullable=True,
            comment="Instrument, for caps (ACS, WF3, STIS, COS).",
        ),
        sa.Column(
            "priority",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Higher goes first; 0 for informational entries.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="waiting",
            nullable=False,
            comment="State of the entry (EntryState).",
        ),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Parameters of the workflow beyond the dataset: the DAG run's conf.",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="Why it waits, or why it was asked for."
        ),
        sa.Column("campaign", sa.Text(), nullable=True, comment="Campaign that it belongs to."),
        sa.Column(
            "requested_by", sa.Text(), nullable=True, comment="Who or which poller asked for it."
        ),
        sa.Column(
            "inserted_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it came into the queue.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last changed.",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("fileset", "type", name="owl_queue_once"),
        comment="The Data Processing Queue: filesets that wait to be shoveled into Airflow.",
    )
    op.create_index(
        "owl_queue_campaign",
        "owl_queue",
        ["campaign", "type", "state", "priority", "fileset", "id"],
        unique=False,
        postgresql_where=sa.text("campaign IS NOT NULL"),
    )
    op.create_index(
        "owl_queue_claim",
        "owl_queue",
        ["type", sa.text("coalesce(instrument, '')"), sa.literal_column("priority DESC"), "id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "owl_queue_list",
        "owl_queue",
        ["type", "state", sa.literal_column("priority DESC"), "id"],
        unique=False,
    )
    op.create_index(
        "owl_queue_name",
        "owl_queue",
        ["type", "state", "priority", "fileset", "id"],
        unique=False,
    )
    for statement in _QUEUE_TALLIED:
        op.execute(statement)
    op.create_table(
        "owl_queue_history",
        sa.Column(
            "id", sa.BigInteger(), nullable=False, comment="Number that the entry had in the queue."
        ),
        sa.Column(
            "fileset",
            sa.Text(collation="C"),
            nullable=False,
            comment="Name of the dataset or association.",
        ),
        sa.Column(
            "type",
            sa.Text(),
            nullable=False,
            comment="Workflow, or kind of an informational entry.",
        ),
        sa.Column("instrument", sa.Text(), nullable=True, comment="Instrument."),
        sa.Column("priority", sa.Integer(), nullable=False, comment="Its priority when it left."),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Its payload when it left.",
        ),
        sa.Column(
            "reason", sa.Text(), nullable=True, comment="Why it was asked for, or why it left."
        ),
        sa.Column("campaign", sa.Text(), nullable=True, comment="Campaign that it belongs to."),
        sa.Column(
            "requested_by", sa.Text(), nullable=True, comment="Who or which poller asked for it."
        ),
        sa.Column(
            "inserted_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When it came into the queue.",
        ),
        sa.Column(
            "left_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was shoveled or removed.",
        ),
        sa.Column(
            "dag_id",
            sa.Text(),
            nullable=True,
            comment="DAG of its DAG run; empty when it was not shoveled.",
        ),
        sa.Column(
            "run_id",
            sa.Text(),
            nullable=True,
            comment="Its DAG run; empty when it was not shoveled.",
        ),
        sa.Column(
            "outcome", sa.Text(), nullable=False, comment="What became of it (EntryOutcome)."
        ),
        sa.Column(
            "ended_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When its DAG run ended.",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dag_id", "run_id", name="owl_queue_history_run"),
        comment="Entries that have left the queue (DpQueueHist).",
    )
    op.create_index(
        "owl_queue_history_campaign",
        "owl_queue_history",
        ["campaign", "type", "outcome", "priority", "fileset", "id"],
        unique=False,
        postgresql_where=sa.text("campaign IS NOT NULL"),
    )
    op.create_index(
        "owl_queue_history_left",
        "owl_queue_history",
        ["type", "outcome", "priority", "left_at", "id"],
        unique=False,
    )
    op.create_index(
        "owl_queue_history_name",
        "owl_queue_history",
        ["type", "outcome", "priority", "fileset", "id"],
        unique=False,
    )
    op.create_index(
        "owl_queue_history_fileset", "owl_queue_history", ["fileset", "type"], unique=False
    )
    op.create_index(
        "owl_queue_history_open",
        "owl_queue_history",
        ["fileset", "type"],
        unique=False,
        postgresql_where=sa.text("outcome = 'shoveled'"),
    )
    for statement in _HISTORY_TALLIED:
        op.execute(statement)
    op.create_table(
        "owl_queue_tally",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the row.",
        ),
        sa.Column("type", sa.Text(), nullable=False, comment="Type of the entries."),
        sa.Column("priority", sa.Integer(), nullable=False, comment="Priority of the entries."),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="Their state (EntryState), or their outcome when they have left (EntryOutcome).",
        ),
        sa.Column(
            "n",
            sa.BigInteger(),
            nullable=False,
            comment="So many more (or fewer) since the rows before.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Numbers of entries, kept by triggers: the sum over the rows is the number.",
    )
    op.create_table(
        "owl_setting",
        sa.Column(
            "name",
            sa.Text(),
            nullable=False,
            comment="What the value is for, for instance shovel.policy.",
        ),
        sa.Column(
            "value", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="The value."
        ),
        sa.Column("updated_by", sa.Text(), nullable=True, comment="Who changed it last."),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When.",
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="Values that can be changed while OWL runs.",
    )
    op.create_table(
        "owl_association_member",
        sa.Column("association", sa.Text(), nullable=False, comment="Name of the association."),
        sa.Column("type", sa.Text(), nullable=False, comment="Workflow that it is collected for."),
        sa.Column("member", sa.Text(), nullable=False, comment="Name of the member exposure."),
        sa.Column(
            "role",
            sa.Text(),
            nullable=True,
            comment="MEMTYPE of the association table (EXP-CR1, EXP-DTH).",
        ),
        sa.Column(
            "expected",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="Whether the association waits for it.",
        ),
        sa.Column(
            "arrived_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it arrived; empty as long as it has not.",
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="Digest of the delivered file."),
        sa.ForeignKeyConstraint(
            ["association", "type"],
            ["owl_association.association", "owl_association.type"],
        ),
        sa.PrimaryKeyConstraint("association", "type", "member"),
        comment="Members of associations.",
    )
    op.create_index(
        "owl_association_member_name", "owl_association_member", ["member"], unique=False
    )
    op.create_table(
        "owl_campaign_member",
        sa.Column("campaign", sa.Text(), nullable=False, comment="Name of the campaign."),
        sa.Column(
            "part",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="DAG and DAG run of the backfill's day that put it in; empty for others.",
        ),
        sa.Column(
            "fileset", sa.Text(), nullable=False, comment="Name of the dataset or association."
        ),
        sa.Column("type", sa.Text(), nullable=False, comment="Workflow."),
        sa.Column(
            "entry",
            sa.BigInteger(),
            nullable=True,
            comment="Its entry, in the queue or its history; empty when it was refused.",
        ),
        sa.Column(
            "note", sa.Text(), nullable=True, comment="Why it was refused, or whose entry counts."
        ),
        sa.Column(
            "put_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was put in.",
        ),
        sa.ForeignKeyConstraint(["campaign"], ["owl_campaign.name"]),
        sa.PrimaryKeyConstraint("campaign", "part", "fileset"),
        comment="The datasets of campaigns, with their latest entries.",
    )
    op.create_index("owl_campaign_member_entry", "owl_campaign_member", ["entry"], unique=False)
    op.create_index(
        "owl_campaign_member_part",
        "owl_campaign_member",
        ["part", "fileset", "put_at"],
        unique=False,
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("owl_campaign_member_part", table_name="owl_campaign_member")
    op.drop_index("owl_campaign_member_entry", table_name="owl_campaign_member")
    op.drop_table("owl_campaign_member")
    op.drop_index("owl_association_member_name", table_name="owl_association_member")
    op.drop_table("owl_association_member")
    op.drop_table("owl_setting")
    op.drop_table("owl_queue_tally")
    op.drop_table("owl_queue_history")
    op.drop_table("owl_queue")
    op.execute("DROP FUNCTION owl_queue_history_tallied()")
    op.execute("DROP FUNCTION owl_queue_tallied()")
    op.drop_index("owl_product_archived", table_name="owl_product")
    op.drop_index("owl_product_observation", table_name="owl_product")
    op.drop_index("owl_product_run", table_name="owl_product")
    op.drop_index("owl_product_observed", table_name="owl_product")
    op.drop_table("owl_product")
    op.drop_table("owl_poller")
    op.drop_index("owl_campaign_state", table_name="owl_campaign")
    op.drop_table("owl_campaign")
    op.drop_index("owl_audit_subject", table_name="owl_audit")
    op.drop_table("owl_audit")
    op.drop_index(
        "owl_association_open",
        table_name="owl_association",
        postgresql_where=sa.text("state = 'collecting'"),
    )
    op.drop_table("owl_association")
    op.drop_index("owl_arrival_state", table_name="owl_arrival")
    op.drop_index("owl_arrival_fileset", table_name="owl_arrival")
    op.drop_index("owl_arrival_content", table_name="owl_arrival")
    op.drop_table("owl_arrival")
