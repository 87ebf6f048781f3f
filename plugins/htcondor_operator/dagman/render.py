"""Render a workflow's template to one DAGMan file, and know its graph.

Templates are Jinja2 in a sandbox: they see only the context, a variable that does not exist is an
error, and no value that comes from outside can carry DAGMan or submit syntax.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.exceptions
import jinja2.meta
import jinja2.sandbox

from htcondor_operator.dagman.graph import workflow_graph
from htcondor_operator.dagman.model import Dag, WorkflowGraph
from htcondor_operator.dagman.parser import parse_dag
from htcondor_operator.dagman.workflows import TEMPLATE, Workflow, check_params
from htcondor_operator.vocabulary import ErrorKind, OwlError, dataset_name, priority

# What a template may use beside `params` and `resources`; `owl workflow render` fills it in.
TEXTS = (
    "run_dir",
    "work_dir",
    "archive_dir",
    "incoming_dir",
    "references_dir",
    "python",
)
_SAMPLE = {
    "run": 0,
    "run_dir": "/runs/sample",
    "work_dir": "/work",
    "archive_dir": "/archive",
    "incoming_dir": "/incoming",
    "references_dir": "/references",
    "python": "/usr/bin/python3",
}
# Each of them means something to DAGMan, to condor_submit, or ends a quoted argument.
_UNSAFE = frozenset("\"'`\\${}")


@dataclass(frozen=True)
class Rendered:
    """A rendered workflow: the file's text and what it means."""

    text: str
    dag: Dag
    graph: WorkflowGraph
    template_hash: str


def render(workflow: Workflow, context: Mapping[str, Any]) -> Rendered:
    """Render a workflow for one run.

    Parameters
    ----------
    workflow
        From :func:`~htcondor_operator.dagman.workflows.load_workflows`.
    context
        ``dataset``, ``run`` (its key), ``run_dir``, ``work_dir``, ``archive_dir``,
        ``incoming_dir``, ``references_dir``, ``python``; optionally ``priority``, ``params`` and
        ``pythonpath``. The workflow's name, folder and resources are added here.

    Raises
    ------
    OwlError
        ``BAD_CONF`` or ``BAD_NAME`` (the run's values), ``BAD_TEMPLATE`` (template, line, variable
        and fix), ``BAD_DAG_FILE`` (the result is not DAGMan's language).
    """
    rendered = _render(workflow, checked_context(workflow, context))
    _check_within_sample(workflow, rendered.graph)
    return rendered


def sample_graph(workflow: Workflow) -> WorkflowGraph:
    """Return the graph of all nodes that a workflow can have: Airflow's static graph."""
    return _render(workflow, checked_context(workflow, sample_context(workflow))).graph


def sample_context(workflow: Workflow) -> dict[str, Any]:
    """Return the context of a workflow's declared sample."""
    return {**_SAMPLE, "params": {}, **workflow.sample}


def checked_context(workflow: Workflow, context: Mapping[str, Any]) -> dict[str, Any]:
    """Check all values of a run and return what the template sees."""
    missing = [name for name in ("dataset", "run", *TEXTS) if name not in context]
    if missing:
        raise OwlError(ErrorKind.INTERNAL, f"The context lacks {', '.join(missing)}.")
    values: dict[str, Any] = {
        "dataset": dataset_name(context["dataset"]),
        "run": int(context["run"]),
        "priority": priority(context.get("priority", workflow.priority)),
        "params": check_params(workflow, context.get("params", {})),
        "pythonpath": str(context.get("pythonpath", "")),
        "template_dir": str(workflow.folder),
        **{name: str(context[name]) for name in TEXTS},
    }
    for name, text in _texts("", values):
        _refuse_syntax(name, text)
    return {
        **values,
        "workflow": workflow.name,
        "resources": workflow.resources_of,
    }


