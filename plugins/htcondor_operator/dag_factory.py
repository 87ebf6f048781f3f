"""Makes an Airflow DAG of a workflow template: the template is the only source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.sdk import DAG, Param, TriggerRule

from htcondor_operator.dagman.render import sample_graph
from htcondor_operator.dagman.workflows import Workflow, load_workflow, workflow_folders
from htcondor_operator.notifications.failure import HTCondorFailureNotifier
from htcondor_operator.operators.dag import HTCondorDagOperator
from htcondor_operator.operators.node import HTCondorNodeOperator
from htcondor_operator.vocabulary import ERROR_SENTENCES, ErrorKind, OwlError, task_id_for

EXECUTOR = "HTCondorExecutor"
POOL = "htcondor"
LAUNCH = "launch"


def configured_executor() -> str | None:
    """Return the mirroring executor's alias if this Airflow has it, else None (its default)."""
    entries = conf.get("core", "executor").split(",")
    return EXECUTOR if any(entry.strip().startswith(f"{EXECUTOR}:") for entry in entries) else None


def make_dags(templates: Path) -> dict[str, DAG]:
    """Make the DAGs of all templates that can be used (see :func:`check_templates`)."""
    return {workflow.name: make_dag(workflow) for workflow in usable_workflows(templates)[0]}


def usable_workflows(templates: Path) -> tuple[list[Workflow], list[OwlError]]:
    """Return the workflows that render their sample, and what is wrong with the others."""
    usable: list[Workflow] = []
    errors: list[OwlError] = []
    for folder in workflow_folders(templates):
        try:
            workflow = load_workflow(folder)
            sample_graph(workflow)
            usable.append(workflow)
        except OwlError as error:
            errors.append(error)
    return usable, errors


def check_templates(templates: Path) -> None:
    """Raise one :class:`OwlError` that names every template that cannot be used.

    It makes no DAG: Airflow would take it for one of the calling file.
    """
    _, errors = usable_workflows(templates)
    if errors:
        words = "\n".join(f"- {error.message}" for error in errors)
        raise OwlError(
            ErrorKind.BAD_TEMPLATE,
            f"{ERROR_SENTENCES[ErrorKind.BAD_TEMPLATE]} The other workflows are not concerned.\n"
            f"{words}",
        )


def make_dag(workflow: Workflow) -> DAG:
    """Build the DAG: a launch (as set-up) and one task for every node that can occur.

    Parameters
    ----------
    workflow
        As its folder declares it.
    """
    graph = sample_graph(workflow)
    executor = configured_executor()
    pool: dict[str, Any] = {"pool": POOL} if executor else {}
    dag = DAG(
        dag_id=workflow.name,
        description=workflow.description,
        schedule=None,
        catchup=False,
        tags=["owl", workflow.type, *workflow.tags],
        params=_params(workflow),
        max_active_runs=1000,
        max_active_tasks=10_000,
        is_paused_upon_creation=False,
        doc_md=_doc(workflow, graph.nodes),
        default_args={
            "owner": "owl",
            "retries": 0,
            "executor": executor,
            "on_failure_callback": HTCondorFailureNotifier(),
            **pool,
        },
    )
    with dag:
        launch = HTCondorDagOperator(
            task_id=LAUNCH,
            workflow=workflow.name,
            executor_config={"owl": {"workflow": workflow.name}},
        ).as_setup()
        # Of a join's parents a run may lack some (unused member slots, which are skipped), and the
        # join must not be skipped with them. Airflow wants all_success behind a set-up, so only
        # the other nodes hang on the launch directly.
        joins = {name for name in graph.nodes if len(graph.parents(name)) > 1}
        tasks = {
            name: HTCondorNodeOperator(
                task_id=task_id_for(name),
                node=name,
                trigger_rule=TriggerRule.NONE_FAILED if name in joins else TriggerRule.ALL_SUCCESS,
            )
            for name in graph.nodes
        }
        for parent, child in graph.edges:
            tasks[parent] >> tasks[child]
        launch >> [task for name, task in tasks.items() if name not in joins]
    return dag


def _params(workflow: Workflow) -> dict[str, Param]:
    params = {
        "dataset": Param(
            type="string",
            pattern="^[A-Za-z0-9][A-Za-z0-9_+-]{0,62}$",
            description="Name of the dataset (an IPPPSSOOT rootname for Hubble).",
        ),
        "priority": Param(
            workflow.priority,
            type="integer",
            minimum=-10_000,
            maximum=10_000,
            description="HTCondor job priority: higher goes first.",
        ),
    }
    for name, schema in workflow.params.items():
        own = {key: value for key, value in schema.items() if key not in {"default", "format"}}
        params[name] = Param(schema["default"], **own) if "default" in schema else Param(**own)
    return params


def _doc(workflow: Workflow, nodes: tuple[str, ...]) -> str:
    return (
        f"{workflow.description}\n\nOne run takes one dataset through the DAGMan workflow "
        f"`{workflow.name}` ({', '.join(nodes)}). Clear a failed task to rescue it."
    )
