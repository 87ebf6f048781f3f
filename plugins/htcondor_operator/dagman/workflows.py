"""Workflows: what a folder of ``include/templates`` declares, checked once when it is read.

A workflow is a folder ``<name>/`` with ``workflow.dag.j2`` (rendered by
:mod:`htcondor_operator.dagman.render`) and ``workflow.yaml`` (everything that DAGMan has no word
for). Folders whose name begins with ``_`` hold parts that templates share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from htcondor_operator.vocabulary import (
    ErrorKind,
    InvalidName,
    OwlError,
    dataset_name,
    priority,
    workflow_name,
)

TEMPLATE = "workflow.dag.j2"
DECLARATION = "workflow.yaml"

_KEYS = frozenset(
    {
        "description",
        "type",
        "instrument",
        "tags",
        "priority",
        "params",
        "resources",
        "sample",
    }
)
_RESOURCES = frozenset({"cpus", "memory", "disk"})
_SIZE = re.compile(r"[1-9][0-9]*( ?[KMGT]B?)?", re.ASCII)
# A parameter is a variable name in a template and a key of a run's conf.
_PARAM = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Resources:
    """What one node's job asks for."""

    cpus: int = 1
    memory: str = "512MB"
    disk: str = "512MB"


@dataclass(frozen=True)
class Workflow:
    """One workflow as its folder declares it.

    Parameters
    ----------
    name
        The folder's name.
    folder
        Where it is; ``folder.parent`` holds all workflows and the shared parts.
    description, type, instrument, tags
        Words for people; `type` is the queue's column.
    priority
        A run's priority when its request names none.
    params
        One JSON schema per parameter; one without ``default`` must be given.
        ``format: dataset`` asks for a dataset's name.
    resources
        Per step of the payload; ``default`` stands for steps and quantities not named.
    sample
        ``dataset`` and ``params`` with which the template renders *all* nodes that it has.
    """

    name: str
    folder: Path
    description: str
    type: str
    instrument: str | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, Resources] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)

    @property
    def template(self) -> Path:
        """The template's path."""
        return self.folder / TEMPLATE

    def resources_of(self, step: str) -> Resources:
        """Return what a step's job asks for."""
        return self.resources.get(step) or self.resources.get("default") or Resources()


