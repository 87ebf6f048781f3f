"""The DAGMan workflow as plain data: what a .dag file says, independent of its syntax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class NodeType(StrEnum):
    """Kinds of node that DAGMan knows."""

    JOB = "JOB"
    SUBDAG = "SUBDAG"
    FINAL = "FINAL"
    SERVICE = "SERVICE"
    PROVISIONER = "PROVISIONER"


@dataclass(frozen=True)
class Script:
    """A PRE, POST or HOLD script of a node."""

    when: str
    executable: str
    arguments: str = ""
    defer_status: int | None = None
    defer_time: int | None = None
    debug_file: str | None = None
    debug_type: str | None = None


@dataclass
class Node:
    """One node with everything the file says about it."""

    name: str
    type: NodeType = NodeType.JOB
    submit: str | None = None
    """Submit file or the name of a SUBMIT-DESCRIPTION; None when the description is inline."""
    inline: str | None = None
    directory: str | None = None
    noop: bool = False
    done: bool = False
    retries: int = 0
    retry_unless_exit: int | None = None
    priority: int | None = None
    category: str | None = None
    vars: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    var_placement: dict[str, str] = field(default_factory=dict)
    """PREPEND or APPEND for those variables whose VARS line says so."""
    pre_skip: int | None = None
    abort_exit: int | None = None
    abort_return: int | None = None
    tolerance: int | None = None
    tolerance_percent: bool = False
    tolerance_mode: str | None = None
    save_point: str | None = None
    pins_in: tuple[int, ...] = ()
    pins_out: tuple[int, ...] = ()
    line: int = 0
    file: str = ""


@dataclass(frozen=True)
class Splice:
    """A DAG file whose nodes are part of this DAG under the names ``splice+node``."""

    name: str
    path: str
    directory: str | None = None
    line: int = 0
    file: str = ""


@dataclass
class Dag:
    """A whole DAG: nodes in file order and directed edges ``(parent, child)``.

    Many-to-many dependencies are spelled out: the ``_condor_join_node`` nodes that DAGMan puts
    between them are its own optimisation (see :func:`is_join_node`).
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    weak_edges: set[tuple[str, str]] = field(default_factory=set)
    """Those of `edges` whose child runs even if the parent fails (WEAK, since 25.13)."""
    edge_places: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """File and line of each edge."""
    splices: dict[str, Splice] = field(default_factory=dict)
    includes: list[str] = field(default_factory=list)
    descriptions: dict[str, str] = field(default_factory=dict)
    max_jobs: dict[str, int] = field(default_factory=dict)
    config: str | None = None
    node_status_file: str | None = None
    node_status_options: tuple[str, ...] = ()
    jobstate_log: str | None = None
    dot: str | None = None
    dot_options: tuple[str, ...] = ()
    job_attributes: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    environment_get: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    """``file:line`` of each REJECT: DAGMan refuses to run such a DAG."""
    warnings: list[str] = field(default_factory=list)
    """What can be understood, but not by DAGMan 25.14 itself, or is not used by it."""


def is_join_node(name: str) -> bool:
    """Whether DAGMan made this node itself, between several parents and several children."""
    return name.rpartition("+")[2].startswith("_condor_join_node")


@dataclass(frozen=True)
class WorkflowGraph:
    """The topology that everybody else works with: nodes in topological order, and edges.

    FINAL, SERVICE and PROVISIONER nodes are not part of it: they cannot be DONE in a rescue.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    weak_edges: frozenset[tuple[str, str]] = frozenset()

    @staticmethod
    def from_mapping(value: Mapping[str, object]) -> WorkflowGraph:
        """Build a graph from :meth:`as_mapping`'s result (the blackboard keeps that as JSON)."""
        nodes = value["nodes"]
        edges = value["edges"]
        assert isinstance(nodes, list)
        assert isinstance(edges, list)
        weak = value.get("weak_edges", [])
        assert isinstance(weak, list)
        return WorkflowGraph(
            tuple(nodes), tuple((a, b) for a, b in edges), frozenset((a, b) for a, b in weak)
        )

    def as_mapping(self) -> dict[str, object]:
        """Return a JSON-able form."""
        mapping: dict[str, object] = {
            "nodes": list(self.nodes),
            "edges": [list(edge) for edge in self.edges],
        }
        if self.weak_edges:
            mapping["weak_edges"] = [list(edge) for edge in sorted(self.weak_edges)]
        return mapping

    def parents(self, name: str) -> tuple[str, ...]:
        """Return the direct parents of a node."""
        return tuple(a for a, b in self.edges if b == name)

    def _closure(self, names: set[str], index: Mapping[str, list[str]]) -> frozenset[str]:
        seen: set[str] = set()
        todo = list(names)
        while todo:
            for other in index.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return frozenset(seen)

    def descendants(self, names: set[str]) -> frozenset[str]:
        """Return all nodes below any of `names` (those themselves only if below another)."""
        index: dict[str, list[str]] = {}
        for a, b in self.edges:
            index.setdefault(a, []).append(b)
        return self._closure(names, index)

    def ancestors(self, names: set[str]) -> frozenset[str]:
        """Return all nodes above any of `names`."""
        index: dict[str, list[str]] = {}
        for a, b in self.edges:
            index.setdefault(b, []).append(a)
        return self._closure(names, index)
