"""What a poller says of one delivered file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from htcondor_operator.queue.pollers.scanning import Found


@dataclass(frozen=True)
class Examined:
    """What a good file is.

    Parameters
    ----------
    fileset
        Dataset that it belongs to.
    use
        What its kind of poller does with it (``exposure``, ``table``, ``companion``).
    facts
        What was found in it.
    """

    fileset: str | None = None
    use: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a file is, and whether it is good.

    Parameters
    ----------
    found
        As the scanner saw it.
    sha256
        Digest of the file as delivered; empty when it could not be read.
    bytes
        Its size.
    what
        What it is.
    fault
        Why it goes into quarantine.
    """

    found: Found
    sha256: str
    bytes: int
    what: Examined = field(default_factory=Examined)
    fault: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.found.name


@dataclass(frozen=True)
class Taken:
    """A good file in its place, with its row of the journal."""

    arrival: int
    verdict: Verdict
    path: str

    @property
    def what(self) -> Examined:
        """What it is."""
        return self.verdict.what
