"""The commands of a DAG file as data: what one line says, before anything is known of the rest."""

from __future__ import annotations

from dataclasses import dataclass

from htcondor_operator.dagman.model import NodeType, Script


@dataclass(frozen=True)
class Command:
    """Any command; `file` and `line` say where it begins."""

    file: str
    line: int


@dataclass(frozen=True)
class NodeDeclaration(Command):
    """JOB, FINAL, SERVICE, PROVISIONER or SUBDAG EXTERNAL."""

    type: NodeType
    name: str
    submit: str | None
    inline: str | None
    directory: str | None
    noop: bool
    done: bool


@dataclass(frozen=True)
class Description(Command):
    """SUBMIT-DESCRIPTION."""

    name: str
    text: str


@dataclass(frozen=True)
class SpliceDeclaration(Command):
    """SPLICE."""

    name: str
    path: str
    directory: str | None


@dataclass(frozen=True)
class Edges(Command):
    """PARENT ... CHILD ..., or WEAK PARENT ... CHILD ..."""

    parents: tuple[str, ...]
    children: tuple[str, ...]
    weak: bool


@dataclass(frozen=True)
class NodeSetting(Command):
    """A command about one node, or about ALL_NODES."""

    node: str


@dataclass(frozen=True)
class ScriptSetting(NodeSetting):
    """SCRIPT."""

    script: Script


@dataclass(frozen=True)
class Retry(NodeSetting):
    """RETRY."""

    retries: int
    unless_exit: int | None


@dataclass(frozen=True)
class AbortDagOn(NodeSetting):
    """ABORT-DAG-ON."""

    exit_code: int
    returns: int | None


@dataclass(frozen=True)
class Vars(NodeSetting):
    """VARS."""

    pairs: tuple[tuple[str, str], ...]
    placement: str | None


@dataclass(frozen=True)
class Priority(NodeSetting):
    """PRIORITY."""

    priority: int


@dataclass(frozen=True)
class PreSkip(NodeSetting):
    """PRE_SKIP."""

    exit_code: int


@dataclass(frozen=True)
class Tolerance(NodeSetting):
    """TOLERANCE."""

    failures: int
    percent: bool
    mode: str | None


@dataclass(frozen=True)
class Done(NodeSetting):
    """DONE."""


@dataclass(frozen=True)
class SavePoint(NodeSetting):
    """SAVE_POINT_FILE."""

    path: str


@dataclass(frozen=True)
class Category(NodeSetting):
    """CATEGORY."""

    category: str


@dataclass(frozen=True)
class Pin(NodeSetting):
    """PIN_IN or PIN_OUT."""

    number: int
    incoming: bool


@dataclass(frozen=True)
class Connect(Command):
    """CONNECT."""

    parent: str
    child: str


@dataclass(frozen=True)
class MaxJobs(Command):
    """MAXJOBS."""

    category: str
    limit: int


@dataclass(frozen=True)
class Include(Command):
    """INCLUDE."""

    path: str


@dataclass(frozen=True)
class Config(Command):
    """CONFIG."""

    path: str


@dataclass(frozen=True)
class Dot(Command):
    """DOT."""

    path: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class NodeStatusFile(Command):
    """NODE_STATUS_FILE."""

    path: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class JobstateLog(Command):
    """JOBSTATE_LOG."""

    path: str


@dataclass(frozen=True)
class JobAttribute(Command):
    """SET_JOB_ATTR."""

    name: str
    value: str


@dataclass(frozen=True)
class EnvironmentSet(Command):
    """ENV SET."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class EnvironmentGet(Command):
    """ENV GET."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Reject(Command):
    """REJECT."""
