"""What the mirror's tests need: rows as the gateway writes them, DAGs, and the real daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from htcondor_operator.condor.bindings import Bindings
from htcondor_operator.condor.pool import PersonalPool
from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.parser import parse_dag

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0
"""A job starts after half a dozen daemons in a row have looked, and any of them may rest."""


class Board:
    """The blackboard of one test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection = psycopg2.connect(url)
        self.connection.autocommit = True

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        with self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cur:
            cur.execute(sql, values)
            return [dict(row) for row in cur.fetchall()] if cur.description else []

    def add_run(self, dag_file: Path, dataset: str) -> int:
        """Write what a request and the gateway write before they submit."""
        dag = parse_dag(dag_file.read_text())
        graph = workflow_graph(dag).as_mapping()
        run = self.rows(
            """INSERT INTO owl_run (dag_id, run_id, workflow, dataset, run_dir, dag_file, graph,
                                    latest_attempt)
               VALUES ('w', %(id)s, 'w', %(dataset)s, %(dir)s, %(file)s, %(graph)s, 1)
               RETURNING run_key""",
            id=f"run {dag_file}",
            dataset=dataset,
            dir=str(dag_file.parent),
            file=str(dag_file),
            graph=psycopg2.extras.Json(graph),
        )[0]["run_key"]
        self.rows(
            "INSERT INTO owl_attempt (run_key, attempt, kind, state)"
            " VALUES (%(run)s, 1, 'first', 'submitting')",
            run=run,
        )
        for node in dag.nodes:
            self.rows(
                "INSERT INTO owl_node (run_key, attempt, node, try, task_id)"
                " VALUES (%(run)s, 1, %(node)s, 0, %(node)s)",
                run=run,
                node=node,
            )
        return int(run)

    def nodes(self, run: int) -> dict[tuple[str, int], dict[str, Any]]:
        found = self.rows("SELECT * FROM owl_node WHERE run_key = %(run)s", run=run)
        return {(row["node"], row["try"]): row for row in found}

    def states(self, run: int) -> dict[str, str]:
        return {f"{n}/{t}": row["state"] for (n, t), row in sorted(self.nodes(run).items())}

    def attempt(self, run: int) -> dict[str, Any]:
        return self.rows(
            "SELECT * FROM owl_attempt WHERE run_key = %(run)s ORDER BY attempt DESC LIMIT 1",
            run=run,
        )[0]

    def run_state(self, run: int) -> str:
        return str(
            self.rows("SELECT state FROM owl_run WHERE run_key=%(run)s", run=run)[0]["state"]
        )


def write_dag(folder: Path, text: str, name: str = "w.dag") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


class Gates:
    """Files that jobs and scripts wait for, until a test has seen what it wants to see."""

    def __init__(self, folder: Path, *names: str) -> None:
        folder.mkdir()
        self.folder = folder
        for name in names:
            (folder / name).touch()
        self.waits = folder / "waits.sh"
        self.waits.write_text('while test -e "$1"; do sleep 0.1; done\n')

    def words(self, name: str) -> str:
        """Return the arguments of ``/bin/sh`` that wait until a gate is open."""
        return f"{self.waits} {self.folder / name}"

    def open(self, *names: str) -> None:
        """Let those go on that wait for these gates; without names, all."""
        for name in names or [path.name for path in self.folder.iterdir()]:
            if name != self.waits.name:
                (self.folder / name).unlink(missing_ok=True)


def submit(bindings: Bindings, dag_file: Path, run: int, attempt: int = 1) -> int:
    """Submit like the gateway does."""
    return bindings.submit_dag(
        dag_file,
        {"Force": True},
        {
            "initialdir": str(dag_file.parent),
            "My.OwlRun": str(run),
            "My.OwlAttempt": str(attempt),
            "My.OwlDataset": '"x"',
        },
    )


class Mirror:
    """The real daemon."""

    def __init__(self, pool: PersonalPool, url: str, home: Path, *arguments: str) -> None:
        self.log = home / "mirror.log"
        env = {
            **pool.environment(),
            "OWL_DATABASE_URL": url,
            "OWL_HOME": str(home),
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            "TZ": "America/Chicago",
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "htcondor_operator.mirror", *arguments],
                env=env,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def mirror(pool: PersonalPool, url: str, home: Path, *arguments: str) -> Iterator[Mirror]:
    home.mkdir(parents=True, exist_ok=True)
    daemon = Mirror(pool, url, home, *arguments)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.stop()


def until(
    condition: Callable[[], bool], seconds: float = PATIENCE_S, tell: Callable[[], object] = str
) -> None:
    """Wait for a condition; the last look is after the time is over."""
    end = time.monotonic() + seconds
    over = False
    while not condition():
        if over:
            raise AssertionError(f"not within {seconds} s: {tell()}")
        over = time.monotonic() > end
        time.sleep(0.2)


def command(pool: PersonalPool, *words: str) -> str:
    done = subprocess.run(
        words, env={**os.environ, **pool.environment()}, capture_output=True, text=True, check=True
    )
    return done.stdout
