"""A run of the ``drill`` workflow: what it does is decided by files, and what it did is counted."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from htcondor_operator.launcher.api import Api, ApiError
from tests.e2e.live_stack import PATIENCE, Stack, until

NODES = ("A", "B", "C", "D", "E")
CLEARED = "post_clear_task_instances"
AGAIN = 5
DATABASE = "Database error"
"""Airflow's reason where PostgreSQL has rolled its statement back."""
_MICROSECOND = timedelta(microseconds=1)


class Drill:
    """One dataset through the diamond A -> B, C -> D -> E (or a test's workflow of that shape).

    Parameters
    ----------
    stack
        Where it runs.
    name
        Begins the dataset's name.
    """

    def __init__(self, stack: Stack, name: str, workflow: str = "drill") -> None:
        self.stack = stack
        self.workflow = workflow
        self.dataset = f"{name}-{uuid.uuid4().hex[:6]}"
        self.path = f"/dags/{workflow}/dagRuns/{self.dataset}"

    # ------------------------------------------------------------- the cause of what happens

    def will_fail(self, *nodes: str, code: int = 3, once: bool = False) -> None:
        """Let nodes fail, until they are mended or once only."""
        for node in nodes:
            self._file(node, "fail").write_text(f"{code} once\n" if once else f"{code}\n")

    def mend(self, *nodes: str) -> None:
        """Take the cause of failure away."""
        for node in nodes:
            self._file(node, "fail").unlink()

    def will_wait(self, *nodes: str) -> None:
        """Let nodes wait once they run."""
        for node in nodes:
            self._file(node, "wait").touch()

    def let_go(self, *nodes: str) -> None:
        """End the wait."""
        for node in nodes:
            self._file(node, "wait").unlink()

    def _file(self, node: str, what: str) -> Any:
        return self.stack.control / f"{self.dataset}.{node}.{what}"

    # ------------------------------------------------------------- what operators do

    def start(self, **conf: object) -> Drill:
        """Trigger the run."""
        own: dict[str, object] = {"dataset": self.dataset, "control": str(self.stack.control)}
        assert self.stack.operator.trigger(self.workflow, self.dataset, {**own, **conf})
        return self

    def clear(self, *nodes: str, downstream: bool = False, by: Api | None = None) -> list[str]:
        """Clear task instances; return the ids of those that were."""
        answer = self._press(
            by or self.stack.operator,
            f"/dags/{self.workflow}/clearTaskInstances",
            {
                "dry_run": False,
                "dag_run_id": self.dataset,
                "task_ids": list(nodes),
                "only_failed": False,
                "include_downstream": downstream,
            },
        )
        return sorted(row["task_id"] for row in answer["task_instances"])

    def clear_all(self) -> None:
        """Clear the whole run."""
        body = {"dry_run": False, "only_failed": False}
        self._press(self.stack.operator, f"{self.path}/clear", body)

    def _press(self, user: Api, path: str, body: object) -> Any:
        """Send a clear; again when Airflow has changed nothing and says so, as a person would.

        Airflow's clear locks nothing: it may meet the executor's reset of the same tasks (409), or
        the scheduler's look at the same run (a deadlock: 500, rolled back).
        """
        for _ in range(AGAIN):
            try:
                return user.call("POST", path, body)
            except ApiError as error:
                lost = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
                rolled_back = lost and DATABASE in error.message
                if not rolled_back and error.status != HTTPStatus.CONFLICT:
                    raise
                time.sleep(0.2)
        return user.call("POST", path, body)

    def mark(self, node: str, state: str = "success") -> None:
        """Mark a task instance."""
        path = f"{self.path}/taskInstances/{node}"
        self.stack.operator.call("PATCH", path, {"new_state": state})

    # ------------------------------------------------------------- what happened

    def ran(self) -> dict[str, list[str]]:
        """Return what each node's jobs have written: the truth."""
        file = self.stack.control / f"{self.dataset}.ran"
        lines = file.read_text().splitlines() if file.exists() else []
        told: dict[str, list[str]] = {}
        for line in lines:
            node, _, word = line.partition(" ")
            told.setdefault(node, []).append(word)
        return told

    def starts(self) -> dict[str, int]:
        """Return how often each node's job ran."""
        return {node: Counter(words)["start"] for node, words in self.ran().items()}

    def run(self) -> dict[str, Any]:
        """Return the run's row."""
        return self.stack.sql(
            "SELECT * FROM owl_run WHERE dag_id = %(dag)s AND run_id = %(run)s",
            dag=self.workflow,
            run=self.dataset,
        )[0]

    def attempts(self) -> list[dict[str, Any]]:
        """Return the run's attempts."""
        return self.stack.sql(
            """SELECT a.* FROM owl_attempt a JOIN owl_run r USING (run_key)
                WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s ORDER BY attempt""",
            dag=self.workflow,
            run=self.dataset,
        )

    def nodes(self, attempt: int | None = None) -> dict[str, dict[str, Any]]:
        """Return the last try of each node, in the latest attempt by default."""
        rows = self.stack.sql(
            """SELECT DISTINCT ON (n.node) n.* FROM owl_node n JOIN owl_run r USING (run_key)
                WHERE r.dag_id = %(dag)s AND r.run_id = %(run)s
                  AND n.attempt = coalesce(%(attempt)s, r.latest_attempt)
                ORDER BY n.node, n.try DESC""",
            dag=self.workflow,
            run=self.dataset,
            attempt=attempt,
        )
        return {row["node"]: row for row in rows}

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Return the task instances, as the grid shows them."""
        rows = self.stack.operator.call("GET", f"{self.path}/taskInstances")["task_instances"]
        return {row["task_id"]: row for row in rows}

    def dag_run(self) -> dict[str, Any]:
        """Return the DagRun."""
        found: dict[str, Any] = self.stack.operator.call("GET", self.path)
        return found

    def tries(self, node: str) -> list[dict[str, Any]]:
        """Return all tries of a task instance that Airflow keeps."""
        rows: list[dict[str, Any]] = self.stack.operator.call(
            "GET", f"{self.path}/taskInstances/{node}/tries"
        )["task_instances"]
        return rows

    def log(self, node: str, number: int | None = None) -> str:
        """Return the text of the log tab."""
        number = number or self.tasks()[node]["try_number"]
        answer = self.stack.operator.call(
            "GET", f"{self.path}/taskInstances/{node}/logs/{number}?full_content=true"
        )
        lines = answer["content"]
        return "\n".join(
            line if isinstance(line, str) else str(line.get("event", "")) for line in lines
        )

    # ------------------------------------------------------------- waiting

    def until(self, what: str, look: Any, timeout: float = PATIENCE) -> Any:
        """Wait for something; the run's state is told when it does not come."""
        try:
            return until(f"{self.dataset}: {what}", look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None

    def until_started(self, *nodes: str, times: int = 1) -> None:
        """Wait until the jobs of nodes run, and the blackboard shows it."""
        self.until(
            f"{nodes} start",
            lambda: all(self.starts().get(node, 0) >= times for node in nodes),
        )
        self.until(
            f"{nodes} are shown as running",
            lambda: all(self.nodes()[node]["state"] == "running" for node in nodes),
        )
        self.until(
            f"{nodes} are running in the grid",
            lambda: all(self._shown(node) == "running" for node in nodes),
        )

    def until_shown(self, node: str, state: str) -> None:
        """Wait until the grid shows a node in a state."""
        self.until(f"{node} is {state} in the grid", lambda: self._shown(node) == state)

    def until_ended(self, state: str, attempts: int) -> None:
        """Wait for the end of the run's n-th attempt, and of the DagRun in that state."""

        def ended() -> bool:
            found = self.attempts()
            if len(found) < attempts or found[-1]["ended_at"] is None:
                return False
            rows = self.stack.sql(
                "SELECT state FROM dag_run WHERE dag_id = %(dag)s AND run_id = %(run)s",
                dag=self.workflow,
                run=self.dataset,
            )
            return bool(rows[0]["state"] == state)

        self.until(f"attempt {attempts} ends and the run is {state}", ended)

    def _shown(self, node: str) -> str | None:
        rows = self.stack.sql(
            """SELECT state FROM task_instance
                WHERE dag_id = %(dag)s AND run_id = %(run)s AND task_id = %(task)s""",
            dag=self.workflow,
            run=self.dataset,
            task=node,
        )
        return rows[0]["state"] if rows else None

    def report(self) -> str:
        """Return all that is known, for a failed test."""
        attempts = [
            {k: v for k, v in row.items() if v is not None and k not in {"run_key", "claimed_by"}}
            for row in self.attempts()
        ]
        nodes = {
            name: (row["state"], row["carried_from"], row["spared"], row["reason"])
            for name, row in self.nodes().items()
        }
        tasks = {name: (t["state"], t["try_number"]) for name, t in self.tasks().items()}
        lines = [*(f"attempt {row}" for row in attempts), f"nodes {nodes}", f"tasks {tasks}"]
        return "\n".join([*lines, f"dag run {self.dag_run()['state']}", f"ran {self.ran()}"])

    # ------------------------------------------------------------- the checks of every case

    def check_starts(self, **times: int) -> None:
        """Every job ran as often as said, once by default, and none was cut off in the middle."""
        expected = {node: times.get(node, 1) for node in NODES}
        assert self.starts() == {n: k for n, k in expected.items() if k}, self.report()

    def check_grid(self, state: str, **states: str) -> None:
        """The grid is true: states, times and hosts are those of the jobs."""
        tasks, nodes = self.tasks(), self.nodes()
        shown = {name: tasks[name]["state"] for name in NODES}
        assert shown == {name: states.get(name, "success") for name in NODES}, self.report()
        assert tasks["launch"]["state"] == "success", self.report()
        assert self.dag_run()["state"] == state
        for name in NODES:
            task, node = tasks[name], nodes[name]
            if node["started_at"] is None or node["reason"]:
                continue
            for ours, theirs in (("started_at", "start_date"), ("ended_at", "end_date")):
                moment = task[theirs] and datetime.fromisoformat(task[theirs])
                assert moment is not None, (name, theirs, self.report())
                assert abs(moment - node[ours]) <= _MICROSECOND, (name, theirs, moment, node[ours])
            assert task["hostname"] == node["host"], (name, task["hostname"])
            assert task["note"] is None

    def check_rescue(
        self,
        attempt: int = 2,
        *,
        by: str = "operator",
        reason: str = CLEARED,
        kind: str = "rescue",
        done: str = "",
    ) -> dict[str, Any]:
        """Exactly one attempt more, with who, when and why; the one before it is kept."""
        attempts = self.attempts()
        assert [row["attempt"] for row in attempts] == [*range(1, attempt + 1)], self.report()
        before, latest = attempts[-2], attempts[-1]
        assert latest["kind"] == kind
        assert (latest["requested_by"], latest["reason"]) == (by, reason)
        assert latest["requested_at"] > before["requested_at"]
        assert "".join(sorted(latest["done_nodes"])) == done, self.report()
        assert latest["state"] == "done"
        assert latest["cluster"] != before["cluster"]
        assert before["ended_at"] is not None
        assert before["cluster"] is not None
        assert set(self.nodes(attempt - 1)) == set(NODES)
        carried = {n: row for n, row in self.nodes().items() if row["carried_from"] is not None}
        assert "".join(sorted(carried)) == done
        assert not self.in_queue()
        return latest

    def in_queue(self) -> list[dict[str, Any]]:
        """Return attempts that believe to be alive."""
        return [row for row in self.attempts() if row["state"] not in {"done", "failed", "removed"}]
