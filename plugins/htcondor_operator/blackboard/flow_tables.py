"""The tables that the console reads: one wide row per run, kept up from marks.

Whoever changes a run, an attempt or a node leaves its run's key in ``owl_flow_mark``: a statement
trigger appends it, so that no writer ever waits for another because of the console.
:mod:`flow_fold` turns marks into rows of ``owl_flow``.
"""

from __future__ import annotations

import sqlalchemy as sa

from htcondor_operator.blackboard.columns import NOW, metadata
from htcondor_operator.blackboard.columns import time_column as _time
from htcondor_operator.blackboard.run_tables import owl_attempt, owl_node, owl_run

ENDED = "coalesce(ended_at, '-infinity'::timestamptz)"
"""What runs are sorted by when they are sorted by their end: what goes on has ended before all."""

STARTED = "coalesce(started_at, '-infinity'::timestamptz)"
"""The same for their start."""

# Pages of a list walk an index of its sort, from where the page begins: of all runs, or of each
# (workflow, status) that fits. flow_views.py says when which.
_SORTS = {"created": "created_at", "updated": "updated_at", "ended": ENDED, "dataset": "dataset"}
BY_STATE = frozenset({*_SORTS.values(), "ended_at", "workflow", "status"})
"""Columns whose sorts have an index for each (workflow, status) too."""


def _sorted(prefix: str, *columns: str) -> list[sa.Index]:
    return [
        sa.Index(
            f"owl_flow_{prefix}{name}",
            *columns,
            sa.text(column) if column == ENDED else column,
            "run_key",
            # A limit on the creation is told by the index, without a look at the row.
            *(["created_at"] if name == "dataset" else []),
        )
        for name, column in _SORTS.items()
    ]


def odd(column: str) -> str:
    """Return the condition of the few runs where a time is far from when the run was asked for."""
    return f"{column} - created_at NOT BETWEEN interval '-24 hours' AND interval '24 hours'"


