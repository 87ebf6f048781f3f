"""``/flow``: the data flow, one row per dataset's latest state."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from htcondor_operator.blackboard import flow_views, health
from htcondor_operator.blackboard.flow_views import Filter
from htcondor_operator.console.access import ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.models import Cursor, Limit, Listed
from htcondor_operator.exit_codes import describe_exit, describe_signal
from htcondor_operator.vocabulary import RunState

router = APIRouter(prefix="/flow", tags=["flow"])

Names = Annotated[list[str], Query(max_length=200)]


def chosen(
    who: ReaderDep,
    search: Annotated[
        str | None, Query(max_length=63, description="The dataset begins so.")
    ] = None,
    status: Annotated[list[RunState], Query()] = [],  # noqa: B006 - FastAPI copies it
    workflow: Names = [],  # noqa: B006
    instrument: Names = [],  # noqa: B006
    node: Names = [],  # noqa: B006
    error: Names = [],  # noqa: B006
    fingerprint: Annotated[str | None, Query(max_length=64)] = None,
    exit_code: Annotated[list[int], Query()] = [],  # noqa: B006
    campaign: Names = [],  # noqa: B006
    since: datetime | None = None,
    until: datetime | None = None,
    history: Annotated[bool, Query(description="Also runs that a later one overtook.")] = False,
) -> Filter:
    """Return the filter that a query asks for, narrowed to what the caller may read."""
    return Filter(
        dags=sorted(who.dags), search=search, status=[str(s) for s in status], workflow=workflow,
        instrument=instrument, node=node, error=error, fingerprint=fingerprint,
        exit_code=exit_code, campaign=campaign, since=since, until=until, history=history,
    )  # fmt: skip


FilterDep = Annotated[Filter, Depends(chosen)]


class Totals(BaseModel):
    """Numbers of runs of a filter."""

    status: dict[str, int]
    workflow: dict[str, int]
    instrument: dict[str, int]
    complete: bool
    as_of: datetime | None = None


@router.get("")
def flow(
    chosen: FilterDep, sort: str = "-created", cursor: Cursor = None, limit: Limit = 100
) -> Listed:
    """Return a page of runs."""
    with connections.transaction() as cur:
        rows, following = flow_views.page(cur, chosen, sort=sort, cursor=cursor, limit=limit)
        as_of = health.seen_until(cur)
    return Listed(rows=[with_words(r) for r in rows], next=following, as_of=as_of)


@router.get("/totals")
def totals(chosen: FilterDep) -> Totals:
    """Return how many runs there are by status, workflow and instrument."""
    with connections.transaction() as cur:
        found = flow_views.totals(cur, chosen)
        return Totals(**vars(found), as_of=health.seen_until(cur))


def with_words(row: dict[str, Any]) -> dict[str, Any]:
    """Add the name and sentence of an exit code or signal."""
    name = sentence = None
    if row["exit_signal"]:
        name, sentence = describe_signal(row["exit_signal"])
    elif row["exit_code"]:
        name, sentence = describe_exit(row["exit_code"])
    return {**row, "exit_name": name, "exit_sentence": sentence}
