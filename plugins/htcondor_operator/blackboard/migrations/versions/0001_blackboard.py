"""The blackboard's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "owl_cursor",
        sa.Column("schedd", sa.Text(), nullable=False, comment="Name of the schedd."),
        sa.Column("path", sa.Text(), nullable=False, comment="Path of its event log."),
        sa.Column("inode", sa.BigInteger(), nullable=True, comment="Inode of the file being read."),
        sa.Column("header_id", sa.Text(), nullable=True, comment="Identity in that file's header."),
        sa.Column(
            "header_sequence",
            sa.Integer(),
            nullable=True,
            comment="Sequence number in that file's header.",
        ),
        sa.Column(
            "position",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Offset of the first byte not yet read.",
        ),
        sa.Column(
            "event_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Time of the latest event read.",
        ),
        sa.Column(
            "events",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Events read so far.",
        ),
        sa.Column(
            "lag_p50_s",
            sa.Float(),
            nullable=True,
            comment="Seconds from an event to its row: median of the last batch.",
        ),
        sa.Column(
            "lag_p99_s",
            sa.Float(),
            nullable=True,
            comment="Seconds from an event to its row: 99th percentile of the last batch.",
        ),
        sa.Column(
            "lease_by",
            sa.Text(),
            nullable=True,
            comment="Mirror that may read this log: host and process.",
        ),
        sa.Column(
            "lease_until",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When that permission ends, unless renewed.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was last changed.",
        ),
        sa.PrimaryKeyConstraint("schedd"),
        comment="How far each schedd's event log was read; written with the events it covers.",
    )
    op.create_table(
        "owl_daemon",
        sa.Column("name", sa.Text(), nullable=False, comment="Which daemon: gateway, mirror."),
        sa.Column("host", sa.Text(), nullable=False, comment="Machine that it runs on."),
        sa.Column("pid", sa.Integer(), nullable=False, comment="Its process."),
        sa.Column("state", sa.Text(), nullable=False, comment="What it says about itself."),
        sa.Column(
            "detail",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="More that it says about itself: the schedd's answer, counts.",
        ),
        sa.Column(
            "started_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it started.",
        ),
        sa.Column(
            "beat_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Its latest heartbeat.",
        ),
        sa.PrimaryKeyConstraint("name", "host"),
        comment="Heartbeats of OWL's own daemons.",
    )
    op.create_table(
        "owl_event",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the entry.",
        ),
        sa.Column(
            "run_key",
            sa.BigInteger(),
            nullable=True,
            comment="The run, when the job belongs to one.",
        ),
        sa.Column(
            "attempt",
            sa.Integer(),
            nullable=True,
            comment="The attempt, when the job belongs to one.",
        ),
        sa.Column(
            "node", sa.Text(), nullable=True, comment="The node; empty for the DAGMan job itself."
        ),
        sa.Column("schedd", sa.Text(), nullable=False, comment="Name of the schedd."),
        sa.Column("cluster", sa.Integer(), nullable=False, comment="Cluster of the job."),
        sa.Column("proc", sa.Integer(), nullable=False, comment="Proc of the job."),
        sa.Column(
            "type",
            sa.Integer(),
            nullable=False,
            comment="HTCondor's event number: 0 submit, 1 execute, 5 terminated, 12 held, ...",
        ),
        sa.Column(
            "event_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When it happened, by HTCondor's clock.",
        ),
        sa.Column(
            "detail",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="The event's own fields.",
        ),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="Digest of the event, so that a replay finds it already here.",
        ),
        sa.Column(
            "recorded_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the mirror wrote it.",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "schedd", "cluster", "proc", "type", "event_at", "digest", name="owl_event_once"
        ),
        comment="Journal of what happened to jobs; append-only, kept as long as retention says.",
    )
    op.create_index("owl_event_recorded", "owl_event", ["recorded_at"], unique=False)
    op.create_index("owl_event_run", "owl_event", ["run_key", "attempt", "node"], unique=False)
    op.create_table(
        "owl_run",
        sa.Column(
            "run_key",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the run; it names the run's folder and is OwlRun in job ads.",
        ),
        sa.Column("dag_id", sa.Text(), nullable=False, comment="Airflow DAG."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Airflow DAG run."),
        sa.Column(
            "launch_task_id",
            sa.Text(),
            server_default="launch",
            nullable=False,
            comment="Task that requests the run.",
        ),
        sa.Column(
            "launch_ti_id",
            sa.UUID(as_uuid=False),
            nullable=True,
            comment="Instance of that task that was answered last.",
        ),
        sa.Column(
            "mirrored",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether HTCondorExecutor shows the run; else its tasks look for themselves.",
        ),
        sa.Column(
            "workflow",
            sa.Text(),
            nullable=False,
            comment="Name of the workflow's folder among the templates.",
        ),
        sa.Column("dataset", sa.Text(), nullable=False, comment="Name of the dataset."),
        sa.Column(
            "priority",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Priority among runs, as HTCondor counts it: higher goes first.",
        ),
        sa.Column(
            "params",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="Values of the workflow's parameters.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="queued",
            nullable=False,
            comment="State of the run (RunState).",
        ),
        sa.Column(
            "latest_attempt",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Number of the latest attempt; 0 before the first.",
        ),
        sa.Column(
            "run_dir",
            sa.Text(),
            nullable=True,
            comment="Folder of the DAG file, the rescue files and the logs.",
        ),
        sa.Column(
            "dag_file", sa.Text(), nullable=True, comment="Path of the rendered DAGMan file."
        ),
        sa.Column(
            "graph",
            postgresql.JSONB(),
            nullable=True,
            comment="Nodes in topological order, and edges.",
        ),
        sa.Column(
            "template_hash",
            sa.Text(),
            nullable=True,
            comment="Digest of the template and of all files that it uses.",
        ),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the run was requested.",
        ),
        sa.Column(
            "started_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When its first DAGMan started.",
        ),
        sa.Column(
            "ended_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When its latest attempt ended; empty while one is open.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was last changed.",
        ),
        sa.PrimaryKeyConstraint("run_key"),
        sa.UniqueConstraint("dag_id", "run_id", name="owl_run_dag_run"),
        comment="One dataset's way through one workflow: one Airflow DAG run.",
    )
    op.create_index("owl_run_dataset", "owl_run", ["dataset", "run_key"], unique=False)
    op.create_index("owl_run_launch", "owl_run", ["launch_ti_id"], unique=False)
    op.create_index("owl_run_state", "owl_run", ["state", "run_key"], unique=False)
    op.create_table(
        "owl_attempt",
        sa.Column("run_key", sa.BigInteger(), nullable=False, comment="The run."),
        sa.Column(
            "attempt",
            sa.Integer(),
            nullable=False,
            comment="1 for the first submission, then counted up.",
        ),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="Why the attempt exists (AttemptKind)."
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="wanted",
            nullable=False,
            comment="State of the attempt (AttemptState).",
        ),
        sa.Column(
            "done_nodes",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Nodes that DAGMan must not run again in this attempt.",
        ),
        sa.Column(
            "cleared_nodes",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Nodes whose clearing asked for this attempt.",
        ),
        sa.Column("requested_by", sa.Text(), nullable=True, comment="Who asked for it."),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="Why it was asked for, in the words of who asked.",
        ),
        sa.Column(
            "requested_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was asked for.",
        ),
        sa.Column(
            "schedd",
            sa.Text(),
            nullable=True,
            comment="Name of the schedd that has the DAGMan job.",
        ),
        sa.Column("cluster", sa.Integer(), nullable=True, comment="Cluster of the DAGMan job."),
        sa.Column(
            "rescue_file",
            sa.Text(),
            nullable=True,
            comment="Path of the rescue file that it started from.",
        ),
        sa.Column(
            "error_kind",
            sa.Text(),
            nullable=True,
            comment="Kind of error that ended it (ErrorKind).",
        ),
        sa.Column(
            "error_message",
            sa.Text(),
            nullable=True,
            comment="The error with field, value and fix.",
        ),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="Exit code of the DAGMan job."),
        sa.Column(
            "exit_signal", sa.Integer(), nullable=True, comment="Signal that ended the DAGMan job."
        ),
        sa.Column(
            "claimed_by",
            sa.Text(),
            nullable=True,
            comment="Gateway that works on it: host and process.",
        ),
        sa.Column(
            "claimed_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When that gateway took it.",
        ),
        sa.Column(
            "submitted_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the schedd took the DAGMan job.",
        ),
        sa.Column(
            "started_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When DAGMan started."
        ),
        sa.Column(
            "ended_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When DAGMan ended."
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was last changed.",
        ),
        sa.ForeignKeyConstraint(
            ["run_key"],
            ["owl_run.run_key"],
        ),
        sa.PrimaryKeyConstraint("run_key", "attempt"),
        comment="One DAGMan cluster of a run: the first submission, or a rescue.",
    )
    op.create_index("owl_attempt_cluster", "owl_attempt", ["cluster"], unique=False)
    op.create_index(
        "owl_attempt_open",
        "owl_attempt",
        ["state", "requested_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('wanted','clearing','submitting','live')"),
    )
    op.create_table(
        "owl_command",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Number of the command.",
        ),
        sa.Column(
            "verb",
            sa.Text(),
            nullable=False,
            comment="hold, release, remove or priority (CommandVerb).",
        ),
        sa.Column("run_key", sa.BigInteger(), nullable=False, comment="The run."),
        sa.Column("node", sa.Text(), nullable=True, comment="The node; empty for the whole run."),
        sa.Column(
            "argument",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="What the verb needs, such as the new priority.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="wanted",
            nullable=False,
            comment="How far the gateway is (CommandState).",
        ),
        sa.Column("requested_by", sa.Text(), nullable=True, comment="Who asked for it."),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why, in the words of who asked."),
        sa.Column(
            "requested_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was asked for.",
        ),
        sa.Column(
            "done_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the gateway was done with it.",
        ),
        sa.Column("result", sa.Text(), nullable=True, comment="What came of it."),
        sa.ForeignKeyConstraint(
            ["run_key"],
            ["owl_run.run_key"],
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="What operators asked the gateway to do to a run or a node.",
    )
    op.create_index(
        "owl_command_open",
        "owl_command",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'wanted'"),
    )
    op.create_table(
        "owl_node",
        sa.Column("run_key", sa.BigInteger(), nullable=False, comment="The run."),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="The attempt."),
        sa.Column(
            "node", sa.Text(), nullable=False, comment="Name of the node in the DAGMan file."
        ),
        sa.Column(
            "try",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="DAGMan's own retry count; 0 is the first try.",
        ),
        sa.Column(
            "task_id", sa.Text(), nullable=False, comment="Airflow task that stands for the node."
        ),
        sa.Column(
            "ti_id",
            sa.UUID(as_uuid=False),
            nullable=True,
            comment="Airflow task instance that this row is bound to; a clear gives that a new id.",
        ),
        sa.Column(
            "state",
            sa.Text(),
            server_default="unready",
            nullable=False,
            comment="State of the try (NodeState).",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it is in this state."),
        sa.Column(
            "carried_from",
            sa.Integer(),
            nullable=True,
            comment="Attempt in which a node that is not run again was done.",
        ),
        sa.Column(
            "spared",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Still running in the predecessor, untouched by the clear: allowed to finish.",
        ),
        sa.Column("cluster", sa.Integer(), nullable=True, comment="Cluster of the job."),
        sa.Column("proc", sa.Integer(), nullable=True, comment="Proc of the job."),
        sa.Column(
            "priority", sa.Integer(), nullable=True, comment="Priority of the job (JobPrio)."
        ),
        sa.Column(
            "retries",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="How often DAGMan itself tries again when it fails (RETRY).",
        ),
        sa.Column("owner", sa.Text(), nullable=True, comment="User whose job it is."),
        sa.Column("host", sa.Text(), nullable=True, comment="Machine that ran the job last."),
        sa.Column("slot", sa.Text(), nullable=True, comment="Slot that ran the job last."),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="Exit code of the job."),
        sa.Column("exit_signal", sa.Integer(), nullable=True, comment="Signal that ended the job."),
        sa.Column(
            "hold_code", sa.Integer(), nullable=True, comment="HoldReasonCode of the latest hold."
        ),
        sa.Column(
            "hold_subcode",
            sa.Integer(),
            nullable=True,
            comment="HoldReasonSubCode of the latest hold.",
        ),
        sa.Column(
            "hold_reason", sa.Text(), nullable=True, comment="HoldReason of the latest hold."
        ),
        sa.Column(
            "starts",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="How often the job was started (NumShadowStarts).",
        ),
        sa.Column(
            "idle_s", sa.Float(), nullable=True, comment="Seconds that the job waited for a slot."
        ),
        sa.Column("cpu_user_s", sa.Float(), nullable=True, comment="Seconds of user CPU time."),
        sa.Column("cpu_system_s", sa.Float(), nullable=True, comment="Seconds of system CPU time."),
        sa.Column(
            "memory_request_mb",
            sa.Float(),
            nullable=True,
            comment="Memory that the job asked for, in MB.",
        ),
        sa.Column(
            "memory_peak_mb",
            sa.Float(),
            nullable=True,
            comment="Largest memory seen in use, in MB.",
        ),
        sa.Column("disk_mb", sa.Float(), nullable=True, comment="Disk in use, in MB."),
        sa.Column(
            "telemetry",
            postgresql.JSONB(),
            nullable=True,
            comment="Last words of the job's own telemetry: pid, step, progress.",
        ),
        sa.Column(
            "out_path", sa.Text(), nullable=True, comment="Path of the job's standard output."
        ),
        sa.Column(
            "err_path", sa.Text(), nullable=True, comment="Path of the job's standard error."
        ),
        sa.Column(
            "log_path", sa.Text(), nullable=True, comment="Path of the job's own HTCondor log."
        ),
        sa.Column(
            "submitted_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the schedd took the job.",
        ),
        sa.Column(
            "started_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the job last started to run.",
        ),
        sa.Column(
            "ended_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When the job ended."
        ),
        sa.Column(
            "source",
            sa.Text(),
            server_default="plan",
            nullable=False,
            comment="Where this row's knowledge comes from (Source).",
        ),
        sa.Column(
            "event_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Time of the latest event that this row knows.",
        ),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was last changed.",
        ),
        sa.ForeignKeyConstraint(
            ["run_key", "attempt"],
            ["owl_attempt.run_key", "owl_attempt.attempt"],
        ),
        sa.PrimaryKeyConstraint("run_key", "attempt", "node", "try"),
        comment="One try of a node in an attempt.",
    )
    op.create_index("owl_node_cluster", "owl_node", ["cluster", "proc"], unique=False)
    op.create_index("owl_node_ti", "owl_node", ["ti_id"], unique=False)
    op.create_index(
        "owl_node_unbound",
        "owl_node",
        ["run_key"],
        unique=False,
        postgresql_where=sa.text("ti_id IS NULL AND NOT spared"),
    )
    op.create_index("owl_node_updated", "owl_node", ["updated_at"], unique=False)


def downgrade() -> None:
    """Drop all tables."""
    op.drop_index("owl_node_updated", table_name="owl_node")
    op.drop_index(
        "owl_node_unbound",
        table_name="owl_node",
        postgresql_where=sa.text("ti_id IS NULL AND NOT spared"),
    )
    op.drop_index("owl_node_ti", table_name="owl_node")
    op.drop_index("owl_node_cluster", table_name="owl_node")
    op.drop_table("owl_node")
    op.drop_index(
        "owl_command_open", table_name="owl_command", postgresql_where=sa.text("state = 'wanted'")
    )
    op.drop_table("owl_command")
    op.drop_index(
        "owl_attempt_open",
        table_name="owl_attempt",
        postgresql_where=sa.text("state IN ('wanted','clearing','submitting','live')"),
    )
    op.drop_index("owl_attempt_cluster", table_name="owl_attempt")
    op.drop_table("owl_attempt")
    op.drop_index("owl_run_state", table_name="owl_run")
    op.drop_index("owl_run_launch", table_name="owl_run")
    op.drop_index("owl_run_dataset", table_name="owl_run")
    op.drop_table("owl_run")
    op.drop_index("owl_event_run", table_name="owl_event")
    op.drop_index("owl_event_recorded", table_name="owl_event")
    op.drop_table("owl_event")
    op.drop_table("owl_daemon")
    op.drop_table("owl_cursor")