owl_flow = sa.Table(
    "owl_flow",
    metadata,
    sa.Column(
        "run_key",
        sa.BigInteger,
        sa.ForeignKey("owl_run.run_key", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("dag_id", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text(collation="C"), nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("instrument", sa.Text),
    sa.Column("campaign", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("latest", sa.Boolean, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("node", sa.Text),
    sa.Column("task_id", sa.Text),
    sa.Column("node_state", sa.Text),
    sa.Column("exit_code", sa.Integer),
    sa.Column("exit_signal", sa.Integer),
    sa.Column("hold_reason", sa.Text),
    sa.Column("error_kind", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("err_path", sa.Text),
    sa.Column("host", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("nodes_total", sa.Integer, nullable=False, server_default="0"),
    sa.Column("nodes_done", sa.Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("ended_at"),
    _time("updated_at", nullable=False),
    sa.Column("lag_s", sa.Float),
    _time("failed_at"),
    *_sorted("", "latest"),
    *_sorted("state_", "latest", "workflow", "status"),
    sa.Index("owl_flow_started", "latest", sa.text(STARTED), "run_key"),
    # What a limit on the creation says nothing about (flow_bounds.py).
    *(
        sa.Index(
            f"owl_flow_odd_{name}",
            "latest",
            *columns,
            sa.text(expression) if "(" in expression else expression,
            "run_key",
            "created_at",
            postgresql_where=sa.text(odd(f"{name}_at")),
        )
        for name, columns, expression in (
            ("updated", ("workflow", "status"), "updated_at"),
            ("ended", ("workflow", "status"), ENDED),
            ("started", (), STARTED),
        )
    ),
    # Filters that few runs fit.
    sa.Index("owl_flow_node", "node", "status", "run_key"),
    sa.Index(
        "owl_flow_error",
        "error_kind",
        "run_key",
        postgresql_where=sa.text("error_kind IS NOT NULL"),
    ),
    sa.Index(
        "owl_flow_cause",
        "fingerprint",
        "run_key",
        postgresql_where=sa.text("fingerprint IS NOT NULL"),
    ),
    sa.Index("owl_flow_exit", "exit_code", "run_key", postgresql_where=sa.text("exit_code <> 0")),
    sa.Index(
        "owl_flow_campaign", "campaign", "run_key", postgresql_where=sa.text("campaign IS NOT NULL")
    ),
    sa.Index("owl_flow_history", "dataset", "workflow", "run_key"),
    # Groups of failures are counted in the index alone.
    sa.Index(
        "owl_flow_errors",
        "node",
        "error_kind",
        "fingerprint",
        "run_key",
        postgresql_where=sa.text("status IN ('failed', 'held', 'removed')"),
        postgresql_include=[
            "latest",
            "status",
            "dag_id",
            "workflow",
            "instrument",
            "created_at",
            "failed_at",
        ],
    ),
    sa.Index(
        "owl_flow_speechless",
        "run_key",
        postgresql_where=sa.text(
            "latest AND status IN ('failed', 'held', 'removed') AND fingerprint IS NULL"
        ),
    ),
)

owl_flow_tally = sa.Table(
    "owl_flow_tally",
    metadata,
    sa.Column("latest", sa.Boolean, primary_key=True),
    sa.Column("dag_id", sa.Text, primary_key=True),
    sa.Column("workflow", sa.Text, primary_key=True),
    sa.Column("instrument", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
)

owl_flow_mark = sa.Table(
    "owl_flow_mark",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("run_key", sa.BigInteger, nullable=False),
    _time("at", nullable=False, server_default=NOW),
)

owl_accepted_error = sa.Table(
    "owl_accepted_error",
    metadata,
    sa.Column("workflow", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("error_kind", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("accepted_by", sa.Text, nullable=False),
    _time("accepted_at", nullable=False, server_default=NOW),
    _time("until"),
)

FUNCTION = """
CREATE OR REPLACE FUNCTION owl_flow_marked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO owl_flow_mark (run_key) SELECT DISTINCT run_key FROM new_rows;
    RETURN NULL;
END
$$"""


# Only one process folds at a time, so that nobody waits for a number.
TALLY_FUNCTION = """
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
$$"""

_TRANSITION = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}


def trigger(table: str, event: str) -> str:
    """Return the DDL of a statement trigger that marks the runs of changed rows."""
    return (
        f"CREATE TRIGGER {table}_flow_{event} AFTER {event.upper()} ON {table} "
        "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_marked()"
    )


MARKED = ("owl_run", "owl_attempt", "owl_node")
EVENTS = ("insert", "update")


def _ddl(statement: str) -> sa.DDL:
    return sa.DDL(statement)  # type: ignore[no-untyped-call]


# The triggers come with the marks' table, so it must come after the tables that they are on.
for _table in (owl_run, owl_attempt, owl_node):
    owl_flow_mark.add_is_dependent_on(_table)

TRIGGERS = (FUNCTION, *(trigger(table, event) for table in MARKED for event in EVENTS))
"""What makes PostgreSQL leave marks. The migration has it word for word."""

TALLY = (
    TALLY_FUNCTION,
    *(
        f"CREATE TRIGGER owl_flow_tally_{event} AFTER {event.upper()} ON owl_flow "
        f"REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION owl_flow_tallied()"
        for event, rows in _TRANSITION.items()
    ),
)

owl_flow_tally.add_is_dependent_on(owl_flow)
for _statement in TALLY:
    sa.event.listen(owl_flow_tally, "after_create", _ddl(_statement))
sa.event.listen(
    owl_flow_tally, "after_drop", _ddl("DROP FUNCTION IF EXISTS owl_flow_tallied() CASCADE")
)

for _statement in TRIGGERS:
    sa.event.listen(owl_flow_mark, "after_create", _ddl(_statement))
sa.event.listen(
    owl_flow_mark, "after_drop", _ddl("DROP FUNCTION IF EXISTS owl_flow_marked() CASCADE")
)
