"""What has to run again, and the rescue file that tells DAGMan so.

``htcondor2.dags.rescue`` is not used: it parses with ``lstrip("DONE ")`` and eats the first
letters of node names (``NODE_A`` becomes ``_A``; seen in 25.14.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from htcondor_operator.dagman.errors import DagSyntaxError, Refused
from htcondor_operator.dagman.lexer import Lexer, Lines, is_keyword, whole_number
from htcondor_operator.dagman.model import WorkflowGraph
from htcondor_operator.vocabulary import ErrorKind, NodeState, OwlError


@dataclass(frozen=True)
class RescuePlan:
    """Each node of the graph once, in topological order.

    Parameters
    ----------
    done
        Nodes that DAGMan must not run again. Closed over ancestors.
    rerun
        All others.
    """

    done: tuple[str, ...]
    rerun: tuple[str, ...]


@dataclass(frozen=True)
class Rescue:
    """What a rescue file says.

    DAGMan's own files also name its join nodes (see ``model.is_join_node``). They need not be
    DONE: a join node runs no job, and children that are DONE are not started again.
    """

    done: tuple[str, ...] = ()
    retries: dict[str, int] = field(default_factory=dict)


def plan_rescue(
    graph: WorkflowGraph,
    states: Mapping[str, NodeState],
    cleared: Collection[str],
    marked_done: Collection[str] = (),
) -> RescuePlan:
    """Decide which nodes stay done and which run again.

    A node stays done if it succeeded, or an operator marked it so, and neither it nor an ancestor
    was cleared, and all its ancestors stay done. A node that failed with only WEAK dependencies
    below it counts as done unless it was cleared, as in DAGMan's own rescue files.

    Parameters
    ----------
    graph
        The workflow. FINAL, SERVICE and PROVISIONER nodes are not part of it and never done.
    states
        Last known state of each node; a node without one has not run.
    cleared
        Nodes that an operator wants to run again.
    marked_done
        Nodes that an operator declares successful. A clear is stronger.

    Raises
    ------
    OwlError
        If a cleared or marked node is not in the graph.
    """
    known = set(graph.nodes)
    for what, names in (("cleared", cleared), ("marked done", marked_done)):
        for name in names:
            if name not in known:
                raise OwlError(
                    ErrorKind.BAD_NAME,
                    f"{what} node {name!r} is not in the workflow's graph; choose one of its "
                    f"{len(known)} JOB or SUBDAG nodes.",
                )
    again = set(cleared) | graph.descendants(set(cleared))
    satisfied = {name for name in known if states.get(name) == NodeState.DONE}
    satisfied |= {name for name in _weakly_done(graph) if states.get(name) == NodeState.FAILED}
    satisfied |= set(marked_done)
    parents = _parents(graph)
    done: dict[str, None] = {}
    for name in graph.nodes:
        if name in satisfied and name not in again and all(p in done for p in parents[name]):
            done[name] = None
    rerun = tuple(name for name in graph.nodes if name not in done)
    return RescuePlan(tuple(done), rerun)


def _parents(graph: WorkflowGraph) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for parent, child in graph.edges:
        parents[child].append(parent)
    return parents


def _weakly_done(graph: WorkflowGraph) -> set[str]:
    """Return nodes with children whose every dependency is WEAK."""
    weak = {parent for parent, _ in graph.weak_edges}
    return weak - {edge[0] for edge in graph.edges if edge not in graph.weak_edges}


def rescue_text(
    plan: RescuePlan,
    *,
    dag_file: str,
    failed: Collection[str] = (),
    retries: Mapping[str, int] | None = None,
    created: datetime | None = None,
) -> str:
    """Return the rescue file of a plan, in DAGMan's own (partial) format.

    Parameters
    ----------
    dag_file
        Name of the DAG file, for the head.
    failed
        Nodes to list as failed in the head.
    retries
        Retries left to a node, if they are not to begin anew.
    created
        Time for the head; now by default.
    """
    when = (created or datetime.now(tz=UTC)).astimezone(UTC)
    stamp = f"{when.month}/{when.day}/{when.year} {when:%H:%M:%S}"
    head = [
        "# Rescue DAG file, created after running",
        f"#   the {dag_file} DAG file",
        f"# Created {stamp} UTC",
        "# Rescue DAG version: 2.1.0 (partial)",
        "#",
        f"# Total number of Nodes: {len(plan.done) + len(plan.rerun)}",
        f"# Nodes premarked DONE: {len(plan.done)}",
        f"# Nodes that failed: {len(failed)}",
        f"#   {''.join(f'{name},' for name in failed)}<ENDLIST>",
        "",
    ]
    body = [f"DONE {name}" for name in plan.done]
    body += [f"RETRY {name} {left}" for name, left in (retries or {}).items()]
    return "".join(f"{line}\n" for line in (*head, *body))


def parse_rescue(text: str, *, file: str = "<rescue>") -> Rescue:
    """Read a rescue file (or a save-point file): its DONE and RETRY commands.

    Raises
    ------
    DagSyntaxError
        If a command is malformed, or the file is a whole DAG rather than a rescue file.
    """
    done: dict[str, None] = {}
    retries: dict[str, int] = {}
    for line in Lines(text, file):
        try:
            words = Lexer(line.text)
            keyword, node = words.word(), words.word()
            if not (is_keyword(keyword, "DONE") or is_keyword(keyword, "RETRY")):
                raise Refused(
                    f"{keyword!r} is not DONE or RETRY; is this a DAG file and not its rescue file?"
                )
            if not node:
                raise Refused(f"{keyword.upper()}: the node's name is missing; add it")
            if is_keyword(keyword, "DONE"):
                _end(words)
                done[node] = None
            else:
                retries[node] = _retries(words)
        except Refused as refused:
            raise DagSyntaxError(file, line.number, str(refused)) from None
    return Rescue(tuple(done), retries)


def _retries(words: Lexer) -> int:
    word = words.word()
    number = whole_number(word)
    if number is None or number < 0:
        raise Refused(f"RETRY: {word!r} is not a number of retries; write: RETRY <node> <number>")
    if option := words.word():
        if not is_keyword(option, "UNLESS_EXIT") or whole_number(words.word()) is None:
            raise Refused(f"RETRY: unexpected {option!r}; write: UNLESS-EXIT <code>, or nothing")
        _end(words)
    return number


def _end(words: Lexer) -> None:
    if word := words.word():
        raise Refused(f"unexpected {word!r}; remove it")
