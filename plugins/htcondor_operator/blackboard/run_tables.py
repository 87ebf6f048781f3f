"""The tables of runs: what HTCondor does with a dataset.

``owl_run`` is one dataset's way through one workflow, ``owl_attempt`` one DAGMan cluster of it,
``owl_node`` one try of a node of an attempt. ``owl_event`` keeps what happened, ``owl_cursor``
how far each event log was read, ``owl_command`` what operators asked for.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from htcondor_operator.blackboard.columns import NOW, metadata
from htcondor_operator.blackboard.columns import time_column as _time

owl_run = sa.Table(
    "owl_run",
    metadata,
    sa.Column("run_key", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("launch_task_id", sa.Text, nullable=False, server_default="launch"),
    # The launch task instance that the latest attempt answers (see owl_node.ti_id).
    sa.Column("launch_ti_id", UUID(as_uuid=False)),
    # Whether HTCondorExecutor shows the run; otherwise its tasks look for themselves (workers of
    # other executors, dag.test()).
    sa.Column("mirrored", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("params", JSONB, nullable=False, server_default="{}"),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    sa.Column("latest_attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("run_dir", sa.Text),
    sa.Column("dag_file", sa.Text),
    sa.Column("graph", JSONB),
    sa.Column("template_hash", sa.Text),
    _time("created_at", nullable=False, server_default=NOW),
    _time("started_at"),
    _time("ended_at"),
    _time("updated_at", nullable=False, server_default=NOW),
    sa.UniqueConstraint("dag_id", "run_id", name="owl_run_dag_run"),
    sa.Index("owl_run_dataset", "dataset", "run_key"),
    sa.Index("owl_run_state", "state", "run_key"),
    sa.Index("owl_run_launch", "launch_ti_id"),
)

owl_attempt = sa.Table(
    "owl_attempt",
    metadata,
    sa.Column("run_key", sa.BigInteger, sa.ForeignKey("owl_run.run_key"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="wanted"),
    # Nodes that DAGMan must not run again in this attempt, and those that were asked for.
    sa.Column("done_nodes", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("cleared_nodes", ARRAY(sa.Text), nullable=False, server_default="{}"),
    sa.Column("requested_by", sa.Text),
    sa.Column("reason", sa.Text),
    _time("requested_at", nullable=False, server_default=NOW),
    sa.Column("schedd", sa.Text),
    sa.Column("cluster", sa.Integer),
    sa.Column("rescue_file", sa.Text),
    sa.Column("error_kind", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("exit_code", sa.Integer),
    sa.Column("exit_signal", sa.Integer),
    sa.Column("claimed_by", sa.Text),
    _time("claimed_at"),
    _time("submitted_at"),
    _time("started_at"),
    _time("ended_at"),
    _time("updated_at", nullable=False, server_default=NOW),
    sa.Index("owl_attempt_cluster", "cluster"),
    sa.Index(
        "owl_attempt_open",
        "state",
        "requested_at",
        postgresql_where=sa.text("state IN ('wanted','clearing','submitting','live')"),
    ),
)

owl_node = sa.Table(
    "owl_node",
    metadata,
    sa.Column("run_key", sa.BigInteger, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    # DAGMan's own retry count (0 is the first try).
    sa.Column("try", sa.Integer, primary_key=True, server_default="0"),
    sa.Column("task_id", sa.Text, nullable=False),
    # The Airflow task instance this row is bound to. A clear gives the task instance a new id:
    # a mismatch in the latest attempt is how a clear is recognised.
    sa.Column("ti_id", UUID(as_uuid=False)),
    sa.Column("state", sa.Text, nullable=False, server_default="unready"),
    sa.Column("reason", sa.Text),
    # The attempt in which a node that is not run again was done.
    sa.Column("carried_from", sa.Integer),
    # Still running in the predecessor and not touched by the clear: the gateway lets it finish.
    sa.Column("spared", sa.Boolean, nullable=False, server_default="false"),
    sa.Column("cluster", sa.Integer),
    sa.Column("proc", sa.Integer),
    sa.Column("priority", sa.Integer),
    # DAGMan's RETRY of the node: a failed try is not the node's end before this many.
    sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("owner", sa.Text),
    sa.Column("host", sa.Text),
    sa.Column("slot", sa.Text),
    sa.Column("exit_code", sa.Integer),
    sa.Column("exit_signal", sa.Integer),
    sa.Column("hold_code", sa.Integer),
    sa.Column("hold_subcode", sa.Integer),
    sa.Column("hold_reason", sa.Text),
    sa.Column("starts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("idle_s", sa.Float),
    sa.Column("cpu_user_s", sa.Float),
    sa.Column("cpu_system_s", sa.Float),
    sa.Column("memory_request_mb", sa.Float),
    sa.Column("memory_peak_mb", sa.Float),
    sa.Column("disk_mb", sa.Float),
    # Last words of the job's own telemetry (starter hooks: pid, step, progress).
    sa.Column("telemetry", JSONB),
    sa.Column("out_path", sa.Text),
    sa.Column("err_path", sa.Text),
    sa.Column("log_path", sa.Text),
    _time("submitted_at"),
    _time("started_at"),
    _time("ended_at"),
    sa.Column("source", sa.Text, nullable=False, server_default="plan"),
    _time("event_at"),
    _time("updated_at", nullable=False, server_default=NOW),
    # From the event to this row; whatever else touches the row leaves it.
    sa.Column("lag_s", sa.Float),
    sa.Column("executions", JSONB),
    sa.ForeignKeyConstraint(["run_key", "attempt"], ["owl_attempt.run_key", "owl_attempt.attempt"]),
    sa.Index("owl_node_cluster", "cluster", "proc"),
    sa.Index("owl_node_updated", "updated_at"),
    sa.Index("owl_node_ti", "ti_id"),
    sa.Index(
        "owl_node_unbound", "run_key", postgresql_where=sa.text("ti_id IS NULL AND NOT spared")
    ),
)

owl_event = sa.Table(
    "owl_event",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("run_key", sa.BigInteger),
    sa.Column("attempt", sa.Integer),
    sa.Column("node", sa.Text),
    sa.Column("schedd", sa.Text, nullable=False),
    sa.Column("cluster", sa.Integer, nullable=False),
    sa.Column("proc", sa.Integer, nullable=False),
    # HTCondor's event number (000 submit, 001 execute, 005 terminated, ...).
    sa.Column("type", sa.Integer, nullable=False),
    _time("event_at", nullable=False),
    sa.Column("detail", JSONB, nullable=False, server_default="{}"),
    sa.Column("digest", sa.Text, nullable=False),
    _time("recorded_at", nullable=False, server_default=NOW),
    # Replays are harmless: the same event is the same row.
    sa.UniqueConstraint(
        "schedd", "cluster", "proc", "type", "event_at", "digest", name="owl_event_once"
    ),
    sa.Index("owl_event_run", "run_key", "attempt", "node"),
    sa.Index("owl_event_recorded", "recorded_at"),
)

owl_cursor = sa.Table(
    "owl_cursor",
    metadata,
    sa.Column("schedd", sa.Text, primary_key=True),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("inode", sa.BigInteger),
    # Identity and sequence of the "Global JobLog:" header of the file being read.
    sa.Column("header_id", sa.Text),
    sa.Column("header_sequence", sa.Integer),
    sa.Column("position", sa.BigInteger, nullable=False, server_default="0"),
    _time("event_at"),
    sa.Column("events", sa.BigInteger, nullable=False, server_default="0"),
    # Seconds from an event to its row, over the last batch.
    sa.Column("lag_p50_s", sa.Float),
    sa.Column("lag_p99_s", sa.Float),
    sa.Column("lease_by", sa.Text),
    _time("lease_until"),
    _time("updated_at", nullable=False, server_default=NOW),
)

owl_command = sa.Table(
    "owl_command",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("run_key", sa.BigInteger, sa.ForeignKey("owl_run.run_key"), nullable=False),
    # None: the whole run.
    sa.Column("node", sa.Text),
    sa.Column("argument", JSONB, nullable=False, server_default="{}"),
    sa.Column("state", sa.Text, nullable=False, server_default="wanted"),
    sa.Column("requested_by", sa.Text),
    sa.Column("reason", sa.Text),
    _time("requested_at", nullable=False, server_default=NOW),
    _time("done_at"),
    sa.Column("result", sa.Text),
    sa.Index("owl_command_open", "id", postgresql_where=sa.text("state = 'wanted'")),
)

owl_daemon = sa.Table(
    "owl_daemon",
    metadata,
    # "gateway", "mirror", ... and where it runs.
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("detail", JSONB, nullable=False, server_default="{}"),
    _time("started_at", nullable=False, server_default=NOW),
    _time("beat_at", nullable=False, server_default=NOW),
)
