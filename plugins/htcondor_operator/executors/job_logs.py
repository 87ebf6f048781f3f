"""What a person reads in Airflow's log tab: the job's own words and DAGMan's about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.rows import named_rows
from htcondor_operator.exit_codes import describe_exit
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ERROR_SENTENCES, ErrorKind, NodeState

TAIL_BYTES = 256 * 1024
DAGMAN_LINES = 60
# Colours and cursor movements of a terminal mean nothing in the log tab.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")

_NODE_SQL = """
    SELECT n.node, n.state, n.reason, n.attempt, n.try, n.cluster, n.proc, n.host, n.exit_code,
           n.exit_signal, n.hold_code, n.hold_reason, n.out_path, n.err_path, n.submitted_at,
           n.started_at, n.ended_at, n.memory_peak_mb, n.memory_request_mb, n.source,
           r.dag_file, r.dataset, r.workflow
    FROM owl_node n JOIN owl_run r USING (run_key)
    WHERE n.ti_id = %(ti)s::uuid ORDER BY (n.carried_from IS NOT NULL), n.attempt DESC, n.try DESC
    LIMIT 1
"""
_LAUNCH_SQL = """
    SELECT r.run_key, r.workflow, r.dataset, r.run_dir, r.dag_file, a.attempt, a.kind, a.state,
           a.cluster, a.schedd, a.requested_by, a.reason, a.requested_at, a.submitted_at,
           a.cleared_nodes, a.done_nodes, a.error_kind, a.error_message
    FROM owl_run r JOIN owl_attempt a USING (run_key)
    WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s AND r.launch_task_id = %(task)s
    ORDER BY a.attempt
"""


def read_job_log(ti_id: str) -> tuple[list[str], list[str]]:
    """Return (sources, lines) of the node that a task instance shows; empty when it shows none."""
    rows = _query(_NODE_SQL, {"ti": ti_id})
    return node_log(rows[0]) if rows else ([], [])


def read_launch_log(dag_id: str, run_id: str, task_id: str) -> tuple[list[str], list[str]]:
    """Return (sources, lines) about all attempts of a run; empty when the task is no launch."""
    rows = _query(_LAUNCH_SQL, {"dag": dag_id, "run": run_id, "task": task_id})
    return launch_log(rows) if rows else ([], [])


def _query(sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    settings = Settings.from_environment()
    with closing(connect(settings, application="log", autocommit=True)) as connection:
        cur = connection.cursor()
        cur.execute(sql, values)
        return named_rows(cur)


def node_log(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Compose the log of one node's job."""
    sources: list[str] = []
    lines = [*_summary(row), *_trouble(row)]
    for title, path in (("output", row["out_path"]), ("error", row["err_path"])):
        if path:
            sources.append(f"job {title}: {path}")
            lines += [f"----- job {title} -----", *tail(Path(path))]
    if row["dag_file"]:
        dagman_out = Path(f"{row['dag_file']}.dagman.out")
        sources.append(f"DAGMan: {dagman_out}")
        lines += ["----- DAGMan -----", *about_node(tail(dagman_out), row["node"])]
    return sources, lines


def _summary(row: Mapping[str, Any]) -> list[str]:
    job = f"{row['cluster']}.{row['proc'] or 0}" if row["cluster"] is not None else "not submitted"
    lines = [
        f"node {row['node']} of {row['dataset']} ({row['workflow']}), attempt {row['attempt']}, "
        f"try {row['try']}: {row['state']} (known from {row['source']})",
        f"job {job} on {row['host'] or '-'}, submitted {row['submitted_at'] or '-'}, "
        f"started {row['started_at'] or '-'}, ended {row['ended_at'] or '-'}",
    ]
    if row["memory_peak_mb"] is not None:
        asked = row["memory_request_mb"]
        lines.append(f"peak memory {row['memory_peak_mb']:.0f} MB of {asked or '-'} MB asked for")
    return lines


def _trouble(row: Mapping[str, Any]) -> list[str]:
    state = NodeState(row["state"])
    lines = []
    if row["exit_code"]:
        name, sentence = describe_exit(row["exit_code"])
        lines.append(f"exit code {row['exit_code']} ({name}): {sentence}")
    if row["exit_signal"]:
        sentence = ERROR_SENTENCES[ErrorKind.NODE_SIGNALLED]
        lines.append(f"signal {row['exit_signal']}: {sentence}")
    if row["hold_reason"]:
        lines.append(f"hold reason {row['hold_code']}: {row['hold_reason']}")
    if state is NodeState.HELD:
        lines.append(ERROR_SENTENCES[ErrorKind.NODE_HELD])
    if row["reason"]:
        lines.append(f"reason: {row['reason']}")
    return lines


def launch_log(rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Compose the log of a launch: one paragraph per attempt."""
    sources: list[str] = []
    lines: list[str] = []
    for row in rows:
        asked = f" by {row['requested_by']}" if row["requested_by"] else ""
        why = f" ({row['reason']})" if row["reason"] else ""
        lines.append(
            f"attempt {row['attempt']} ({row['kind']}) of {row['dataset']}: {row['state']}; "
            f"asked for{asked} at {row['requested_at']}{why}"
        )
        if row["cleared_nodes"]:
            lines.append(f"  runs again: {', '.join(row['cleared_nodes'])}")
        if row["done_nodes"]:
            lines.append(f"  kept as done: {', '.join(row['done_nodes'])}")
        if row["cluster"] is not None:
            lines.append(f"  DAGMan {row['cluster']} at {row['schedd']}: {row['submitted_at']}")
        if row["error_kind"]:
            sentence = ERROR_SENTENCES[ErrorKind(row["error_kind"])]
            lines.append(f"  {row['error_kind']}: {row['error_message']} {sentence}")
        if row["dag_file"] and row["dag_file"] not in sources:
            sources.append(row["dag_file"])
    return sources, lines


def tail(path: Path, limit: int = TAIL_BYTES) -> list[str]:
    """Return a file's last lines as clean text, whatever bytes are in it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except OSError as error:
        return [f"({path} cannot be read: {error.strerror})"]
    text = _CONTROL.sub("", data.decode("utf-8", errors="replace"))
    lines = text.splitlines()
    if size > limit:
        lines[0] = f"({size - limit} bytes before this are in {path})"
    return lines


def about_node(lines: Iterable[str], node: str) -> list[str]:
    """Return the last lines in which DAGMan speaks about a node."""
    word = re.compile(rf"(?<![\w.+-]){re.escape(node)}(?![\w.+-])")
    return [line for line in lines if word.search(line)][-DAGMAN_LINES:]
