"""What each command about one node changes in it, and which nodes it may not be about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from htcondor_operator.dagman import commands as c
from htcondor_operator.dagman.model import Node, NodeType
from htcondor_operator.dagman.scope import Scope, fail

_REGULAR = frozenset({NodeType.JOB, NodeType.SUBDAG})


def _regular(node: Node, command: c.NodeSetting, what: str) -> None:
    if node.type not in _REGULAR:
        fail(command, f"{node.type} node {node.name!r} cannot have {what}; remove the line")


def _script(_: Scope, node: Node, command: c.ScriptSetting) -> None:
    node.scripts[command.script.when] = command.script


def _retry(_: Scope, node: Node, command: c.Retry) -> None:
    _regular(node, command, "RETRY")
    node.retries = command.retries
    if command.unless_exit is not None:
        # A later RETRY without UNLESS-EXIT does not take it away.
        node.retry_unless_exit = command.unless_exit


def _abort(_: Scope, node: Node, command: c.AbortDagOn) -> None:
    if node.type is NodeType.FINAL:
        fail(command, f"FINAL node {node.name!r} cannot have ABORT-DAG-ON; remove the line")
    node.abort_exit, node.abort_return = command.exit_code, command.returns


def _vars(_: Scope, node: Node, command: c.Vars) -> None:
    for name, value in command.pairs:
        # A variable that is set again keeps its first place.
        if command.placement is not None and name not in node.vars:
            node.var_placement[name] = command.placement
        node.vars[name] = value


def _priority(_: Scope, node: Node, command: c.Priority) -> None:
    _regular(node, command, "PRIORITY")
    node.priority = command.priority


def _pre_skip(_: Scope, node: Node, command: c.PreSkip) -> None:
    node.pre_skip = command.exit_code


def _tolerance(_: Scope, node: Node, command: c.Tolerance) -> None:
    node.tolerance = command.failures
    node.tolerance_percent = command.percent
    node.tolerance_mode = command.mode


def _done(_: Scope, node: Node, command: c.Done) -> None:
    _regular(node, command, "DONE")
    node.done = True


def _save_point(_: Scope, node: Node, command: c.SavePoint) -> None:
    _regular(node, command, "SAVE_POINT_FILE")
    node.save_point = command.path


def _category(_: Scope, node: Node, command: c.Category) -> None:
    _regular(node, command, "CATEGORY")
    node.category = command.category


def _pin(scope: Scope, node: Node, command: c.Pin) -> None:
    pins = scope.pins_in if command.incoming else scope.pins_out
    pins.setdefault(command.number, []).append(node)
    if command.incoming:
        node.pins_in += (command.number,)
    else:
        node.pins_out += (command.number,)


APPLY: dict[type[c.NodeSetting], Callable[[Scope, Node, Any], None]] = {
    c.ScriptSetting: _script,
    c.Retry: _retry,
    c.AbortDagOn: _abort,
    c.Vars: _vars,
    c.Priority: _priority,
    c.PreSkip: _pre_skip,
    c.Tolerance: _tolerance,
    c.Done: _done,
    c.SavePoint: _save_point,
    c.Category: _category,
    c.Pin: _pin,
}
