"""The console's tables: one wide row per run, made from marks that triggers leave; the pool."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TRIGGERS = (
    """
CREATE OR REPLACE FUNCTION owl_flow_marked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owl_flow_mark (run_key) SELECT DISTINCT run_key FROM new_rows;
    RETURN NULL;
END
$$""",
    """
CREATE OR REPLACE FUNCTION owl_flow_tallied() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO owl_flow_tally AS t (latest, dag_id, workflow, instrument, status, n)
        SELECT latest, dag_id, workflow, coalesce(instrument, ''), status, count(*)
        FROM new_rows GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (latest, dag_id, workflow, instrument, status)
        DO UPDATE SET n = t.n + excluded.n;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO owl_flow_tally AS t (latest, dag_id, workflow, instrument, status, n)
        SELECT latest, dag_id, workflow, coalesce(instrument, ''), status, -count(*)
        FROM old_rows GROUP BY 1, 2, 3, 4, 5
        ON CONFLICT (latest, dag_id, workflow, instrument, status)
        DO UPDATE SET n = t.n + excluded.n;
    ELSE
        INSERT INTO owl_flow_tally AS t (latest, dag_id, workflow, instrument, status, n)
        SELECT latest, dag_id, workflow, coalesce(instrument, ''), status, sum(c)
        FROM (SELECT latest, dag_id, workflow, instrument, status, 1 AS c FROM new_rows
              UNION ALL
              SELECT latest, dag_id, workflow, instrument, status, -1 FROM old_rows) AS d
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(c) <> 0
        ON CONFLICT (latest, dag_id, workflow, instrument, status)
        DO UPDATE SET n = t.n + excluded.n;
    END IF;
    RETURN NULL;
END
$$""",
    "CREATE TRIGGER owl_run_flow_insert AFTER INSERT ON owl_run REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()",
    "CREATE TRIGGER owl_run_flow_update AFTER UPDATE ON owl_run REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()",
    "CREATE TRIGGER owl_attempt_flow_insert AFTER INSERT ON owl_attempt REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()",
    "CREATE TRIGGER owl_attempt_flow_update AFTER UPDATE ON owl_attempt REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()",
    "CREATE TRIGGER owl_node_flow_insert AFTER INSERT ON owl_node REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()",
    "CREATE TRIGGER owl_node_flow_update AFTER UPDATE ON owl_node REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()",
    "CREATE TRIGGER owl_flow_tally_insert AFTER INSERT ON owl_flow REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_tallied()",
    "CREATE TRIGGER owl_flow_tally_update AFTER UPDATE ON owl_flow REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_tallied()",
    "CREATE TRIGGER owl_flow_tally_delete AFTER DELETE ON owl_flow REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_tallied()",
    """
