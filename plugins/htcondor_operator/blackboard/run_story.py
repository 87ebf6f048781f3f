"""Everything about one run for a person: attempts, nodes, what people did, where its logs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard.rows import named_rows

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def run_of(cur: Cursor, run_key: int) -> dict[str, Any] | None:
    """Return a run's row; None if there is no such run."""
    cur.execute(
        """
        SELECT run_key, dag_id, run_id, launch_task_id, workflow, dataset, priority, params, state,
               latest_attempt, run_dir, dag_file, graph, created_at, started_at, ended_at
          FROM owl_run WHERE run_key = %(key)s
        """,
        {"key": run_key},
    )
    rows = named_rows(cur)
    return rows[0] if rows else None


def run_key_of(cur: Cursor, dag_id: str, run_id: str, task_id: str | None) -> dict[str, Any] | None:
    """Return the run, and the node if the task is one, that a page of Airflow is about."""
    cur.execute(
        """
        SELECT r.run_key, n.node
          FROM owl_run r
          LEFT JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
                              AND n.task_id = %(task)s
         WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s
         ORDER BY n.try DESC NULLS LAST LIMIT 1
        """,
        {"dag": dag_id, "run": run_id, "task": task_id},
    )
    rows = named_rows(cur)
    return rows[0] if rows else None


def attempts(cur: Cursor, run_key: int) -> list[dict[str, Any]]:
    """Return all attempts of a run, the first one first."""
    cur.execute(
        """
        SELECT attempt, kind, state, cluster, schedd, requested_by,
               nullif(reason, 'owl_rescue') AS reason, requested_at,
               submitted_at, started_at, ended_at, cleared_nodes, done_nodes, error_kind,
               error_message, exit_code
          FROM owl_attempt WHERE run_key = %(key)s ORDER BY attempt
        """,
        {"key": run_key},
    )
    return named_rows(cur)


def nodes(cur: Cursor, run_key: int) -> list[dict[str, Any]]:
    """Return all tries of all nodes of all attempts."""
    cur.execute(
        """
        SELECT attempt, node, try, task_id, state, reason, carried_from, spared, cluster, proc,
               priority, retries, owner, host, slot, exit_code, exit_signal, hold_code,
               hold_reason, starts, idle_s, coalesce(cpu_user_s, 0) + coalesce(cpu_system_s, 0)
               AS cpu_s, memory_request_mb, memory_peak_mb, disk_mb, telemetry, submitted_at,
               started_at, ended_at, updated_at, lag_s, executions, out_path IS NOT NULL AS has_out,
               err_path IS NOT NULL AS has_err, log_path IS NOT NULL AS has_log
          FROM owl_node WHERE run_key = %(key)s ORDER BY attempt, node, try
        """,
        {"key": run_key},
    )
    return named_rows(cur)


def actions(cur: Cursor, run_key: int) -> list[dict[str, Any]]:
    """Return what people did to a run, the latest first: attempts, commands, the audit.

    Each deed once: the audit's line of a command, or of a rescue whose attempt is there, says what
    that row says.
    """
    cur.execute(
        """
        SELECT requested_at AS at, requested_by AS who, kind AS action,
               'attempt ' || attempt || ': ' || state AS what,
               nullif(reason, 'owl_rescue') AS reason
          FROM owl_attempt WHERE run_key = %(key)s
        UNION ALL
        SELECT requested_at, requested_by, verb,
               concat_ws(': ', concat_ws(' ', 'node ' || node, 'to ' || (argument ->> 'priority'),
                                         state), result),
               reason
          FROM owl_command WHERE run_key = %(key)s
        UNION ALL
        SELECT at, who, action,
               concat_ws(': ', 'attempt ' || (after ->> 'attempt'),
                         (SELECT string_agg(task, ', ')
                            FROM jsonb_array_elements_text(
                              CASE jsonb_typeof(after -> 'tasks') WHEN 'array'
                                   THEN after -> 'tasks' END) AS t (task))),
               reason
          FROM owl_audit u WHERE subject = 'run ' || %(key)s
           AND action NOT IN ('hold', 'release', 'remove', 'priority')
           AND NOT EXISTS (SELECT FROM owl_attempt a
                            WHERE a.run_key = %(key)s AND a.requested_at >= u.at
                              AND a.attempt = (u.after ->> 'attempt')::integer)
         ORDER BY at DESC
        """,
        {"key": run_key},
    )
    return named_rows(cur)


def log_file(
    cur: Cursor, run_key: int, node: str, stream: str, *, attempt: int | None, number: int | None
) -> str | None:
    """Return the path of a node's output, error or job log; None when it has none.

    Parameters
    ----------
    attempt, number
        Which attempt and try; the latest that has run by default.
    stream
        ``out``, ``err`` or ``log``.
    """
    cur.execute(
        """
        SELECT CASE %(stream)s WHEN 'out' THEN out_path WHEN 'err' THEN err_path ELSE log_path END
          FROM owl_node
         WHERE run_key = %(key)s AND node = %(node)s
           AND (%(attempt)s IS NULL OR attempt = %(attempt)s)
           AND (%(try)s IS NULL OR try = %(try)s)
         ORDER BY (submitted_at IS NULL), attempt DESC, try DESC LIMIT 1
        """,
        {"key": run_key, "node": node, "attempt": attempt, "try": number, "stream": stream},
    )
    row = cur.fetchone()
    return None if row is None else row[0]
