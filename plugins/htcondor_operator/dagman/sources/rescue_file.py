"""A rescue DAG as a source of node states: what was done, and what had failed, when it was written.

DAGMan writes ``DONE`` lines and, as a comment, the nodes that failed::

    # Nodes that failed: 2
    #   a,b,<ENDLIST>
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DONE = re.compile(r"^\s*DONE\s+(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_OLD_DONE = re.compile(
    r"^\s*(?:JOB|NODE|FINAL|SUBDAG\s+EXTERNAL)\s+(\S+)\s.*\sDONE\s*$", re.IGNORECASE | re.MULTILINE
)
_FAILED = re.compile(r"^# Nodes that failed: \d+\s*\n((?:#.*\n?)*)", re.MULTILINE)


@dataclass(frozen=True)
class RescueStates:
    """Nodes by what a rescue DAG says about them."""

    done: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


def parse_rescue_states(text: str) -> RescueStates:
    """Read a partial rescue DAG, or a full one as HTCondor wrote before 7.7.2."""
    done = {*_DONE.findall(text), *_OLD_DONE.findall(text)}
    failed: set[str] = set()
    if listed := _FAILED.search(text):
        names = listed[1].replace("#", "").replace("\n", "").split(",")
        failed = {name.strip() for name in names if name.strip() not in {"", "<ENDLIST>"}}
    # A node that failed above WEAK edges only is listed as failed and as DONE.
    return RescueStates(frozenset(done - failed), frozenset(failed))
