"""Kind ``requests`` (repro_manager): request files become campaigns, or go to quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import psycopg2
from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.blackboard.campaign_rows import Campaign, Put
from htcondor_operator.queue.campaigns import acts as campaigns
from htcondor_operator.queue.campaigns.choosing import choose
from htcondor_operator.queue.campaigns.requests import Request, read_request
from htcondor_operator.queue.fitting import the_workflow
from htcondor_operator.queue.pollers import filing
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.fits_header import Unreadable
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState, CampaignState, OwlError

_MOST_BYTES = 8 << 20  # YAML takes 60 times its size of memory
DONE = "taken"
"""Folder below the landing folder, where requests are kept that became campaigns."""


class RequestHandler:
    """What is done with request files."""

    once = True

    def __init__(self, declaration: Declaration, settings: Settings) -> None:
        self._name = declaration.name
        self._priority = declaration.priority
        self._templates = settings.templates
        self._done = settings.incoming / (declaration.directory or "") / DONE
        self._quarantine = settings.quarantine / declaration.name

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:
        """Read a request and check all that can be checked without the database."""
        if size > _MOST_BYTES:
            raise Unreadable("it is too long for a request")
        try:
            request = read_request(name, stream.read())
            the_workflow(self._templates, request.type)
        except OwlError as error:
            raise Unreadable(error.message) from error
        return Examined(None, "request", {"request": request})

    def place(self, name: str) -> Path:
        """Return where it is kept."""
        return self._done / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Make the campaigns; a request that the database refuses goes to quarantine."""
        counts: Counter[str] = Counter()
        for each in taken:
            cur.execute("SAVEPOINT request")
            try:
                put = self._create(cur, each.what.facts["request"], each.path)
            except (OwlError, ValueError, psycopg2.DataError) as error:
                # A value that the database does not take is the request's fault, too.
                cur.execute("ROLLBACK TO SAVEPOINT request")
                self._refuse(cur, each, filing.said(" ".join(str(error).split())))
                counts["quarantined"] += 1
            else:
                words = f"{put.added} added, {put.merged} merged, {len(put.refused)} refused"
                arrival_rows.settle(cur, [each.arrival], ArrivalState.QUEUED, reason=words)
                counts["campaigns"] += 1
                counts["queued"] += put.added
        return counts

    def each_round(self, cur: Cursor) -> Mapping[str, int]:  # noqa: ARG002
        """Nothing is due without a file."""
        return {}

    def _create(self, cur: Cursor, request: Request, path: str) -> Put:
        wanted = choose(
            cur,
            self._templates,
            request.type,
            lines=request.datasets or None,
            where=request.where,
            params=request.params,
            source=Path(path).name,
        )
        campaign = Campaign(
            name=request.name,
            type=request.type,
            state=CampaignState.RUNNING,
            priority=request.priority or self._priority,
            source="request",
            detail={"file": path, "where": request.where},
            reason=request.reason,
            created_by=request.by or self._name,
        )
        return campaigns.create(cur, campaign, wanted, add=request.add)

    def _refuse(self, cur: Cursor, each: Taken, why: str) -> None:
        name = each.verdict.name
        target = filing.quarantine_path(self._quarantine, name, each.verdict.sha256)
        facts = {
            "poller": self._name,
            "name": name,
            "reason": why,
            "arrival": each.arrival,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        filing.write_reason(target, facts)
        filing.move(Path(each.path), target)
        arrival_rows.settle(cur, [each.arrival], ArrivalState.QUARANTINED)
        arrival_rows.stays(cur, each.arrival, str(target), why)


def make_poller(declaration: Declaration, settings: Settings) -> FolderPoller:
    """Make a poller of request files."""
    return FolderPoller(declaration, settings, RequestHandler(declaration, settings))