def load_workflows(folder: Path | str) -> dict[str, Workflow]:
    """Read all workflows of a folder, by name.

    Raises
    ------
    OwlError
        ``BAD_TEMPLATE``: the folder, the field, and how to correct it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise _bad(root, "is not a folder. Set OWL_TEMPLATES to the folder of the workflows")
    return {path.name: load_workflow(path) for path in workflow_folders(root)}


def workflow_folders(root: Path) -> list[Path]:
    """Return the folders that hold a workflow, in order of their names."""
    return sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))
    )


def load_workflow(folder: Path) -> Workflow:
    """Read one workflow's folder."""
    # Jobs run scripts from the folder, and they run elsewhere.
    folder = folder.absolute()
    declaration = folder / DECLARATION
    for path in (declaration, folder / TEMPLATE):
        if not path.is_file():
            raise _bad(path, "does not exist. A workflow needs both files")
    try:
        content = yaml.safe_load(declaration.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(declaration, f"is not YAML: {error}") from error
    return declared(folder, content)


def declared(folder: Path, content: object) -> Workflow:
    """Check a declaration's content and make a :class:`Workflow` of it."""
    path = folder / DECLARATION
    try:
        name = workflow_name(folder.name)
    except InvalidName as error:
        raise _bad(folder, error.message) from error
    values = _mapping(path, "the file", content)
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise _bad(path, f"has the unknown field {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    workflow = Workflow(
        name=name,
        folder=folder,
        description=_text(path, values, "description"),
        type=_text(path, values, "type"),
        instrument=_text(path, values, "instrument") if "instrument" in values else None,
        tags=_tags(path, values.get("tags", [])),
        priority=_priority(path, values.get("priority", 0)),
        params=_schemas(path, values.get("params", {})),
        resources=_resources(path, values.get("resources", {})),
        sample=_mapping(path, "sample", values.get("sample")),
    )
    _check_sample(path, workflow)
    return workflow


def check_params(workflow: Workflow, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's parameters with defaults filled in.

    Raises
    ------
    OwlError
        ``BAD_CONF``: the field, its value, and what is allowed.
    """
    unknown = sorted(set(params) - set(workflow.params))
    if unknown:
        known = ", ".join(sorted(workflow.params)) or "none"
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"params.{unknown[0]} is not a parameter of workflow {workflow.name} (known: {known}). "
            "Leave it out.",
        )
    return {name: _param(workflow, name, params) for name in workflow.params}


def _param(workflow: Workflow, name: str, params: Mapping[str, Any]) -> Any:
    schema = workflow.params[name]
    if name not in params:
        if "default" in schema:
            return schema["default"]
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"params.{name} is missing; workflow {workflow.name} needs it"
            f"{_hint(schema)}. Give it in the run's conf.",
        )
    validator = jsonschema.Draft202012Validator(schema, format_checker=_formats)
    problem = next(iter(validator.iter_errors(params[name])), None)
    if problem is not None:
        where = "".join(f"[{part!r}]" for part in problem.path)
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"params.{name}{where} does not fit workflow {workflow.name}: "
            f"{problem.message}{_hint(schema)}. Correct it in the run's conf.",
        )
    return params[name]


def _hint(schema: Mapping[str, Any]) -> str:
    text = schema.get("description")
    return f" ({text})" if text else ""


_formats = jsonschema.FormatChecker(formats=())


@_formats.checks("dataset", raises=InvalidName)
def _is_dataset(value: object) -> bool:
    # A JSON schema's format says nothing about values of another type.
    return not isinstance(value, str) or bool(dataset_name(value))


def _bad(path: Path, message: str) -> OwlError:
    where = Path(path.parent.name, path.name)
    return OwlError(ErrorKind.BAD_TEMPLATE, f"{where} {message.rstrip('.')}.")


def _mapping(path: Path, name: str, value: object) -> dict[str, Any]:
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    raise _bad(path, f"{name} must be a mapping of names to values, not {value!r}")


def _text(path: Path, values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _bad(path, f"{name} must be a text, not {value!r}")


def _tags(path: Path, value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(tag, str) and tag for tag in value):
        return tuple(value)
    raise _bad(path, f"tags must be a list of words, not {value!r}")


def _priority(path: Path, value: object) -> int:
    try:
        return priority(value)
    except InvalidName as error:
        raise _bad(path, error.message) from error


def _schemas(path: Path, value: object) -> dict[str, dict[str, Any]]:
    schemas = _mapping(path, "params", value)
    for name, schema in schemas.items():
        if not _PARAM.fullmatch(name):
            raise _bad(path, f"params.{name} must be lower-case letters, digits and '_'")
        _mapping(path, f"params.{name}", schema)
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise _bad(path, f"params.{name} is not a JSON schema: {error.message}") from error
    return schemas


def _resources(path: Path, value: object) -> dict[str, Resources]:
    wanted = _mapping(path, "resources", value)
    default = _mapping(path, "resources.default", wanted.get("default", {}))
    return {
        step: _resource(
            path, f"resources.{step}", {**default, **_mapping(path, f"resources.{step}", own)}
        )
        for step, own in wanted.items()
    }


def _resource(path: Path, name: str, wanted: Mapping[str, Any]) -> Resources:
    unknown = sorted(set(wanted) - _RESOURCES)
    if unknown:
        raise _bad(path, f"{name}.{unknown[0]} is unknown; known: {', '.join(sorted(_RESOURCES))}")
    cpus = wanted.get("cpus", 1)
    if not isinstance(cpus, int) or isinstance(cpus, bool) or cpus < 1:
        raise _bad(path, f"{name}.cpus must be a whole number from 1, not {cpus!r}")
    sizes = {key: wanted.get(key, getattr(Resources, key)) for key in ("memory", "disk")}
    for key, size in sizes.items():
        if not isinstance(size, str) or not _SIZE.fullmatch(size):
            raise _bad(path, f"{name}.{key} must be a size such as 512MB or 2GB, not {size!r}")
    return Resources(cpus=cpus, **sizes)


def _check_sample(path: Path, workflow: Workflow) -> None:
    unknown = sorted(set(workflow.sample) - {"dataset", "params"})
    if unknown:
        raise _bad(path, f"sample.{unknown[0]} is unknown; known: dataset, params")
    try:
        dataset_name(workflow.sample.get("dataset"), "sample.dataset")
        check_params(workflow, _mapping(path, "sample.params", workflow.sample.get("params", {})))
    except OwlError as error:
        if error.kind is ErrorKind.BAD_TEMPLATE:
            raise
        raise _bad(path, f"sample: {error.message}") from error
