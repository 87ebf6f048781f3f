"""``owl workflow``: look at workflows and check their templates before they are used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from htcondor_operator.dagman.render import Rendered, render, sample_graph, template_hash
from htcondor_operator.dagman.workflows import Workflow, load_workflow, workflow_folders
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import ErrorKind, OwlError, workflow_name

app = typer.Typer(
    no_args_is_help=True, help="Look at workflows and check templates.", add_completion=False
)

Templates = Annotated[
    Path | None, typer.Option(help="Folder of the workflows; OWL_TEMPLATES by default.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(name="list")
def list_(templates: Templates = None, as_json: Json = False) -> None:
    """List all workflows; exit code 1 if one of them is not valid."""
    rows = [_row(folder) for folder in workflow_folders(_folder(templates))]
    if as_json:
        _print_json(rows)
    else:
        width = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            nodes = f"{row['nodes']:3d} nodes" if row["nodes"] else "  INVALID"
            sys.stdout.write(
                f"{row['name']:{width}}  {nodes}  {row['type'] or '':5} {row['says']}\n"
            )
    if not all(row["valid"] for row in rows):
        raise typer.Exit(1)


@app.command()
def show(name: str, templates: Templates = None, as_json: Json = False) -> None:
    """Show what a workflow declares, and its graph of all nodes."""
    workflow = _load(name, templates)
    graph = sample_graph(workflow)
    content: dict[str, Any] = {
        "name": workflow.name,
        "description": workflow.description,
        "type": workflow.type,
        "instrument": workflow.instrument,
        "tags": list(workflow.tags),
        "priority": workflow.priority,
        "params": dict(workflow.params),
        "resources": {step: vars(wants) for step, wants in workflow.resources.items()},
        "template": str(workflow.template),
        "template_hash": template_hash(workflow),
        **graph.as_mapping(),
    }
    if as_json:
        _print_json(content)
    else:
        content["edges"] = [f"{parent} -> {child}" for parent, child in graph.edges]
        sys.stdout.write(yaml.safe_dump(content, sort_keys=False, width=100))


@app.command(name="render")
def render_(
    name: str,
    *,
    dataset: Annotated[str, typer.Option(help="Name of the dataset.")],
    param: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE, as often as needed; the value is read as YAML."),
    ] = None,
    run: Annotated[int, typer.Option(help="Number of the run.")] = 0,
    templates: Templates = None,
    as_json: Json = False,
) -> None:
    """Render a workflow as a run would, and print the DAGMan file. Nothing is submitted."""
    workflow = _load(name, templates)
    rendered = render(workflow, _context(workflow, dataset, run, _params(param or [])))
    if as_json:
        _print_json(_mapping(rendered))
    else:
        sys.stdout.write(rendered.text)


def _folder(templates: Path | None) -> Path:
    folder = templates or Settings.from_environment().templates
    if not folder.is_dir():
        raise OwlError(
            ErrorKind.BAD_CONF, f"{folder} is not a folder. Set OWL_TEMPLATES, or give --templates."
        )
    return folder


def _load(name: str, templates: Path | None) -> Workflow:
    root = _folder(templates)
    folder = root / workflow_name(name)
    if not folder.is_dir():
        known = ", ".join(path.name for path in workflow_folders(root)) or "none"
        raise OwlError(
            ErrorKind.BAD_NAME, f"There is no workflow {name!r} in {root}. Known: {known}."
        )
    return load_workflow(folder)


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"name": folder.name, "valid": False, "type": None, "nodes": 0}
    try:
        workflow = load_workflow(folder)
        nodes = sample_graph(workflow).nodes
    except OwlError as error:
        return {**row, "says": error.message}
    return {
        **row,
        "valid": True,
        "type": workflow.type,
        "nodes": len(nodes),
        "says": workflow.description,
    }


def _params(words: list[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise OwlError(ErrorKind.BAD_CONF, f"--param {word!r} is not KEY=VALUE.")
        try:
            params[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise OwlError(ErrorKind.BAD_CONF, f"--param {key}: {value!r} is not YAML.") from error
    return params


def _context(workflow: Workflow, dataset: str, run: int, params: dict[str, Any]) -> dict[str, Any]:
    settings = Settings.from_environment()
    return {
        "dataset": dataset,
        "run": run,
        "run_dir": settings.runs / workflow.name / dataset / f"r{run}",
        "work_dir": settings.work,
        "archive_dir": settings.archive,
        "incoming_dir": settings.incoming,
        "references_dir": settings.references,
        "python": settings.python,
        "params": params,
    }


def _mapping(rendered: Rendered) -> dict[str, Any]:
    return {
        "text": rendered.text,
        "template_hash": rendered.template_hash,
        **rendered.graph.as_mapping(),
        "priorities": {
            name: node.priority
            for name, node in rendered.dag.nodes.items()
            if node.priority is not None
        },
    }


def _print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2, sort_keys=False) + "\n")
