"""The topology of a DAG: which node waits for which, in an order that respects it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from htcondor_operator.dagman.errors import DagSyntaxError
from htcondor_operator.dagman.model import Dag, NodeType, WorkflowGraph

_REGULAR = frozenset({NodeType.JOB, NodeType.SUBDAG})


def workflow_graph(dag: Dag) -> WorkflowGraph:
    """Return the nodes of `dag` in topological order, and its edges.

    Among nodes that could both come next, the one that the file names first does.

    Raises
    ------
    DagSyntaxError
        If an edge names an unknown node, or edges close a cycle (which is named).
    """
    names = [name for name, node in dag.nodes.items() if node.type in _REGULAR]
    position = {name: number for number, name in enumerate(names)}
    edges = list(dict.fromkeys(dag.edges))
    for edge in edges:
        for name in edge:
            if name not in position:
                kind = f"{dag.nodes[name].type} node" if name in dag.nodes else "unknown node"
                _fail(dag, edge, f"{kind} {name!r} in a dependency; declare it as JOB or remove it")
    ordered = _topological(names, position, edges)
    if len(ordered) < len(names):
        cycle = _cycle(set(names) - set(ordered), edges)
        _fail(dag, (cycle[0], cycle[1]), f"cycle: {' -> '.join(cycle)}; remove one of these edges")
    return WorkflowGraph(tuple(ordered), tuple(edges), frozenset(dag.weak_edges))


def _fail(dag: Dag, edge: tuple[str, str], reason: str) -> None:
    file, line = dag.edge_places.get(edge, ("<dag>", 0))
    raise DagSyntaxError(file, line, reason)


def _topological(
    names: Sequence[str], position: dict[str, int], edges: Sequence[tuple[str, str]]
) -> list[str]:
    """Return what can be ordered; nodes on or below a cycle are left out."""
    children: dict[str, list[str]] = {}
    waiting = dict.fromkeys(names, 0)
    for parent, child in edges:
        children.setdefault(parent, []).append(child)
        waiting[child] += 1
    ready = [position[name] for name in names if not waiting[name]]
    ordered: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        ordered.append(name)
        for child in children.get(name, ()):
            waiting[child] -= 1
            if not waiting[child]:
                heapq.heappush(ready, position[child])
    return ordered


def _cycle(left: set[str], edges: Sequence[tuple[str, str]]) -> list[str]:
    """Return one cycle among `left`, first node repeated at the end.

    Every node that is left has a parent that is left: walking upwards must come round.
    """
    parent_of = {child: parent for parent, child in reversed(edges) if {parent, child} <= left}
    walk = [min(left)]
    seen: dict[str, int] = {}
    while walk[-1] not in seen:
        seen[walk[-1]] = len(walk) - 1
        walk.append(parent_of[walk[-1]])
    return walk[seen[walk[-1]] :][::-1]
