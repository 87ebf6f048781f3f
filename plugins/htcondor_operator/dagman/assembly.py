"""From commands to a :class:`Dag`: names, splices and included files, by DAGMan's own rules.

DAGMan goes through each file twice: first what declares nodes, splices and descriptions, then
everything else in file order. So most commands may come before the node that they name, but a
command about a node of an INCLUDEd file may not come before that INCLUDE.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from htcondor_operator.dagman import commands as c
from htcondor_operator.dagman.grammar import parse_commands
from htcondor_operator.dagman.model import Dag, Node, NodeType, Splice
from htcondor_operator.dagman.node_settings import APPLY
from htcondor_operator.dagman.scope import Edge, Scope, fail

_FIRST_PASS = (
    c.NodeDeclaration,
    c.Description,
    c.SpliceDeclaration,
    c.Reject,
    c.Dot,
    c.NodeStatusFile,
    c.JobstateLog,
)
_DEPTH = 64
"""Files within files. Only a loop of symbolic links, which names cannot show, is deeper."""


class Assembler:
    """Builds one DAG out of one file and all that it includes and splices."""

    def __init__(self, read: Callable[[str], str] | None, base: str) -> None:
        self._read = read
        self._base = base
        self._open: list[str] = []
        self._splices: dict[str, Splice] = {}
        self._includes: list[str] = []
        self._order: dict[int, int] = {}
        self._edges: dict[tuple[int, int], Edge] = {}
        self._parents: set[int] = set()
        self._children: set[int] = set()
        self._dag = Dag()

    def assemble(self, text: str, file: str) -> Dag:
        """Return the DAG that `text` describes."""
        scope = Scope("", "", self._dag.warnings)
        self._file(text, file, posixpath.basename(file), scope, top=True)
        scope.lift()
        dag = self._dag
        for node in sorted(scope.all_nodes(), key=lambda node: self._order[id(node)]):
            dag.nodes[node.name] = node
        for edge in self._edges.values():
            names = (edge.parent.name, edge.child.name)
            dag.edges.append(names)
            dag.edge_places[names] = edge.place
            if edge.weak:
                dag.weak_edges.add(names)
        dag.descriptions = scope.descriptions
        dag.max_jobs = scope.max_jobs
        dag.splices = self._splices
        dag.includes = self._includes
        return dag

    def _file(self, text: str, label: str, path: str, scope: Scope, *, top: bool = False) -> None:
        self._open.append(posixpath.normpath(path))
        commands = list(parse_commands(text, label, top=top))
        for command in commands:
            if isinstance(command, _FIRST_PASS):
                self._declare(command, scope)
        for command in commands:
            if not isinstance(command, _FIRST_PASS):
                self._apply(command, scope)
        self._open.pop()

    def _declare(self, command: c.Command, scope: Scope) -> None:
        match command:
            case c.NodeDeclaration():
                node = scope.add_node(command)
                self._order[id(node)] = len(self._order)
            case c.Description():
                scope.descriptions[command.name] = command.text
            case c.SpliceDeclaration():
                self._splice(command, scope)
            case c.Reject():
                self._dag.reject += (f"{command.file}:{command.line}",)
            case _ if scope.prefix:
                pass  # the files of a splice are not written
            case c.Dot():
                self._dag.dot, self._dag.dot_options = command.path, command.options
            case c.NodeStatusFile() if self._dag.node_status_file is None:
                self._dag.node_status_file = command.path
                self._dag.node_status_options = command.options
            case c.JobstateLog() if self._dag.jobstate_log is None:
                self._dag.jobstate_log = command.path
            case _:
                self._dag.warnings.append(
                    f"{command.file}:{command.line}: DAGMan uses the first such file only"
                )

    def _apply(self, command: c.Command, scope: Scope) -> None:
        match command:
            case c.Include():
                self._include(command, scope)
            case c.Edges():
                parents = [n for name in command.parents for n in scope.ends(command, name, "out")]
                children = [n for name in command.children for n in scope.ends(command, name, "in")]
                self._connect(command, scope, parents, children, weak=command.weak)
            case c.Connect():
                self._connect_pins(command, scope)
            case c.MaxJobs():
                scope.max_jobs[command.category] = command.limit
            case c.NodeSetting():
                for node in scope.find(command, command.node):
                    APPLY[type(command)](scope, node, command)
            case c.Config():
                if self._dag.config not in (None, command.path):
                    fail(command, f"CONFIG: the DAG already has {self._dag.config}; keep one")
                self._dag.config = command.path
            case c.JobAttribute():
                self._dag.job_attributes[command.name] = command.value
            case c.EnvironmentSet():
                self._dag.environment.update(command.variables)
            case c.EnvironmentGet():
                self._dag.environment_get += command.names

    def _open_file(self, command: c.Include | c.SpliceDeclaration, path: str) -> tuple[str, str]:
        """Return the text of a file that a command names, and the name to show for it."""
        if posixpath.normpath(path) in self._open or len(self._open) > _DEPTH:
            fail(
                command,
                f"{path} contains itself; remove the INCLUDE or SPLICE that closes the loop",
            )
        if self._read is None:
            fail(command, f"{path} cannot be read: this text has no folder; give a file instead")
        try:
            text = self._read(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            fail(command, f"{path} cannot be read ({reason}); correct the name or add the file")
        return text, posixpath.join(self._base, path)

    def _include(self, command: c.Include, scope: Scope) -> None:
        path = posixpath.join(scope.folder, command.path)
        text, label = self._open_file(command, path)
        self._includes.append(path)
        self._file(text, label, path, scope)
        scope.lifted = True

    def _splice(self, command: c.SpliceDeclaration, scope: Scope) -> None:
        scope.new_splice_name(command)
        folder = posixpath.join(scope.folder, command.directory or "")
        path = posixpath.join(folder, command.path)
        text, label = self._open_file(command, path)
        full = scope.prefix + command.name
        self._splices[full] = Splice(full, path, command.directory, command.line, command.file)
        inner = Scope(full + "+", folder, self._dag.warnings)
        self._file(text, label, path, inner)
        inner.lift()
        for node in inner.nodes.values():
            if node.type is NodeType.FINAL:
                fail(
                    command, f"SPLICE: {path} has a FINAL node; only the outermost DAG may have one"
                )
        self._record_ends(inner)
        inner.enter(command.name, command.directory)
        scope.splices[command.name] = inner

    def _record_ends(self, scope: Scope) -> None:
        """Remember which nodes an edge to or from the splice connects: they stay the same ones."""
        nodes = scope.nodes.values()
        scope.initial = [node for node in nodes if id(node) not in self._children]
        scope.terminal = [node for node in nodes if id(node) not in self._parents]

    def _connect(
        self,
        command: c.Command,
        scope: Scope,
        parents: list[Node],
        children: list[Node],
        *,
        weak: bool = False,
    ) -> None:
        if not parents or not children:
            fail(command, "PARENT: a splice in it has no nodes; remove it from the line")
        for node in (*parents, *children):
            if node.type in {NodeType.FINAL, NodeType.SERVICE, NodeType.PROVISIONER}:
                fail(
                    command,
                    f"PARENT: {node.type} node {scope.prefix + node.name} can have neither parents "
                    "nor children; remove it from the line",
                )
        for parent in parents:
            for child in children:
                edge = Edge(parent, child, weak, (command.file, command.line))
                known = self._edges.setdefault((id(parent), id(child)), edge)
                known.weak = known.weak and weak
        self._parents.update(map(id, parents))
        self._children.update(map(id, children))

    def _connect_pins(self, command: c.Connect, scope: Scope) -> None:
        for name in (command.parent, command.child):
            if name not in scope.splices:
                fail(command, f"CONNECT: there is no splice {name!r}; declare it with SPLICE")
        outer, inner = scope.splices[command.parent], scope.splices[command.child]
        out, into = max(outer.pins_out, default=0), max(inner.pins_in, default=0)
        if out != into or not out:
            fail(
                command,
                f"CONNECT: splice {command.parent!r} has {out} PIN_OUT and splice "
                f"{command.child!r} has {into} PIN_IN; give both the same number",
            )
        for pin in range(1, out + 1):
            for name, pins, kind in (
                (command.parent, outer.pins_out, "PIN_OUT"),
                (command.child, inner.pins_in, "PIN_IN"),
            ):
                if pin not in pins:
                    fail(command, f"CONNECT: splice {name!r} has no {kind} {pin}; add it")
            self._connect(command, scope, outer.pins_out[pin], inner.pins_in[pin])
        for node in inner.nodes.values():
            if id(node) not in self._children:
                fail(
                    command,
                    f"CONNECT: node {node.name!r} of splice {command.child!r} has no parent and no "
                    "PIN_IN; give it one",
                )
