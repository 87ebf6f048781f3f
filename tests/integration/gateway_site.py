"""A gateway process with a real pool and a real database, and the requests that drive it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import Json

from htcondor_operator.blackboard.run_commands import command_result, insert_command
from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.vocabulary import CommandState, CommandVerb

ROOT = Path(__file__).resolve().parents[2]


def wait_for(what: str, look: Callable[[], Any], seconds: float = 120.0) -> Any:
    """Return the first true value of `look`; the last look is after the time is over."""
    end = time.monotonic() + seconds
    over = False
    while not (value := look()):
        if over:
            raise AssertionError(f"waited {seconds:g} s for {what}; last value: {value!r}")
        over = time.monotonic() > end
        time.sleep(0.1)
    return value


@dataclass
class Site:
    pool: PersonalPool
    url: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    mirror_process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        # Not a gateway's patience: a busy machine lets one call wait for longer.
        self.bindings = Bindings(timeout=60)
        self.connection = psycopg2.connect(self.url)
        self.connection.autocommit = True
        self.count = 0

    # ---------------------------------------------------------- the daemon

    def start(self) -> None:
        env = {
            **os.environ,
            **self.pool.environment(),
            "OWL_HOME": str(self.home),
            "OWL_DATABASE_URL": self.url,
            "OWL_TEMPLATES": str(ROOT / "include" / "templates"),
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            **self.environment,
        }
        with (self.home / "gateway.log").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "htcondor_operator.condor.gateway"],
                env=env,
                stdout=out,
                stderr=out,
            )

    def start_mirror(self) -> None:
        """Start the daemon that folds the event log, for tests that need what it writes."""
        env = {
            **os.environ,
            **self.pool.environment(),
            "OWL_HOME": str(self.home),
            "OWL_DATABASE_URL": self.url,
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
        }
        with (self.home / "mirror.log").open("ab") as out:
            self.mirror_process = subprocess.Popen(
                [sys.executable, "-m", "htcondor_operator.mirror"], env=env, stdout=out, stderr=out
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        if self.mirror_process is not None:
            self.mirror_process.terminate()
            self.mirror_process.wait(60)
        for cluster in self.rows("SELECT cluster FROM owl_attempt WHERE cluster IS NOT NULL"):
            self.bindings.act("Remove", f"ClusterId == {cluster[0]}", "end of the test")
        self.bindings.close()
        self.connection.close()

    def empty_queue(self) -> None:
        """Remove what earlier tests left: all tests of a worker have one pool."""
        self.bindings.act("Remove", "true", "left behind")
        wait_for("an empty queue", lambda: not self.jobs("true"))

    def folder(self, run: int) -> Path:
        return Path(self.value("SELECT run_dir FROM owl_run WHERE run_key = %(r)s", r=run))

    # ---------------------------------------------------------- the database

    def stall(self, when: str) -> None:
        """Stop whoever changes an attempt like this, for as long as it takes to kill it there."""
        self.rows(
            "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$; "
            "CREATE TRIGGER stall BEFORE UPDATE ON owl_attempt FOR EACH ROW "
            f"WHEN ({when}) EXECUTE FUNCTION stall()"
        )

    def end_stall(self) -> None:
        """Let changes through again; what the killed one has begun is undone."""
        self.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        self.rows("DROP TRIGGER stall ON owl_attempt")

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql: str, **values: object) -> Any:
        return self.rows(sql, **values)[0][0]

    def request(self, workflow: str, dataset: str, **params: object) -> int:
        """Ask for a run as the executor does."""
        self.count += 1
        run = self.value(
            "INSERT INTO owl_run (dag_id, run_id, workflow, dataset, params, latest_attempt) "
            "VALUES (%(w)s, %(id)s, %(w)s, %(d)s, %(p)s, 1) RETURNING run_key",
            w=workflow,
            id=f"{dataset}-{self.count}",
            d=dataset,
            p=Json(params),
        )
        self.want(run, 1, "first")
        return int(run)

    def want(self, run: int, attempt: int, kind: str) -> None:
        self.rows(
            "INSERT INTO owl_attempt (run_key, attempt, kind) VALUES (%(r)s, %(a)s, %(k)s); "
            "NOTIFY owl_attempt",
            r=run,
            a=attempt,
            k=kind,
        )

    def rescue(
        self, run: int, attempt: int, *, done: Iterable[str] = (), spared: Iterable[str] = ()
    ) -> None:
        """Ask for the next attempt as the executor does: all node rows in one transaction."""
        with self.connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "INSERT INTO owl_attempt (run_key, attempt, kind) VALUES (%s, %s, 'rescue')",
                (run, attempt),
            )
            cursor.execute(
                """
                INSERT INTO owl_node (run_key, attempt, node, task_id, state, carried_from, spared)
                SELECT run_key, %(new)s, node, task_id,
                       CASE WHEN node = ANY(%(done)s) THEN 'done' ELSE 'unready' END,
                       CASE WHEN node = ANY(%(done)s) THEN attempt END,
                       node = ANY(%(spared)s)
                  FROM owl_node WHERE run_key = %(run)s AND attempt = %(old)s AND try = 0
                """,
                {
                    "run": run,
                    "new": attempt,
                    "old": attempt - 1,
                    "done": list(done),
                    "spared": list(spared),
                },
            )
            cursor.execute("NOTIFY owl_attempt")
            cursor.execute("COMMIT")

    def attempt(self, run: int, number: int = 1) -> dict[str, Any]:
        row = self.value(
            "SELECT to_json(a) FROM owl_attempt a WHERE run_key = %(r)s AND attempt = %(n)s",
            r=run,
            n=number,
        )
        return row if isinstance(row, dict) else json.loads(row)

    def live(self, run: int, number: int = 1, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until the attempt is live and return its row."""

        def look() -> dict[str, Any] | None:
            row = self.attempt(run, number)
            assert row["state"] != "refused", row
            return row if row["state"] == "live" else None

        return wait_for(f"attempt {number} to be live", look, seconds)

    def refused(self, run: int) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            row = self.attempt(run)
            return row if row["state"] == "refused" else None

        return wait_for("a refusal", look)

    def command(self, verb: str, run: int, node: str | None = None, **argument: object) -> str:
        """Give a command and return its result; it must succeed unless it says ``failed``."""
        with self.connection.cursor() as cursor:
            number = insert_command(
                cursor,
                verb=CommandVerb(verb),
                run_key=run,
                node=node,
                argument=dict(argument),
                requested_by="test",
                reason=f"to {verb} it",
            )

            def look() -> tuple[CommandState, str] | None:
                state, text = command_result(cursor, number)
                return None if state is CommandState.WANTED else (state, text)

            state, text = wait_for("the command", look)
        return f"{state.value}: {text}"

    # ---------------------------------------------------------- the pool

    def jobs(self, constraint: str) -> list[dict[str, Any]]:
        names = ["ClusterId", "ProcId", "JobStatus", "JobPrio", "DAGNodeName", "HoldReason"]
        return self.bindings.query(constraint, names)

    def dagmans(self, run: int) -> list[int]:
        """Return all DAGMan clusters that the schedd ever had for a run."""
        folder = self.value("SELECT run_dir FROM owl_run WHERE run_key = %(r)s", r=run)
        if folder is None:
            return []
        constraint = f'JobUniverse == 7 && OwlRun =?= {run} && Iwd == "{folder}"'
        ads = [
            *self.bindings.query(constraint, ["ClusterId"]),
            *self.bindings.history(constraint, ["ClusterId"]),
        ]
        return sorted({int(ad["ClusterId"]) for ad in ads})

    def ended(self, cluster: int, seconds: float = 180.0) -> dict[str, Any]:
        """Wait until a DAGMan left the queue and return its ad from the history."""
        names = ["ClusterId", "JobStatus", "ExitCode", "OwlRun", "OwlAttempt", "OwlDataset"]

        def look() -> list[dict[str, Any]]:
            return self.bindings.history(f"ClusterId == {cluster}", names)

        return wait_for(f"the end of DAGMan {cluster}", look, seconds)[0]
