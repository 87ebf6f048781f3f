"""Tells the blackboard what the collector knows of the pool, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from htcondor_operator.blackboard.pool_rows import Machine, Slot, write_snapshot
from htcondor_operator.condor.bindings import Bindings, BindingsError, ScheddSilent

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
PROJECTION = (
    "Name", "Machine", "SlotType", "PartitionableSlot", "DynamicSlot", "State", "Activity",
    "Cpus", "Memory", "Disk", "GPUs", "LoadAvg", "RemoteOwner", "JobId",
    "EnteredCurrentState", "TotalCpus", "TotalMemory", "TotalGPUs", "CondorVersion",
)  # fmt: skip


class PoolWatch(threading.Thread):
    """Asks the collector now and then. No answer means nothing: the old snapshot ages."""

    def __init__(self, bindings: Bindings, connect: Callable[[], Connection]) -> None:
        super().__init__(name="pool", daemon=True)
        self._bindings = bindings
        self._connect = connect
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def run(self) -> None:
        """Ask until stopped."""
        while not self._stopped.wait(EVERY_SECONDS if self._looked() else EVERY_SECONDS * 3):
            pass

    def _looked(self) -> bool:
        try:
            ads = self._bindings.slots(PROJECTION)
            with closing(self._connect()) as connection, connection, connection.cursor() as cur:
                write_snapshot(cur, *snapshot(ads))
        except (BindingsError, ScheddSilent, psycopg2.Error) as error:
            log.warning("the pool is not told: %s", str(error).strip())
            return False
        except Exception:  # a mistake here must not end the thread
            log.exception("the pool is not told")
            return False
        return True


def snapshot(ads: Sequence[Mapping[str, Any]]) -> tuple[list[Slot], list[Machine]]:
    """Return slots and machines of the collector's ads; the latest of two with one name counts."""
    slots = {slot.name: slot for slot in map(_slot, ads)}
    machines = {machine.machine: machine for machine in map(_machine, ads)}
    return list(slots.values()), list(machines.values())


def _slot(ad: Mapping[str, Any]) -> Slot:
    since = ad.get("EnteredCurrentState")
    kind = ad.get("SlotType") or "Static"
    return Slot(
        name=str(ad["Name"]),
        machine=str(ad["Machine"]),
        kind=str(kind),
        state=str(ad.get("State", "Unknown")),
        activity=str(ad.get("Activity", "Unknown")),
        cpus=float(ad.get("Cpus") or 0),
        memory_mb=float(ad.get("Memory") or 0),
        disk_mb=float(ad.get("Disk") or 0) / 1024,
        gpus=float(ad.get("GPUs") or 0),
        load=None if ad.get("LoadAvg") is None else float(ad["LoadAvg"]),
        owner=ad.get("RemoteOwner"),
        job=ad.get("JobId"),
        since=datetime.fromtimestamp(since, UTC) if isinstance(since, int) else None,
    )


def _machine(ad: Mapping[str, Any]) -> Machine:
    return Machine(
        machine=str(ad["Machine"]),
        cpus=float(ad.get("TotalCpus") or 0),
        memory_mb=float(ad.get("TotalMemory") or 0),
        gpus=float(ad.get("TotalGPUs") or 0),
        software=ad.get("CondorVersion"),
    )