CREATE OR REPLACE FUNCTION owl_target_noted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owl_target (target)
    SELECT DISTINCT lower(target_name) FROM new_rows WHERE target_name IS NOT NULL
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$""",
    "CREATE TRIGGER owl_product_target_insert AFTER INSERT ON owl_product REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_target_noted()",
    "CREATE TRIGGER owl_product_target_update AFTER UPDATE ON owl_product REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_target_noted()",
)


def upgrade() -> None:
    """Make the tables and triggers; mark every run, so that the console shows them all."""
    op.create_table(
        "owl_flow",
        sa.Column(
            "run_key", sa.BigInteger(), autoincrement=False, nullable=False, comment="The run."
        ),
        sa.Column("dag_id", sa.Text(), nullable=False, comment="Airflow's DAG."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Airflow's run id."),
        sa.Column("dataset", sa.Text(collation="C"), nullable=False, comment="The dataset."),
        sa.Column("workflow", sa.Text(), nullable=False, comment="The workflow."),
        sa.Column(
            "instrument",
            sa.Text(),
            nullable=True,
            comment="Of the dataset, as the queue knows it or by the first letter of its name.",
        ),
        sa.Column(
            "campaign", sa.Text(), nullable=True, comment="The campaign that asked for the run."
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="State of the run."),
        sa.Column(
            "latest",
            sa.Boolean(),
            nullable=False,
            comment="Whether no later run of this dataset through this workflow exists.",
        ),
        sa.Column("priority", sa.Integer(), nullable=False, comment="Priority of the run."),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="Number of the latest attempt."),
        sa.Column(
            "node",
            sa.Text(),
            nullable=True,
            comment="The node to look at: failed, else held, running, waiting, else the last one.",
        ),
        sa.Column("task_id", sa.Text(), nullable=True, comment="Airflow's task of that node."),
        sa.Column("node_state", sa.Text(), nullable=True, comment="State of that node."),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="How its job ended."),
        sa.Column("exit_signal", sa.Integer(), nullable=True, comment="The signal that ended it."),
        sa.Column("hold_reason", sa.Text(), nullable=True, comment="Why it is held."),
        sa.Column(
            "error_kind",
            sa.Text(),
            nullable=True,
            comment="Kind of the error: an attempt's, or the exit code's name.",
        ),
        sa.Column(
            "error_message",
            sa.Text(),
            nullable=True,
            comment="The attempt's error, or the last line of the job's error output.",
        ),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=True,
            comment="The message without names and numbers: what has one cause has one of it.",
        ),
        sa.Column("err_path", sa.Text(), nullable=True, comment="The job's error output."),
        sa.Column("host", sa.Text(), nullable=True, comment="Where it runs or ran."),
        sa.Column("owner", sa.Text(), nullable=True, comment="Owner of the job."),
        sa.Column(
            "nodes_total",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Nodes of the workflow.",
        ),
        sa.Column(
            "nodes_done",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="How many are done.",
        ),
        sa.Column(
            "created_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When the run was asked for.",
        ),
        sa.Column(
            "started_at",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When its first DAGMan started.",
        ),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "updated_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When something last changed.",
        ),
        sa.Column(
            "lag_s",
            sa.Float(),
            nullable=True,
            comment="Seconds from the latest event of the node to its row in the blackboard.",
        ),
        sa.ForeignKeyConstraint(["run_key"], ["owl_run.run_key"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_key"),
        comment="What the console's data flow shows of each run, made from the run's rows; disposable.",
    )
    op.create_index(
        "owl_flow_created", "owl_flow", ["latest", "created_at", "run_key"], unique=False
    )
    op.create_index(
        "owl_flow_updated", "owl_flow", ["latest", "updated_at", "run_key"], unique=False
    )
    op.create_index(
        "owl_flow_ended",
        "owl_flow",
        ["latest", sa.literal_column("coalesce(ended_at, '-infinity'::timestamptz)"), "run_key"],
        unique=False,
    )
    op.create_index("owl_flow_dataset", "owl_flow", ["latest", "dataset", "run_key"], unique=False)
    op.create_index(
        "owl_flow_state_created",
        "owl_flow",
        ["latest", "workflow", "status", "created_at", "run_key"],
        unique=False,
    )
    op.create_index(
        "owl_flow_state_updated",
        "owl_flow",
        ["latest", "workflow", "status", "updated_at", "run_key"],
        unique=False,
    )
    op.create_index(
        "owl_flow_state_ended",
        "owl_flow",
        [
            "latest",
            "workflow",
            "status",
            sa.literal_column("coalesce(ended_at, '-infinity'::timestamptz)"),
            "run_key",
        ],
        unique=False,
    )
    op.create_index(
        "owl_flow_state_dataset",
        "owl_flow",
        ["latest", "workflow", "status", "dataset", "run_key"],
        unique=False,
    )
    op.create_index("owl_flow_node", "owl_flow", ["node", "status", "run_key"], unique=False)
    op.create_index(
        "owl_flow_error",
        "owl_flow",
        ["error_kind", "run_key"],
        unique=False,
        postgresql_where=sa.text("error_kind IS NOT NULL"),
    )
    op.create_index(
        "owl_flow_cause",
        "owl_flow",
        ["fingerprint", "run_key"],
        unique=False,
        postgresql_where=sa.text("fingerprint IS NOT NULL"),
    )
    op.create_index(
        "owl_flow_exit",
        "owl_flow",
        ["exit_code", "run_key"],
        unique=False,
        postgresql_where=sa.text("exit_code <> 0"),
    )
    op.create_index(
        "owl_flow_campaign",
        "owl_flow",
        ["campaign", "run_key"],
        unique=False,
        postgresql_where=sa.text("campaign IS NOT NULL"),
    )
    op.create_index(
        "owl_flow_history", "owl_flow", ["dataset", "workflow", "run_key"], unique=False
    )
    op.create_index(
        "owl_flow_errors",
        "owl_flow",
        ["node", "error_kind", "fingerprint", "run_key"],
        unique=False,
        postgresql_where=sa.text("latest AND status IN ('failed', 'held', 'removed')"),
        postgresql_include=["latest", "status", "dag_id", "workflow", "instrument", "created_at"],
    )
    op.create_index(
        "owl_flow_speechless",
        "owl_flow",
        ["run_key"],
        unique=False,
        postgresql_where=sa.text(
            "latest AND status IN ('failed', 'held', 'removed') AND fingerprint IS NULL"
        ),
    )
    op.create_table(
        "owl_flow_tally",
        sa.Column(
            "latest",
            sa.Boolean(),
            nullable=False,
            comment="Whether it counts runs that no later one has overtaken, or the others.",
        ),
        sa.Column("dag_id", sa.Text(), nullable=False, comment="Airflow's DAG."),
        sa.Column("workflow", sa.Text(), nullable=False, comment="The workflow."),
        sa.Column(
            "instrument", sa.Text(), nullable=False, comment="The instrument; empty when not known."
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="State of the runs."),
        sa.Column("n", sa.BigInteger(), nullable=False, comment="How many."),
        sa.PrimaryKeyConstraint("latest", "dag_id", "workflow", "instrument", "status"),
        comment="Numbers of runs, kept by triggers of owl_flow.",
    )
    op.create_table(
        "owl_flow_mark",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of the marks.",
        ),
        sa.Column("run_key", sa.BigInteger(), nullable=False, comment="The run."),
        sa.Column(
            "at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the change began.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="Runs of which something has changed and which owl_flow does not show yet.",
    )
    op.create_table(
        "owl_accepted_error",
        sa.Column("node", sa.Text(), nullable=False, comment="The node."),
        sa.Column("error_kind", sa.Text(), nullable=False, comment="Kind of the error."),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment="The message without names and numbers.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why it is accepted."),
        sa.Column("accepted_by", sa.Text(), nullable=False, comment="Who accepted it."),
        sa.Column(
            "accepted_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When.",
        ),
        sa.Column(
            "until",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Until when; for ever when empty.",
        ),
        sa.PrimaryKeyConstraint("node", "error_kind", "fingerprint"),
        comment="Failures that somebody knows of: the console shows them apart.",
    )
    op.create_table(
        "owl_slot",
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the slot."),
        sa.Column("machine", sa.Text(), nullable=False, comment="Its machine."),
        sa.Column("kind", sa.Text(), nullable=False, comment="Static, Partitionable or Dynamic."),
        sa.Column("state", sa.Text(), nullable=False, comment="Unclaimed, Claimed, Owner, ..."),
        sa.Column("activity", sa.Text(), nullable=False, comment="Idle, Busy, Retiring, ..."),
        sa.Column(
            "cpus",
            sa.Float(),
            nullable=False,
            comment="Cores of the slot; what is left, if it is partitionable.",
        ),
        sa.Column("memory_mb", sa.Float(), nullable=False, comment="Memory of the slot."),
        sa.Column("disk_mb", sa.Float(), nullable=False, comment="Disk of the slot."),
        sa.Column(
            "gpus", sa.Float(), server_default="0", nullable=False, comment="GPUs of the slot."
        ),
        sa.Column("load", sa.Float(), nullable=True, comment="Load average of the machine."),
        sa.Column("owner", sa.Text(), nullable=True, comment="Whose job runs in it."),
        sa.Column("job", sa.Text(), nullable=True, comment="The job, cluster.proc."),
        sa.Column(
            "since",
            sa.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it entered its state.",
        ),
        sa.Column(
            "seen_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the collector last told of it.",
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="The pool's slots as the collector last told.",
    )
    op.create_index("owl_slot_machine", "owl_slot", ["machine"], unique=False)
    op.create_table(
        "owl_machine",
        sa.Column("machine", sa.Text(), nullable=False, comment="Name of the machine."),
        sa.Column(
            "present",
            sa.Boolean(),
            nullable=False,
            comment="Whether the collector knows of it now.",
        ),
        sa.Column("cpus", sa.Float(), nullable=False, comment="Cores in all."),
        sa.Column("memory_mb", sa.Float(), nullable=False, comment="Memory in all."),
        sa.Column("gpus", sa.Float(), server_default="0", nullable=False, comment="GPUs in all."),
        sa.Column("software", sa.Text(), nullable=True, comment="Its HTCondor."),
        sa.Column(
            "joined_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it came, this time.",
        ),
        sa.Column(
            "left_at", sa.TIMESTAMP(timezone=True), nullable=True, comment="When it was missed."
        ),
        sa.Column(
            "seen_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the collector last told of it.",
        ),
        sa.PrimaryKeyConstraint("machine"),
        comment="Execute machines that were ever seen, and whether they are here.",
    )
    op.create_index("owl_product_position", "owl_product", ["s_dec"], unique=False)
    op.create_index(
        "owl_product_seen",
        "owl_product",
        [sa.literal_column("coalesce(observed_at, '-infinity'::timestamptz)"), "id"],
        unique=False,
    )
    op.create_index(
        "owl_product_instrument",
        "owl_product",
        ["instrument_name", "archived_at", "id"],
        unique=False,
    )
    op.create_index(
        "owl_product_target",
        "owl_product",
        [sa.literal_column("lower(target_name)"), "id"],
        unique=False,
    )
    op.create_index(
        "owl_product_faulty",
        "owl_product",
        ["id"],
        unique=False,
        postgresql_where=sa.text("fault IS NOT NULL"),
    )
    op.create_table(
        "owl_target",
        sa.Column("target", sa.Text(), nullable=False, comment="Name in small letters."),
        sa.PrimaryKeyConstraint("target"),
        comment="Targets that products have or had, kept by triggers of owl_product.",
    )
    for statement in _TRIGGERS:
        op.execute(statement)
    op.execute("INSERT INTO owl_flow_mark (run_key) SELECT run_key FROM owl_run")
    op.execute(
        "INSERT INTO owl_target SELECT DISTINCT lower(target_name) FROM owl_product "
        "WHERE target_name IS NOT NULL"
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP FUNCTION owl_flow_marked() CASCADE")
    op.execute("DROP FUNCTION owl_target_noted() CASCADE")
    for index in ("position", "seen", "instrument", "target", "faulty"):
        op.drop_index(f"owl_product_{index}", table_name="owl_product")
    op.drop_table("owl_target")
    for table in ("owl_machine", "owl_slot", "owl_accepted_error", "owl_flow_mark"):
        op.drop_table(table)
    op.drop_table("owl_flow_tally")
    op.drop_table("owl_flow")
    op.execute("DROP FUNCTION owl_flow_tallied()")
