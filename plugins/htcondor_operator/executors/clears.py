"""Recognises clears (and marks) of task instances and turns each run's into one request.

A clear gives a task instance a new identity. Where the identity differs from the one that the
latest attempt is bound to, the node is asked for again, whoever asked and however often.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from htcondor_operator.blackboard import rescues, runs
from htcondor_operator.dagman.attempt_plan import Action, AttemptPlan
from htcondor_operator.executors import task_mirror
from htcondor_operator.vocabulary import AttemptKind, NodeState, Source

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class TaskView:
    """What planning needs to know of a task instance."""

    ti_id: str
    task_id: str
    state: str | None


SUCCESSFUL = frozenset({"success", "skipped"})
WAITING = frozenset({None, "scheduled", "queued", "restarting"})


def runs_with_clears(cur: Cursor, executor: str, *, all_marks: bool) -> list[int]:
    """Return the runs in which an open task instance is not the one that was planned for.

    `all_marks` also looks for failed nodes that an operator has marked as successful (a scan
    over failed runs, worth doing less often).
    """
    cur.execute(
        """
        SELECT DISTINCT r.run_key
        FROM task_instance ti
        JOIN owl_run r ON r.dag_id = ti.dag_id AND r.run_id = ti.run_id AND r.mirrored
        LEFT JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
                            AND n.task_id = ti.task_id AND n.try = 0
        WHERE ti.executor = %(executor)s AND ti.state IN ('scheduled', 'queued', 'restarting')
          AND ((ti.task_id = r.launch_task_id AND r.launch_ti_id IS DISTINCT FROM ti.id)
               OR (n.ti_id IS NOT NULL AND n.ti_id <> ti.id))
        """,
        {"executor": executor},
    )
    found = {row[0] for row in cur.fetchall()}
    if all_marks:
        cur.execute(
            """
            SELECT DISTINCT r.run_key
            FROM owl_run r
            JOIN owl_node n ON n.run_key = r.run_key AND n.attempt = r.latest_attempt
            JOIN task_instance ti ON ti.id = n.ti_id
            WHERE r.state = 'failed' AND r.mirrored AND r.ended_at > now() - interval '7 days'
              AND n.state IN ('failed', 'removed', 'futile') AND ti.state = 'success'
            """
        )
        found |= {row[0] for row in cur.fetchall()}
    return sorted(found)


def _task_views(cur: Cursor, run: runs.Run) -> dict[str, TaskView]:
    cur.execute(
        """
        SELECT id::text, task_id, state FROM task_instance
        WHERE dag_id = %(dag)s AND run_id = %(run)s AND map_index = -1
        """,
        {"dag": run.dag_id, "run": run.run_id},
    )
    return {row[1]: TaskView(*row) for row in cur.fetchall()}


def _who(cur: Cursor, run: runs.Run) -> tuple[str | None, str | None]:
    """Return who cleared or marked last, and why or by which action, from Airflow's audit log."""
    cur.execute(
        """
        SELECT owner, event, extra FROM log
        WHERE dttm > now() - interval '10 minutes' AND dag_id = %(dag)s
          AND (run_id = %(run)s OR run_id IS NULL)
          AND (event LIKE '%%clear%%' OR event LIKE 'patch_task%%' OR event LIKE 'owl%%')
        ORDER BY dttm DESC LIMIT 1
        """,
        {"dag": run.dag_id, "run": run.run_id},
    )
    row = cur.fetchone()
    return (row[0], _reason(row[2]) or row[1]) if row else (None, None)


def _reason(extra: str | None) -> str | None:
    """Return the reason that was given for a clear, if it was one of OWL's own."""
    try:
        said = json.loads(extra or "{}")
    except ValueError:
        return None
    reason = said.get("reason") if isinstance(said, dict) else None
    return str(reason) if reason else None


def cleared_nodes(nodes: Mapping[str, runs.NodeRow], tasks: Mapping[str, TaskView]) -> set[str]:
    """Return the nodes whose task instance is not the one that the latest attempt answers."""
    return {
        row.node
        for row in nodes.values()
        if row.ti_id is not None
        and (task := tasks.get(row.task_id)) is not None
        and task.ti_id != row.ti_id
    }


def marked_nodes(nodes: Mapping[str, runs.NodeRow], tasks: Mapping[str, TaskView]) -> set[str]:
    """Return the nodes that are not done but that an operator has marked as successful."""
    return {
        row.node
        for row in nodes.values()
        if row.ti_id is not None
        and row.state.is_final
        and row.state is not NodeState.DONE
        and (task := tasks.get(row.task_id)) is not None
        and task.ti_id == row.ti_id
        and task.state in SUCCESSFUL
    }


@dataclass(frozen=True)
class Situation:
    """One run as it is: its attempt, its nodes, its task instances, and what was marked."""

    run: runs.Run
    nodes: Mapping[str, runs.NodeRow]
    tasks: Mapping[str, TaskView]
    marked: frozenset[str]


def answer(session: Any, cur: Cursor, run_key: int) -> Action | None:
    """Decide and carry out what the clears of one run ask for, in the caller's transaction."""
    run = runs.lock_runs(cur, [run_key]).get(run_key)
    if run is None or run.attempt_state is None:
        return None
    tasks = _task_views(cur, run)
    task_mirror.release_restarting(cur, [t.ti_id for t in tasks.values()])
    if run.graph is None:
        action = _launch_again(cur, run)
    else:
        nodes = runs.load_nodes(cur, run_key, run.attempt)
        situation = Situation(run, nodes, tasks, frozenset(marked_nodes(nodes, tasks)))
        action = _answer_nodes(session, cur, situation)
    _bind_launch(cur, run, tasks)
    return action