def template_hash(workflow: Workflow) -> str:
    """Return the digest of everything that the workflow's text depends on, but a run's values."""
    environment = _environment(workflow.folder.parent)
    shared = _referenced(environment, f"{workflow.name}/{TEMPLATE}", set())
    own = {path for path in workflow.folder.rglob("*") if path.is_file()}
    digest = hashlib.sha256()
    for path in sorted(own | {workflow.folder.parent / name for name in shared}):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        name = path.relative_to(workflow.folder.parent).as_posix()
        digest.update(json.dumps([name, content]).encode())
    return digest.hexdigest()


def _render(workflow: Workflow, context: Mapping[str, Any]) -> Rendered:
    name = f"{workflow.name}/{TEMPLATE}"
    try:
        text = _environment(workflow.folder.parent).get_template(name).render(context)
        digest = template_hash(workflow)
    except jinja2.TemplateError as error:
        raise _template_error(workflow, error) from error
    except OwlError:
        raise
    except Exception as error:  # a template can make any Python expression fail
        raise _template_error(workflow, error) from error
    dag = parse_dag(text, file=name)
    return Rendered(text, dag, workflow_graph(dag), digest)


@lru_cache(maxsize=8)
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        # The output is a DAGMan file: HTML escapes would damage it. Values are checked instead.
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["arg"] = quoted_argument
    return environment


def quoted_argument(value: object) -> str:
    """Quote one argument of a submit description's ``arguments = "..."`` where it needs it."""
    text = str(value)
    return text if text and not any(c.isspace() for c in text) else f"'{text}'"


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield all texts of a value, keys of mappings as well, with their field's name."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            field = f"{name}.{key}" if name else str(key)
            yield f"the name {field}", str(key)
            yield from _texts(field, item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(f"{name}[{index}]", item)


def _refuse_syntax(name: str, text: str) -> None:
    found = sorted({c for c in text if c in _UNSAFE or not c.isprintable()})
    if found:
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"{name} {text!r} contains {found[0]!r}, which has a meaning in DAGMan and submit "
            "files. Use a value without quotes, '$', '\\', braces and control characters.",
        )


def _check_within_sample(workflow: Workflow, graph: WorkflowGraph) -> None:
    unknown = sorted(set(graph.nodes) - set(sample_graph(workflow).nodes))
    if unknown:
        raise OwlError(
            ErrorKind.BAD_TEMPLATE,
            f"{workflow.name}/{TEMPLATE} makes the node {unknown[0]!r}, which its sample does not "
            "have. Airflow knows the sample's nodes only: let `sample` in workflow.yaml render "
            "all of them.",
        )


def _referenced(environment: jinja2.Environment, name: str, seen: set[str]) -> set[str]:
    if name in seen:
        return seen
    seen.add(name)
    assert environment.loader is not None
    source = environment.loader.get_source(environment, name)[0]
    for other in jinja2.meta.find_referenced_templates(environment.parse(source)):
        if other is not None:
            _referenced(environment, other, seen)
    return seen


def _template_error(workflow: Workflow, error: Exception) -> OwlError:
    name, line = _where(workflow, error)
    return OwlError(ErrorKind.BAD_TEMPLATE, f"{name} line {line}: {_reason(error)}")


def _where(workflow: Workflow, error: Exception) -> tuple[str, int]:
    root = workflow.folder.parent
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.name or f"{workflow.name}/{TEMPLATE}", error.lineno
    # Jinja2 rewrites the traceback so that a template's frames carry its own file and lines.
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and frame.lineno is not None:
            return path.relative_to(root).as_posix(), frame.lineno
    return f"{workflow.name}/{TEMPLATE}", 1


def _reason(error: Exception) -> str:
    if isinstance(error, jinja2.UndefinedError):
        return (
            f"{error.message}. Templates know dataset, workflow, run, priority, params, resources, "
            f"template_dir, pythonpath, {', '.join(TEXTS)}: correct the name, or declare a "
            "parameter under `params` in workflow.yaml."
        )
    if isinstance(error, jinja2.TemplateNotFound):
        return (
            f"there is no template {error.name!r}. Name it relative to the folder of all "
            "workflows, as in '_shared/calibration.j2'."
        )
    if isinstance(error, jinja2.exceptions.SecurityError):
        return f"{error}. Templates run in a sandbox: use only values and filters."
    return f"{error or type(error).__name__}. Correct the template."
