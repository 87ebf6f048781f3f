"""``owl bench queue``: the queue's own work, in a queue as large as after years.

Everything is measured through the functions that the shoveler, the command line and the pollers
call, each in its transaction with its commit.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from htcondor_operator.bench import processes, queue_data
from htcondor_operator.bench.queue_figures import AT_LEAST, AT_MOST, missed, percentile, spread
from htcondor_operator.bench.scratch_database import scratch_database, some_server
from htcondor_operator.bench.watch import Say
from htcondor_operator.blackboard import claim_rows, queue_views
from htcondor_operator.blackboard.connection import connect_url
from htcondor_operator.blackboard.new_entries import NewEntry
from htcondor_operator.blackboard.queue_entries import add_entries
from htcondor_operator.blackboard.queue_filters import Filter, Pattern
from htcondor_operator.blackboard.queue_tally import compact
from htcondor_operator.queue.shoveler.dag_runs import insert_dag_runs
from htcondor_operator.queue.shoveler.policy import Policy, plan
from htcondor_operator.queue.shoveler.shoveling import look
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import EntryOutcome, EntryState, ErrorKind, OwlError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

BATCH = 500
STATUS_ROUNDS = 30
PAGES = 2
"""Pages that are taken of each list."""


@dataclass(frozen=True)
class Sizes:
    """How much there is, and how much is measured."""

    queue: int = 1_000_000
    history: int = 5_000_000
    bulk: int = 100_000
    batches: int = 20
    lists: int = 400


@dataclass
class QueueBench:
    """A filled database, and what is measured in it."""

    connection: Connection
    sizes: Sizes
    say: Say
    detail: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Measure everything and return the figures."""
        figures = {
            "status_ms": self.status(),
            "list_page_ms": self.lists(),
            **self.shovel(),
            "bulk_add_100k_s": self.bulk_add(),
        }
        self.check_tally()
        return {
            **figures,
            "expected": {
                **{name: f"<= {value:g}" for name, value in AT_MOST.items()},
                **{name: f">= {value:g}" for name, value in AT_LEAST.items()},
            },
            "missed": missed(figures),
            "detail": self.detail,
        }

    def status(self) -> float:
        """Return milliseconds (p95) of ``owl queue status``."""
        times = []
        for _ in range(STATUS_ROUNDS):
            began = time.perf_counter()
            with self.connection, self.connection.cursor() as cur:
                queue_views.status(cur)
            times.append(_ms_since(began))
        self.detail["status_ms"] = spread(times)
        self.say(f"status: {self.detail['status_ms']}")
        return round(percentile(times, 0.95), 3)

    def lists(self) -> float:
        """Return milliseconds (p95) of a page of ``owl queue list`` and ``history``."""
        chosen = list(self._filters())
        random.Random(1).shuffle(chosen)
        times: list[tuple[float, str]] = []
        for history, wanted in chosen[: self.sizes.lists]:
            lister = queue_views.list_history if history else queue_views.list_entries
            after = None
            for _ in range(PAGES):
                began = time.perf_counter()
                with self.connection, self.connection.cursor() as cur:
                    page = lister(cur, wanted, after=after)
                name = "history" if history else "list"
                times.append((_ms_since(began), f"{name} {_words(wanted)}"))
                after = page.next
                if after is None:
                    break
        figure = spread([each for each, _ in times])
        self.detail["list_page_ms"] = {**figure, "slowest": max(times)[1]}
        self.say(f"list: {self.detail['list_page_ms']}")
        return figure["p95"]

    def _filters(self) -> Iterator[tuple[bool, Filter]]:
        """Yield every combination of filters that the command line allows, on both tables."""
        with self.connection, self.connection.cursor() as cur:
            for history, states in ((False, list(EntryState)), (True, list(EntryOutcome))):
                table = "owl_queue_history" if history else "owl_queue"
                cur.execute(
                    f"SELECT fileset, campaign FROM {table}"  # noqa: S608
                    " WHERE campaign IS NOT NULL ORDER BY id LIMIT 1"
                )
                name, campaign = cur.fetchone() or ("ib1f23qeq", "none")
                patterns = (
                    None,
                    name,
                    "i*",
                    "l*",
                    name[:4] + "*",
                    name[:4] + "*5q",
                    name[:8] + "?",
                )
                for type_, state, campaign_, pattern, priority in itertools.product(
                    (None, "sdp_prearch_wf3", "reingest_pvw"),
                    (None, *map(str, states)),
                    (None, campaign),
                    patterns,
                    (None, 0, 100),
                ):
                    fileset = None if pattern is None else Pattern(pattern)
                    yield history, Filter(type_, state, campaign_, fileset, priority)

    def shovel(self) -> dict[str, float]:
        """Shovel batch after batch as the shoveler does; return the figures of claim and runs."""
        policy = Policy(max_running=10**9, batch=BATCH, idle_jobs=None)
        claims: list[float] = []
        batches: list[float] = []
        steps: dict[str, list[float]] = {}
        made = 0
        began = time.perf_counter()
        for _ in range(self.sizes.batches):
            marks = [("", time.perf_counter())]

            def mark(name: str, marks: list[tuple[str, float]] = marks) -> None:
                marks.append((name, time.perf_counter()))

            with self.connection, self.connection.cursor() as cur:
                claim_rows.lock_shoveling(cur)
                cells, load = look(cur, policy)
                grants = plan(policy, cells, load).grants
                mark("plan")
                ids = claim_rows.claim(cur, grants)
                mark("claim")
                made += insert_dag_runs(cur, ids)
                mark("dag_runs")
                claim_rows.move_to_history(cur, ids)
                mark("history")
            mark("commit")
            if len(ids) < min(BATCH, self.sizes.queue // 10):
                raise OwlError(ErrorKind.INTERNAL, f"{len(ids)} entries claimed, not {BATCH}.")
            for (_, before), (name, after) in itertools.pairwise(marks):
                steps.setdefault(name, []).append(1000 * (after - before))
            claims.append(1000 * (marks[2][1] - marks[0][1]))
            batches.append(1000 * (marks[-1][1] - marks[0][1]))
        elapsed = time.perf_counter() - began
        self.detail["claim_500_ms"] = spread(claims)
        self.detail["shovel_500_ms"] = {
            **spread(batches),
            "p50_of_steps": {name: round(percentile(v, 0.5), 3) for name, v in steps.items()},
        }
        self.detail["dagruns_created"] = made
        self.say(f"claim: {self.detail['claim_500_ms']}; batch: {self.detail['shovel_500_ms']}")
        return {
            "claim_500_ms": round(percentile(claims, 0.5), 3),
            "dagruns_created_per_s": round(made / elapsed, 1),
        }

    def bulk_add(self) -> float:
        """Return seconds in which ``add_entries`` adds 100,000 entries (scaled, if fewer)."""
        letters = {kind.type: kind.letter for kind in queue_data.KINDS}
        types = list(letters)
        entries = [
            NewEntry(
                f"{letters[types[k % 7]]}z{k:07d}",
                types[k % 7],
                k % 5,
                {"note": f"entry {k}"},
                reason="bulk",
                campaign="bulk",
                requested_by="bench",
            )
            for k in range(self.sizes.bulk)
        ]
        began = time.perf_counter()
        with self.connection, self.connection.cursor() as cur:
            added = add_entries(cur, entries)
        elapsed = time.perf_counter() - began
        if added.added != self.sizes.bulk:
            raise OwlError(ErrorKind.INTERNAL, f"{added} of {self.sizes.bulk} new entries.")
        self.detail["bulk_add"] = {"entries": self.sizes.bulk, "seconds": round(elapsed, 3)}
        self.say(f"bulk add: {self.detail['bulk_add']}")
        return round(elapsed * 100_000 / self.sizes.bulk, 3)

    def check_tally(self) -> None:
        """Count everything once: figures of a wrong tally are worth nothing."""
        with self.connection, self.connection.cursor() as cur:
            compact(cur)
            told = queue_views.status(cur)
            cur.execute(
                "SELECT (SELECT count(*) FROM owl_queue), (SELECT count(*) FROM owl_queue_history)"
            )
            queue, history = cur.fetchone() or (0, 0)
        waiting = sum(row["unshoveled"] for row in told)
        left = sum(row["total"] for row in told) - waiting
        self.detail["rows"] = {"queue": queue, "history": history}
        if (waiting, left) != (queue, history):
            raise OwlError(
                ErrorKind.INTERNAL,
                f"The tally says {waiting} and {left}, but there are {queue} and {history}.",
            )


def _ms_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def _words(wanted: Filter) -> str:
    said = {
        "type": wanted.type,
        "state": wanted.state,
        "campaign": wanted.campaign,
        "fileset": wanted.fileset and wanted.fileset.text,
        "priority": wanted.priority,
    }
    return " ".join(f"{name}={value}" for name, value in said.items() if value is not None)


def queue_bench(sizes: Sizes, say: Say) -> dict[str, Any]:
    """Fill a throwaway database, measure, drop it, and return the figures."""
    began = time.time()
    load = os.getloadavg()
    with (
        some_server(Settings.from_environment().database_url, say) as server,
        scratch_database(server, say) as url,
        closing(connect_url(url, application="bench")) as connection,
    ):
        queue_data.fill(connection, sizes.queue, sizes.history, say)
        filled = time.time()
        figures = QueueBench(connection, sizes, say).run()
        with connection, connection.cursor() as cur:
            cur.execute("SHOW server_version")
            (version,) = cur.fetchone() or ("",)
    return {
        "queue": sizes.queue,
        "history": sizes.history,
        **figures,
        "fill_s": round(filled - began, 1),
        "measure_s": round(time.time() - filled, 1),
        "postgresql": version,
        "machine": {**processes.machine(), "load_average_before": list(load)},
    }
