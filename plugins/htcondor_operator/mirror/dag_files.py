"""What the mirror must know of a DAG file: which nodes change without an event of their job."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from htcondor_operator.dagman.parser import read_dag
from htcondor_operator.vocabulary import OwlError

log = logging.getLogger(__name__)

# Nothing else makes a node change silently, and most DAG files have none of it.
_HINT = re.compile(
    r"^\s*(?:SCRIPT|PRE_SKIP|SPLICE|INCLUDE)\s|\bNOOP\b", re.IGNORECASE | re.MULTILINE
)
_STATUS = re.compile(r"^\s*NODE_STATUS_FILE\s+(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class DagFacts:
    """The facts of one DAG file."""

    status_file: Path | None = None
    silent: bool = False
    """Whether some node has a script or runs no job."""
    with_post: frozenset[str] = frozenset()
    """Nodes whose POST script decides, not their job."""


def dag_facts(dag_file: str | None) -> DagFacts:
    """Return the facts of a DAG file; those of a file that cannot be read are empty."""
    if dag_file is None:
        return DagFacts()
    try:
        return _facts(dag_file, Path(dag_file).stat().st_mtime_ns)
    except (OSError, OwlError) as error:
        log.warning("%s: scripts and status file are not known: %s", dag_file, error)
        return DagFacts()


@lru_cache(maxsize=4096)
def _facts(dag_file: str, _changed: int) -> DagFacts:
    path = Path(dag_file)
    text = path.read_text(errors="replace")
    named = _STATUS.search(text)
    status = path.parent / named[1].strip('"') if named else None
    if _HINT.search(text) is None:
        return DagFacts(status)
    nodes = read_dag(path).nodes.values()
    return DagFacts(
        status_file=status,
        silent=any(node.scripts or node.noop for node in nodes),
        with_post=frozenset(node.name for node in nodes if "POST" in node.scripts),
    )
