"""``/runs``: one run with all its attempts, its logs, and what an operator does with runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from htcondor_operator.blackboard import flow_views, health, run_story
from htcondor_operator.blackboard.flow_views import Filter
from htcondor_operator.console import log_pages, run_actions
from htcondor_operator.console.access import Caller, OperatorDep, Permission, ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.flow_routes import with_words
from htcondor_operator.console.models import MOST_KEYS, Number, Outcome, Write
from htcondor_operator.console.run_actions import RunAction

router = APIRouter(prefix="/runs", tags=["runs"])

MOST_LINES = 5_000


class Stream(StrEnum):
    """Which words of a node."""

    OUT = "out"
    ERR = "err"
    LOG = "log"
    DAGMAN = "dagman"


class Found(BaseModel):
    """Where a page of Airflow belongs."""

    run_key: int
    node: str | None


class Log(BaseModel):
    """Lines of a log."""

    lines: list[dict[str, Any]]
    total: int
    matches: int | None
    truncated: bool
    path: str


class Actions(Write):
    """What is to be done with which runs."""

    action: RunAction
    run_keys: list[Number] = Field(min_length=1, max_length=MOST_KEYS)
    node: str | None = Field(None, max_length=200, description="One node, or where to begin.")
    priority: int | None = Field(None, ge=-10_000, le=10_000)


@router.get("/find")
def find(who: ReaderDep, dag_id: str, run_id: str, task_id: str | None = None) -> Found:
    """Return the run that a DAG run or task instance of Airflow shows; 404 if it is not OWL's."""
    if dag_id not in who.dags:
        raise _nothing(f"dag_id = {dag_id!r}")
    with connections.transaction() as cur:
        found = run_story.run_key_of(cur, dag_id, run_id, task_id)
    if found is None:
        raise _nothing(f"run_id = {run_id!r}")
    return Found(**found)


@router.get("/{run_key}")
def show(who: ReaderDep, run_key: int) -> dict[str, Any]:
    """Return a run, its attempts, all tries of its nodes, its graph, and what people did."""
    with connections.transaction() as cur:
        run = _readable(who, run_story.run_of(cur, run_key), run_key)
        rows, _ = flow_views.page(cur, Filter(run_keys=[run_key], history=True), limit=1)
        return {
            "as_of": health.seen_until(cur),
            "run": {**run, **(with_words(rows[0]) if rows else {})},
            "attempts": run_story.attempts(cur, run_key),
            "nodes": [with_words(row) for row in run_story.nodes(cur, run_key)],
            "graph": run["graph"],
            "actions": run_story.actions(cur, run_key),
        }


@router.get("/{run_key}/log")
def log(
    who: ReaderDep,
    run_key: int,
    stream: Stream = Stream.OUT,
    node: Annotated[str | None, Query(max_length=200)] = None,
    attempt: int | None = None,
    number: Annotated[int | None, Query(alias="try")] = None,
    first: Annotated[int | None, Query(ge=1, description="Line to begin with.")] = None,
    lines: Annotated[int, Query(ge=1, le=MOST_LINES)] = 1_000,
    search: Annotated[str | None, Query(max_length=200)] = None,
) -> Log:
    """Return lines of a node's output, error output or job log, or of DAGMan's own log."""
    with connections.transaction() as cur:
        run = _readable(who, run_story.run_of(cur, run_key), run_key)
        if stream is Stream.DAGMAN:
            path = f"{run['dag_file']}.dagman.out" if run["dag_file"] else None
        elif node is None:
            raise HTTPException(
                422, {"kind": "bad_conf", "message": f"node is missing: whose {stream}?"}
            )
        else:
            path = run_story.log_file(cur, run_key, node, stream, attempt=attempt, number=number)
    if path is None:
        raise _nothing(f"{stream} of {node or 'DAGMan'} in run {run_key}")
    page = log_pages.read(Path(path), first=first, most=lines, search=search)
    return Log(
        lines=[{"n": n, "text": text} for n, text in page.lines],
        total=page.total, matches=page.matches, truncated=page.truncated, path=path,
    )  # fmt: skip


@router.post("/actions")
def act(who: OperatorDep, wanted: Actions) -> Outcome:
    """Rescue, hold, release or remove runs, change their priority, or retry from a node."""
    asked = run_actions.Asked(
        wanted.action, wanted.node, wanted.priority, wanted.reason, who.name, who.dags
    )
    asked.check()
    with connections.transaction() as cur:
        dags = run_actions.dags_of(cur, wanted.run_keys)
    who.demand(Permission.OPERATE, dags & who.dags)
    return run_actions.perform(connections, wanted.run_keys, asked, dry_run=wanted.dry_run)


def _readable(who: Caller, run: dict[str, Any] | None, run_key: int) -> dict[str, Any]:
    if run is None or run["dag_id"] not in who.dags:
        raise _nothing(f"run_key = {run_key}")
    return run


def _nothing(what: str) -> HTTPException:
    return HTTPException(404, {"kind": "not_found", "message": f"{what}: nothing is there."})
