"""Buttons on Airflow's page of a task instance ("extra links") that lead into the console.

A link that a task leaves in XCom, Airflow's usual way, would stay empty: no worker runs the tasks
that the HTCondorExecutor mirrors. A plugin's links are made by the API server when the page asks
(3.3.2), so these look into the blackboard. One that would lead nowhere is not shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from htcondor_operator.console.addresses import page, run_page

if TYPE_CHECKING:
    from airflow.models.taskinstancekey import TaskInstanceKey
    from psycopg2.extensions import cursor as Cursor

log = logging.getLogger(__name__)

Find = Callable[["Cursor", "TaskInstanceKey"], str]
"""Returns where a link leads; empty: nowhere."""


class ConsoleLink(BaseOperatorLink):
    """One button.

    Parameters
    ----------
    name
        What is on it.
    tasks
        Which tasks have it: ``launch``, ``node``.
    find
        Where it leads.
    """

    name = ""

    def __init__(self, name: str, tasks: tuple[str, ...], find: Find) -> None:
        self.name = name
        self._tasks = tasks
        self._find = find

    @property
    def operators(self) -> list[type[Any]]:
        """Return the classes of the tasks; only the API server asks, nobody else imports them."""
        from htcondor_operator.operators.dag import HTCondorDagOperator
        from htcondor_operator.operators.node import HTCondorNodeOperator

        known = {"launch": HTCondorDagOperator, "node": HTCondorNodeOperator}
        return [known[task] for task in self._tasks]

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Return the address; an error hides this button and leaves the others."""
        from htcondor_operator.console.database import connections

        try:
            with connections.transaction() as cur:
                return self._find(cur, ti_key)
        except Exception:
            # Airflow would answer 500 for all links of the task, those of others included.
            log.exception("no link %r for %s", self.name, ti_key)
            return ""


def _dataset(cur: Cursor, key: TaskInstanceKey) -> str:
    from htcondor_operator.blackboard.run_links import run_sights

    return run_page(key.dag_id, key.run_id) if run_sights(cur, key.dag_id, key.run_id) else ""


def _products(cur: Cursor, key: TaskInstanceKey) -> str:
    from htcondor_operator.blackboard.run_links import run_sights

    seen = run_sights(cur, key.dag_id, key.run_id)
    return run_page(key.dag_id, key.run_id, view="products") if seen and seen.products else ""


def _errors(cur: Cursor, key: TaskInstanceKey) -> str:
    from htcondor_operator.blackboard.run_links import run_sights

    seen = run_sights(cur, key.dag_id, key.run_id)
    return page("errors", workflow=seen.workflow) if seen and seen.errors else ""


def _dagman_log(cur: Cursor, key: TaskInstanceKey) -> str:
    from htcondor_operator.blackboard.run_links import run_sights

    seen = run_sights(cur, key.dag_id, key.run_id)
    if seen is None or not seen.dag_file or not Path(f"{seen.dag_file}.dagman.out").is_file():
        return ""
    return run_page(key.dag_id, key.run_id, view="log", stream="dagman")


def _node_log(cur: Cursor, key: TaskInstanceKey) -> str:
    from htcondor_operator.blackboard.run_links import node_try

    shown = node_try(
        cur, key.dag_id, key.run_id, key.task_id, map_index=key.map_index, try_number=key.try_number
    )
    if shown is None:
        return ""
    which: dict[str, str | int] = {
        "node": shown.node,
        "attempt": shown.attempt,
        "try": shown.number,
    }
    return run_page(key.dag_id, key.run_id, view="log", **which)


LINKS = (
    ConsoleLink("OWL dataset", ("launch", "node"), _dataset),
    ConsoleLink("OWL products", ("launch",), _products),
    ConsoleLink("OWL errors of this workflow", ("launch",), _errors),
    ConsoleLink("OWL DAGMan log", ("launch",), _dagman_log),
    ConsoleLink("OWL node log", ("node",), _node_log),
)
