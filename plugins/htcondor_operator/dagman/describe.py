"""A DAG for eyes and for programs: what ``owl dag show`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from htcondor_operator.dagman.model import Dag, Node, NodeType, Script, WorkflowGraph


def printable(text: str) -> str:
    """Return `text` fit for a terminal: odd bytes and control characters are escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def dag_mapping(dag: Dag, graph: WorkflowGraph) -> dict[str, object]:
    """Return everything that a DAG file says, JSON-able.

    ``nodes`` are in file order, each with its direct ``parents`` and ``children``; ``edges`` are
    ``[parent, child]``; ``order`` is topological and without FINAL, SERVICE and PROVISIONER nodes.
    """
    parents: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    for parent, child in dag.edges:
        parents.setdefault(child, []).append(parent)
        children.setdefault(parent, []).append(child)
    mapping = asdict(dag)
    del mapping["edge_places"]
    mapping["nodes"] = [
        {
            **asdict(node),
            "parents": parents.get(node.name, []),
            "children": children.get(node.name, []),
        }
        for node in dag.nodes.values()
    ]
    mapping["edges"] = [list(edge) for edge in dag.edges]
    mapping["weak_edges"] = [list(edge) for edge in dag.edges if edge in dag.weak_edges]
    mapping["splices"] = list(mapping["splices"].values())
    mapping["order"] = list(graph.nodes)
    return mapping


def dag_table(dag: Dag) -> Table:
    """Return the nodes of a DAG as a table."""
    after: dict[str, list[str]] = {}
    for parent, child in dag.edges:
        mark = " (weak)" if (parent, child) in dag.weak_edges else ""
        after.setdefault(child, []).append(parent + mark)
    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("NODE", "TYPE", "RUNS", "AFTER", "RETRY", "PRIO", "CATEGORY", "AND"):
        table.add_column(title, overflow="fold")
    for node in dag.nodes.values():
        table.add_row(
            *(
                Text(printable(cell))
                for cell in (
                    node.name,
                    node.type.value,
                    _runs(node),
                    ", ".join(after.get(node.name, ())),
                    _retry(node),
                    "" if node.priority is None else str(node.priority),
                    node.category or "",
                    "; ".join(_more(node)),
                )
            )
        )
    return table


def _runs(node: Node) -> str:
    what = "(inline)" if node.submit is None else node.submit
    return what if node.directory is None else f"{what} in {node.directory}"


def _retry(node: Node) -> str:
    if not node.retries:
        return ""
    unless = node.retry_unless_exit
    return str(node.retries) if unless is None else f"{node.retries} unless {unless}"


def _more(node: Node) -> Iterator[str]:
    if node.noop:
        yield "NOOP"
    if node.done:
        yield "DONE"
    yield from (_script(script) for script in node.scripts.values())
    if node.pre_skip is not None:
        yield f"PRE_SKIP {node.pre_skip}"
    if node.abort_exit is not None:
        returns = "" if node.abort_return is None else f" RETURN {node.abort_return}"
        yield f"ABORT-DAG-ON {node.abort_exit}{returns}"
    if node.tolerance is not None:
        percent = "%" if node.tolerance_percent else ""
        yield f"TOLERANCE {node.tolerance}{percent} {node.tolerance_mode or ''}".rstrip()
    if node.save_point is not None:
        yield f"SAVE_POINT_FILE {node.save_point}"
    yield from (f"PIN_IN {pin}" for pin in node.pins_in)
    yield from (f"PIN_OUT {pin}" for pin in node.pins_out)
    yield from (f"{name}={value!r}" for name, value in node.vars.items())


def _script(script: Script) -> str:
    text = f"{script.when} {script.executable} {script.arguments}".rstrip()
    if script.defer_status is not None:
        text += f" (again {script.defer_time} s after exit {script.defer_status})"
    return text


def dag_lines(dag: Dag) -> Iterator[str]:
    """Yield what the file says beside its nodes, one line each."""
    regular = sum(node.type in {NodeType.JOB, NodeType.SUBDAG} for node in dag.nodes.values())
    yield f"{len(dag.nodes)} nodes ({regular} in the graph), {len(dag.edges)} edges"
    for splice in dag.splices.values():
        where = "" if splice.directory is None else f" DIR {splice.directory}"
        yield f"SPLICE {splice.name} {splice.path}{where}"
    yield from (f"INCLUDE {path}" for path in dag.includes)
    for name, text in dag.descriptions.items():
        yield f"SUBMIT-DESCRIPTION {name}: {'; '.join(text.splitlines())}"
    yield from (f"MAXJOBS {category} {limit}" for category, limit in dag.max_jobs.items())
    for keyword, path, options in (
        ("CONFIG", dag.config, ()),
        ("NODE_STATUS_FILE", dag.node_status_file, dag.node_status_options),
        ("JOBSTATE_LOG", dag.jobstate_log, ()),
        ("DOT", dag.dot, dag.dot_options),
    ):
        if path is not None:
            yield " ".join((keyword, path, *options))
    yield from (f"SET_JOB_ATTR {name} = {value}" for name, value in dag.job_attributes.items())
    yield from (f"ENV SET {name}={value}" for name, value in dag.environment.items())
    if dag.environment_get:
        yield f"ENV GET {' '.join(dag.environment_get)}"
    yield from (f"REJECT at {place}: DAGMan refuses to run this DAG" for place in dag.reject)
    yield from (f"WARNING {warning}" for warning in dag.warnings)
