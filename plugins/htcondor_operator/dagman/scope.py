"""One DAG file's own names, before they are lifted into the DAG that splices it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NoReturn

from htcondor_operator.dagman import commands as c
from htcondor_operator.dagman.errors import DagSyntaxError
from htcondor_operator.dagman.lexer import is_keyword
from htcondor_operator.dagman.model import Node, NodeType
from htcondor_operator.dagman.node_grammar import ALL_NODES

_SUBMIT_SUFFIX = ".condor.sub"
_REGULAR = frozenset({NodeType.JOB, NodeType.SUBDAG})


def fail(command: c.Command, reason: str) -> NoReturn:
    """Raise the error of a command."""
    raise DagSyntaxError(command.file, command.line, reason)


@dataclass(slots=True)
class Edge:
    """A dependency between two nodes, whose names change while splices are lifted."""

    parent: Node
    child: Node
    weak: bool
    place: tuple[str, int]


class Scope:
    """Nodes, splices, descriptions and categories that a file (with its INCLUDEs) declares.

    Parameters
    ----------
    prefix
        Full name of the splice with a ``+`` behind it; "" for the outermost DAG.
    folder
        Where DAGMan stands when it reads this file: the splices' DIRs, joined.
    warnings
        Where to leave them.
    """

    def __init__(self, prefix: str, folder: str, warnings: list[str]) -> None:
        self.prefix = prefix
        self.folder = folder
        self.warnings = warnings
        # DAGMan lifts the splices as soon as it has read an INCLUDE: their nodes get names in
        # this file, and their own names are gone (measured with 25.14.1).
        self.lifted = False
        self.nodes: dict[str, Node] = {}
        # DAGMan keeps these apart: ALL_NODES never means them, nor are they a splice's ends.
        self.service: dict[str, Node] = {}
        self.splices: dict[str, Scope] = {}
        self.descriptions: dict[str, str] = {}
        self.max_jobs: dict[str, int] = {}
        self.pins_in: dict[int, list[Node]] = {}
        self.pins_out: dict[int, list[Node]] = {}
        self.initial: list[Node] = []
        self.terminal: list[Node] = []

    def all_nodes(self) -> Iterator[Node]:
        """Yield every node, SERVICE nodes too."""
        yield from self.nodes.values()
        yield from self.service.values()

    def add_node(self, d: c.NodeDeclaration) -> Node:
        """Add a declared node."""
        self._new_name(d, d.name)
        if d.type in {NodeType.FINAL, NodeType.PROVISIONER}:
            for other in self.nodes.values():
                if other.type is d.type:
                    fail(
                        d,
                        f"{d.type}: the DAG already has {other.name!r} ({other.file}:{other.line})"
                        "; keep one",
                    )
        if (d.submit or "").endswith(_SUBMIT_SUFFIX) and d.type not in {
            NodeType.SUBDAG,
            NodeType.FINAL,
        }:
            fail(
                d,
                f"{d.type}: {d.submit!r} is DAGMan's own submit file; write: SUBDAG EXTERNAL "
                f"{d.name} {(d.submit or '').removesuffix(_SUBMIT_SUFFIX)}",
            )
        if d.done and d.type not in _REGULAR:
            self._warn(d, f"{d.type}: such a node cannot be DONE; it will run")
        node = Node(
            name=d.name,
            type=d.type,
            submit=d.submit,
            inline=d.inline,
            directory=d.directory,
            noop=d.noop,
            done=d.done and d.type in _REGULAR,
            line=d.line,
            file=d.file,
        )
        (self.service if d.type is NodeType.SERVICE else self.nodes)[d.name] = node
        return node

    def new_splice_name(self, d: c.SpliceDeclaration) -> None:
        """Refuse a splice's name that is taken."""
        self._new_name(d, d.name)

    def _new_name(self, command: c.Command, name: str) -> None:
        if name in self.splices:
            fail(command, f"{name!r} is already the name of a splice; choose another name")
        other = self.nodes.get(name) or self.service.get(name)
        if other is not None:
            fail(
                command,
                f"there is already a node {name!r} ({other.file}:{other.line}); "
                "choose another name",
            )

    def find(self, command: c.NodeSetting, name: str) -> list[Node]:
        """Return the nodes that a command is about; refuse a name that is none's."""
        if is_keyword(name, ALL_NODES) and not isinstance(command, c.Done | c.Pin):
            found = [node for node in self.nodes.values() if node.type in _REGULAR]
        else:
            node = self._node(command, name)
            found = [] if node is None else [node]
        if not found:
            fail(command, self._unknown(name))
        return found

    def ends(self, command: c.Edges, name: str, side: Literal["in", "out"]) -> list[Node]:
        """Return the node of that name, or a splice's first or last nodes."""
        splice = self.splices.get(name)
        if splice is not None:
            if self.lifted:
                self._warn(
                    command, f"DAGMan knows no splice {name!r} after an INCLUDE; put it before"
                )
            return splice.initial if side == "in" else splice.terminal
        node = self._node(command, name)
        if node is None:
            fail(command, f"PARENT: {self._unknown(name)}")
        return [node]

    def _node(self, command: c.Command, name: str) -> Node | None:
        """Find a node of this file, or one of a splice by its full name.

        condor_dag_checker and HTCondor's own tests know ``splice+node`` in the file that splices;
        condor_dagman does not (25.14.1: "Node S+A not found!"; after VARS it even crashes).
        """
        node = self.nodes.get(name) or self.service.get(name)
        if node is None and "+" in name:
            for splice_name, splice in self.splices.items():
                if name.startswith(splice_name + "+"):
                    node = splice.nodes.get(name) or splice.service.get(name)
                    if node is not None and not self.lifted:
                        self._warn(
                            command, f"DAGMan does not know {name!r} here; say it in {node.file}"
                        )
        return node

    def _warn(self, command: c.Command, warning: str) -> None:
        self.warnings.append(f"{command.file}:{command.line}: {warning}")

    def _unknown(self, name: str) -> str:
        if name in self.splices:
            return f"{name!r} is a splice; put the command into the splice's own file"
        similar = [known for known in (*self.nodes, *self.service) if known.lower() == name.lower()]
        hint = f"; did you mean {similar[0]!r}?" if similar else "; declare it or correct the name"
        return f"there is no node {name!r}{hint}"

    def lift(self) -> None:
        """Take over the nodes, descriptions and categories of all splices."""
        # By name, as DAGMan's map does: it decides which of two descriptions of one name is used.
        for _, splice in sorted(self.splices.items()):
            self.nodes.update(splice.nodes)
            self.service.update(splice.service)
            for name, text in splice.descriptions.items():
                self.descriptions.setdefault(name, text)
            for category, limit in splice.max_jobs.items():
                self.max_jobs.setdefault(category, limit)
        self.splices = {}

    def enter(self, name: str, directory: str | None) -> None:
        """Put the splice's name before its nodes and categories, and its DIR before theirs."""
        for node in self.all_nodes():
            node.name = f"{name}+{node.name}"
            if node.category is not None:
                node.category = _scoped(name, node.category)
            if directory is not None:
                node.directory = posixpath.join(directory, node.directory or "").rstrip("/") or "/"
        self.nodes = {node.name: node for node in self.nodes.values()}
        self.service = {node.name: node for node in self.service.values()}
        self.max_jobs = {_scoped(name, key): limit for key, limit in self.max_jobs.items()}


def _scoped(splice: str, category: str) -> str:
    """Return the category's name in the outer DAG; those that begin with '+' are global."""
    return category if category.startswith("+") else f"{splice}+{category}"
