"""Kind ``jitter``: jitter files go to their place, and exposures that waited for them go on.

The exposure's own poller lets it go on (:mod:`.jitter`), within its interval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from psycopg2.extensions import cursor as Cursor

from htcondor_operator.blackboard import arrival_rows
from htcondor_operator.queue.pollers.arrivals import FolderPoller
from htcondor_operator.queue.pollers.declarations import Declaration
from htcondor_operator.queue.pollers.fits_header import Unreadable, read_fits
from htcondor_operator.queue.pollers.options import Options
from htcondor_operator.queue.pollers.verdicts import Examined, Taken
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ArrivalState

_NAME = re.compile(
    r"(?P<root>[a-z0-9][a-z0-9+\-]{0,40})(?:_jit\.fits(?P<packed>\.gz)?|(?P<plain>\.jit))", re.ASCII
)


def make_poller(declaration: Declaration, settings: Settings) -> FolderPoller:
    """Make a poller of jitter files."""
    Options(declaration).nothing_else()
    return FolderPoller(declaration, settings, JitterHandler(settings))


class JitterHandler:
    """What is done with jitter files."""

    once = True

    def __init__(self, settings: Settings) -> None:
        self._incoming = settings.incoming

    def examine(self, name: str, stream: BinaryIO, size: int) -> Examined:  # noqa: ARG002
        """Check name and headers."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise Unreadable("its name is not <root>_jit.fits[.gz] or <root>.jit")
        if not match["plain"]:
            said = read_fits(stream, packed=bool(match["packed"])).hdus[0].text("ROOTNAME").lower()
            if said and said != match["root"]:
                raise Unreadable(f"its ROOTNAME is {said!r}, but its name says {match['root']!r}")
        return Examined(match["root"], "jitter")

    def place(self, name: str) -> Path:
        """Return where the payload's nodes read deliveries."""
        return self._incoming / name

    def route(self, cur: Cursor, taken: Sequence[Taken]) -> Mapping[str, int]:
        """Write that they are there; that is what exposures wait for."""
        arrival_rows.settle(cur, [t.arrival for t in taken], ArrivalState.STORED)
        return {"stored": len(taken)}

    def each_round(self, cur: Cursor) -> Mapping[str, int]:  # noqa: ARG002
        """Nothing is due here."""
        return {}