def attach_unstarted(cur: Cursor, dag_run: tuple[str, str]) -> bool:
    """Bind the nodes of a run that were cleared before they started; whether there were any.

    :func:`answer` does the same, once the scheduler has looked at the run. A node that starts
    before that would run twice.

    Parameters
    ----------
    dag_run
        ``dag_id`` and ``run_id`` of a running DAG run in which something was cleared.
    """
    cur.execute(
        "SELECT run_key FROM owl_run WHERE dag_id = %s AND run_id = %s AND graph IS NOT NULL",
        dag_run,
    )
    for run in runs.lock_runs(cur, [row[0] for row in cur.fetchall()]).values():
        tasks = _task_views(cur, run)
        nodes = runs.load_nodes(cur, run.run_key, run.attempt)
        cleared = cleared_nodes(nodes, tasks)
        if cleared and rescues.plan(cur, run, nodes, cleared).action is Action.ATTACH:
            rescues.rebind(cur, run, {n: tasks[nodes[n].task_id].ti_id for n in cleared})
            return True
    return False


def _launch_again(cur: Cursor, run: runs.Run) -> Action:
    """Nothing was rendered yet: an attempt that was refused is simply asked for again."""
    if run.attempt_state is None or not run.attempt_state.is_final:
        return Action.ATTACH
    by, event = _who(cur, run)
    runs.request_attempt(cur, run.run_key, kind=AttemptKind.FRESH, by=by, reason=event)
    return Action.NEW


def _answer_nodes(session: Any, cur: Cursor, now: Situation) -> Action:
    cleared = cleared_nodes(now.nodes, now.tasks)
    plan = rescues.plan(cur, now.run, now.nodes, cleared, now.marked)
    if plan.action in {Action.NEW, Action.WIDEN}:
        renamed = task_mirror.reset_task_instances(session, _stale_tasks(now, plan))
        by, event = _who(cur, now.run)
        rescues.write(
            cur,
            now.run,
            plan,
            now.nodes,
            identities={
                name: renamed.get(task.ti_id, task.ti_id)
                for name, row in now.nodes.items()
                if (task := now.tasks.get(row.task_id)) is not None
            },
            marked=now.marked,
            by=by,
            reason=event,
        )
    elif plan.action is Action.ATTACH:
        tasks = {name: now.tasks[now.nodes[name].task_id] for name in cleared}
        rescues.rebind(cur, now.run, {name: task.ti_id for name, task in tasks.items()})
    elif now.marked:
        _accept_marks(cur, now.run, now.marked)
    return plan.action


def _stale_tasks(now: Situation, plan: AttemptPlan) -> list[str]:
    """Return the task instances that show a result which the attempt is going to replace."""
    shown = (now.tasks.get(now.nodes[name].task_id) for name in plan.rerun if name in now.nodes)
    return [task.ti_id for task in shown if task is not None and task.state not in WAITING]


def _accept_marks(cur: Cursor, run: runs.Run, marked: Collection[str]) -> None:
    """Nothing is left to run: the operator's word settles the nodes and the run."""
    by, _ = _who(cur, run)
    cur.execute(
        """
        UPDATE owl_node SET state = 'done', source = %(source)s, updated_at = now(),
               reason = 'marked as successful by ' || coalesce(%(by)s, 'an operator')
        WHERE run_key = %(run)s AND attempt = %(attempt)s AND node = ANY(%(nodes)s)
        """,
        {
            "run": run.run_key,
            "attempt": run.attempt,
            "nodes": sorted(marked),
            "by": by,
            "source": Source.OPERATOR,
        },
    )
    cur.execute(
        """
        UPDATE owl_run SET state = 'done', updated_at = now()
        WHERE run_key = %(run)s AND NOT EXISTS (
          SELECT 1 FROM owl_node n WHERE n.run_key = %(run)s AND n.attempt = %(attempt)s
             AND n.state <> 'done')
        """,
        {"run": run.run_key, "attempt": run.attempt},
    )


def free_spared(session: Any, cur: Cursor, since: Any) -> int:
    """Give a new try to the nodes that were spared, failed all the same and run again."""
    found = task_mirror.shown_for_predecessor(cur, since)
    if not found:
        return 0
    renamed = task_mirror.reset_task_instances(session, [ti for *_, ti in found])
    for run_key, attempt, node, ti_id in found:
        cur.execute(
            """
            UPDATE owl_node SET ti_id = %(ti)s::uuid, updated_at = now()
            WHERE run_key = %(run)s AND attempt = %(attempt)s AND node = %(node)s
            """,
            {"ti": renamed[ti_id], "run": run_key, "attempt": attempt, "node": node},
        )
    task_mirror.reopen_dag_runs(cur, {run_key for run_key, *_ in found})
    return len(found)


def _bind_launch(cur: Cursor, run: runs.Run, tasks: Mapping[str, TaskView]) -> None:
    launch = tasks.get(run.launch_task_id)
    if launch is not None and launch.ti_id != run.launch_ti_id:
        cur.execute(
            "UPDATE owl_run SET launch_ti_id = %(ti)s::uuid WHERE run_key = %(run)s",
            {"ti": launch.ti_id, "run": run.run_key},
        )
