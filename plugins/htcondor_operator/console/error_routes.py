"""``/errors``: failed and held datasets by cause."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from htcondor_operator.blackboard import error_groups, health
from htcondor_operator.console.access import AdministratorDep, ReaderDep
from htcondor_operator.console.database import connections
from htcondor_operator.console.flow_routes import FilterDep, with_words
from htcondor_operator.console.models import Item, Outcome, Write

router = APIRouter(prefix="/errors", tags=["errors"])

MOST = 10_000
"""Runs of one group in an answer."""


class Cause(Write):
    """A cause, as :func:`groups` names it."""

    node: str = Field(max_length=200)
    error_kind: str = Field(max_length=200)
    fingerprint: str = Field(max_length=64)
    workflows: list[str] = Field(
        min_length=1, max_length=200, description="Where it is known; elsewhere it is news."
    )
    until: datetime | None = Field(None, description="Accepted until then; null: for ever.")
    accepted: bool = Field(True, description="False takes the acceptance back.")


@router.get("")
def groups(chosen: FilterDep) -> dict[str, Any]:
    """Return failures grouped by node, kind and fingerprint of the message."""
    with connections.transaction() as cur:
        rows = error_groups.groups(cur, chosen)
        return {"rows": [with_words(row) for row in rows], "as_of": health.seen_until(cur)}


@router.get("/runs")
def runs(
    who: ReaderDep,
    chosen: FilterDep,
    cause_node: str,
    cause_kind: str,
    cause_fingerprint: str,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> dict[str, Any]:
    """Return the runs of one group that fit the filters, for a bulk rescue."""
    with connections.transaction() as cur:
        cause = (cause_node, cause_kind, cause_fingerprint)
        rows = error_groups.members(cur, chosen, cause, most=limit)
    return {"rows": rows}


@router.post("/accept")
def accept(who: AdministratorDep, wanted: Cause) -> Outcome:
    """Accept a known failure with a reason, or take that back."""
    cause = (wanted.node, wanted.error_kind, wanted.fingerprint)
    name = " ".join(part for part in cause[:2] if part)
    if wanted.accepted and not (wanted.reason or "").strip():
        item = Item(key=wanted.fingerprint, name=name, will="", why_not="Give a reason.")
        return Outcome(summary="nothing was accepted", items=[item], done=0)
    where = ", ".join(sorted(wanted.workflows))
    will = "shown apart from now on" if wanted.accepted else "shown among the others again"
    will = f"{will}, in {where}, and in no other workflow"
    done = 0
    if not wanted.dry_run:
        with connections.transaction() as cur:
            if wanted.accepted:
                error_groups.accept(
                    cur,
                    cause,
                    wanted.workflows,
                    who=who.name,
                    reason=wanted.reason or "",
                    until=wanted.until,
                )
                done = 1
            else:
                done = int(
                    error_groups.withdraw(
                        cur, cause, wanted.workflows, who=who.name, reason=wanted.reason
                    )
                )
    item = Item(key=wanted.fingerprint, name=name, will=will)
    return Outcome(summary=f"{name}: {will}", items=[item], done=done)
