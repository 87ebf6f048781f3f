"""What a poller is, and which kinds there are.

A kind is one line of :data:`KINDS`: its name in ``include/pollers.yaml`` and the function that
makes its poller. The module is imported only by the process that polls.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError

if TYPE_CHECKING:
    from htcondor_operator.queue.pollers.declarations import Declaration


@dataclass(frozen=True)
class RoundResult:
    """What a poller found in one round.

    Parameters
    ----------
    found
        How many things; more than none may end the DAG run, so that operators see it.
    counts
        The same by sort, for people: ``{"queued": 3, "quarantined": 1}``.
    note
        A sentence for the heartbeat.
    more
        There is more at once: the next round does not wait for the interval.
    """

    found: int
    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    more: bool = False


class Poller(Protocol):
    """Something that looks again and again.

    Everything that a round needs to know is in the database and in files, so that a poller that
    was killed at any point loses nothing and does nothing twice. Rounds of one poller never
    overlap, and come from one thread.
    """

    def round(self) -> RoundResult:
        """Look once. An exception is shown by the heartbeat; the next round comes later."""

    def close(self) -> None:
        """Give connections back."""


class Factory(Protocol):
    """Makes a poller of its declaration; an :class:`OwlError` names what is wrong with it."""

    def __call__(self, declaration: Declaration, settings: Settings) -> Poller:
        """Make the poller. Nothing is connected before its first round."""


KINDS: dict[str, str] = {
    "telemetry": "htcondor_operator.queue.pollers.telemetry_poller:make_poller",
    "checksum": "htcondor_operator.queue.pollers.checksum_poller:make_poller",
    "delivery": "htcondor_operator.queue.pollers.delivery_poller:make_poller",
    "engineering": "htcondor_operator.queue.pollers.engineering_poller:make_poller",
    "jitter": "htcondor_operator.queue.pollers.jitter_poller:make_poller",
    "shoveler": "htcondor_operator.queue.shoveler.poller:make_poller",
    "requests": "htcondor_operator.queue.campaigns.request_poller:make_poller",
    "rescue": "htcondor_operator.queue.campaigns.rescue_poller:make_poller",
    "references": "htcondor_operator.queue.campaigns.reference_poller:make_poller",
    "alerts": "htcondor_operator.alerts.poller:make_poller",
}
"""Kind -> ``module:function``, a :class:`Factory`."""


def make_poller(declaration: Declaration, settings: Settings) -> Poller:
    """Make the poller that a declaration asks for.

    Raises
    ------
    OwlError
        ``BAD_CONF``, when the kind is not known or its options are wrong.
    """
    module, _, name = KINDS.get(declaration.kind, "").partition(":")
    if not module:
        raise OwlError(ErrorKind.BAD_CONF, unknown_kind(declaration.name, declaration.kind))
    factory = cast("Factory", getattr(importlib.import_module(module), name))
    return factory(declaration, settings)


def unknown_kind(poller: str, kind: object) -> str:
    """Return the sentence about a kind that does not exist."""
    return f"Poller {poller}: kind {kind!r} is not known. Use one of: {', '.join(sorted(KINDS))}."
