"""Associations on their way to the queue: members and tables come in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows, association_rows
from htcondor_operator.blackboard.association_rows import AssociationRow
from htcondor_operator.blackboard.catalogue import archived_members
from htcondor_operator.blackboard.queue_entries import (
    NewEntry,
    WhenOpen,
    add_entries,
    entry_ids,
    inform,
    resolve,
)
from htcondor_operator.queue.fitting import payload_fault
from htcondor_operator.queue.pollers.associations import Collection, Decision, Member, Step, decide
from htcondor_operator.queue.pollers.verdicts import Taken
from htcondor_operator.vocabulary import (
    ArrivalState,
    AssociationState,
    EntryState,
    Informational,
)

COLLECTING = Informational.COLLECTING_ASN_SCI


@dataclass(frozen=True)
class Collector:
    """Collects the associations of one poller.

    Parameters
    ----------
    poller, instrument, priority
        Of the entries that it makes.
    workflow, single_workflow
        Of associations, and of exposures that turn out not to belong to one.
    seconds
        How long an association waits for its members.
    templates
        Folder of the workflows: what does not fit its workflow is held, not run.
    """

    poller: str
    instrument: str | None
    priority: int
    workflow: str
    single_workflow: str
    seconds: float
    templates: Path

    def collect(
        self, cur: Cursor, exposures: Sequence[Taken], tables: Sequence[Taken]
    ) -> Counter[str]:
        """Take exposures of associations, and tables; queue what is complete with them."""
        members = [(str(t.what.facts["association"]), t) for t in exposures]
        names = sorted({name for name, _ in members} | {_fileset(t) for t in tables})
        if not names:
            return Counter()
        for name in names:
            association_rows.open_association(
                cur, name, self.workflow, priority=self.priority, seconds=self.seconds
            )
        for table in tables:
            listed = table.what.facts["members"]
            association_rows.set_table(cur, _fileset(table), self.workflow, listed)
            association_rows.reopen(cur, _fileset(table), self.workflow, self.seconds)
        for name, taken in members:
            digest = taken.what.facts.get("raw_sha256")
            if association_rows.add_member(cur, name, self.workflow, _fileset(taken), digest):
                association_rows.reopen(cur, name, self.workflow, self.seconds)
        arrival_rows.settle(
            cur,
            [t.arrival for t in (*exposures, *tables)],
            ArrivalState.COLLECTED,
            type_=self.workflow,
            reason="waits for its association",
        )
        return Counter(collected=len(exposures) + len(tables)) + self._go_on(cur, names)

    def expire(self, cur: Cursor) -> Counter[str]:
        """Let associations go on whose deadline is over."""
        names = association_rows.due(cur, self.workflow)
        return self._go_on(cur, names) if names else Counter()

    def _go_on(self, cur: Cursor, names: Sequence[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        now = association_rows.now(cur)
        for row in association_rows.load(cur, self.workflow, names):
            collection = _collection(row)
            if row.state is AssociationState.COLLECTING:
                counts.update(self._apply(cur, collection, decide(collection, now)))
            counts.update(self._run_alone(cur, collection))
        return counts

    def _apply(self, cur: Cursor, collection: Collection, decision: Decision) -> Counter[str]:
        name = collection.association
        if decision.step in {Step.WAIT, Step.EXTEND}:
            if decision.step is Step.EXTEND:
                association_rows.extend(cur, name, self.workflow, self.seconds)
            inform(cur, name, COLLECTING, decision.reason, requested_by=self.poller)
            return Counter()
        digests = {m.name: m.sha256 for m in collection.arrived}
        archived = archived_members(cur, digests)
        payload = {
            "members": sorted(set(digests) - archived),
            "archived": sorted(archived),
        }
        self._enter(
            cur,
            name,
            self.workflow,
            reason=decision.reason,
            payload=payload,
            filesets=[*digests, name],
        )
        expired = decision.step is Step.EXPIRED
        state = AssociationState.EXPIRED if expired else AssociationState.QUEUED
        association_rows.set_state(cur, name, self.workflow, state, payload)
        resolve(cur, COLLECTING, [name])
        return Counter({"associations_expired" if expired else "associations": 1})

    def _run_alone(self, cur: Cursor, collection: Collection) -> Counter[str]:
        """Queue exposures alone that the association's table does not list."""
        counts: Counter[str] = Counter()
        for member in collection.unlisted:
            if arrival_rows.collected_of(cur, [member.name], self.workflow):
                reason = f"the table of {collection.association} does not list it"
                self._enter(
                    cur,
                    member.name,
                    self.single_workflow,
                    reason=reason,
                    payload={},
                    filesets=[member.name],
                )
                counts["queued"] += 1
        return counts

    def _enter(
        self,
        cur: Cursor,
        fileset: str,
        type_: str,
        *,
        reason: str,
        payload: dict[str, list[str]],
        filesets: Iterable[str],
    ) -> None:
        """Make an entry and say so in the journal of the files that it is made of."""
        fault = payload_fault(self.templates, type_, payload)
        if fault is not None:
            reason = f"{reason}; held: {fault}"
        entry = NewEntry(
            fileset=fileset,
            type=type_,
            priority=self.priority,
            payload=payload,
            instrument=self.instrument,
            reason=reason,
            requested_by=self.poller,
            state=EntryState.WAITING if fault is None else EntryState.HELD,
        )
        add_entries(cur, [entry], when_open=WhenOpen.WAIT)
        number = entry_ids(cur, type_, [fileset])[fileset]
        arrivals = [n for n, _ in arrival_rows.collected_of(cur, filesets, self.workflow)]
        arrival_rows.settle(
            cur,
            arrivals,
            ArrivalState.QUEUED,
            type_=type_,
            reason=reason,
            entries=dict.fromkeys(arrivals, number),
        )


def _fileset(taken: Taken) -> str:
    return str(taken.what.fileset)


def _collection(row: AssociationRow) -> Collection:
    members = tuple(Member(**member) for member in row.members)
    return Collection(row.association, row.complete_list, row.deadline, members)
