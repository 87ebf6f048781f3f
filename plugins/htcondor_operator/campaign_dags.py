"""Makes the DAGs of campaigns: one per instrument for backfills, and one that asks for approval."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, TriggerRule
from airflow.utils.types import DagRunType

from htcondor_operator.operators.campaign_day import SelectDatasets, WaitForDatasets
from htcondor_operator.operators.campaign_decision import CampaignDecision
from htcondor_operator.queue.campaigns.proposals import APPROVAL
from htcondor_operator.queue.instruments import SHORT
from htcondor_operator.timetables import ObservationDays

_START = datetime(1990, 4, 24, tzinfo=UTC)


def make_repro_dags() -> dict[str, DAG]:
    """Make ``repro_<instrument>`` for every instrument."""
    made = (make_repro_dag(short, instrument) for instrument, short in SHORT.items())
    return {dag.dag_id: dag for dag in made}


def make_repro_dag(short: str, instrument: str) -> DAG:
    """Make the DAG whose runs reprocess one day of observation each."""
    with DAG(
        dag_id=f"repro_{short}",
        description=f"Reprocess what {instrument} observed on a day (airflow backfill create)",
        schedule=ObservationDays(),
        start_date=_START,
        catchup=False,
        allowed_run_types=[DagRunType.BACKFILL_JOB, DagRunType.MANUAL],
        max_active_runs=1000,
        is_paused_upon_creation=False,
        auto_register=False,
        tags=["owl", "campaign", short],
        params=_params(),
        doc_md=_doc(short, instrument),
        default_args={"owner": "owl", "retries": 0},
    ) as dag:
        chosen = SelectDatasets(
            task_id="select",
            instrument=instrument,
            single=f"{short}_single_repro",
            association=f"{short}_asn_repro",
        )
        chosen >> WaitForDatasets(task_id="wait")
    return dag


def make_approval_dag() -> DAG:
    """Make the DAG that asks a person about a proposed campaign; the queue starts its runs."""
    with DAG(
        dag_id=APPROVAL,
        description="Ask whether a proposed campaign may fill the queue",
        schedule=None,
        catchup=False,
        max_active_runs=100,
        is_paused_upon_creation=False,
        auto_register=False,
        tags=["owl", "campaign"],
        params={
            "dataset": Param(type="string", description="Name of the proposed campaign."),
            "priority": Param(0, type="integer"),
            "subject": Param("Approve the campaign?", type="string"),
            "body": Param("", type="string"),
        },
        doc_md=_APPROVAL_DOC,
        default_args={"owner": "owl", "retries": 0},
    ) as dag:
        ask = ApprovalOperator(
            task_id="ask",
            subject="{{ params.subject }}",
            body="{{ params.body }}",
            # The question's own form has no fields.
            params={},
        )
        fill = CampaignDecision(task_id="fill", asked="ask", approve=True)
        drop = CampaignDecision(
            # A rejection skips what comes directly after the question.
            task_id="drop",
            asked="ask",
            approve=False,
            trigger_rule=TriggerRule.ALL_SKIPPED,
        )
        ask >> fill >> drop
    return dag


_APPROVAL_DOC = (
    "`ask` waits for a person (*Required Actions* in the UI); `fill` puts an approved campaign "
    "into the queue, `drop` rejects it. `owl campaign approve NAME` and `owl campaign reject NAME` "
    "do the same from the command line."
)


def _params() -> dict[str, Param]:
    return {
        "reason": Param(None, type=["null", "string"], description="Why; kept with every entry."),
        "priority": Param(
            0,
            type="integer",
            minimum=-10_000,
            maximum=10_000,
            description="Of the entries: higher goes first.",
        ),
        "type": Param(
            None,
            type=["null", "string"],
            description="Workflow for all datasets, instead of those of the instrument.",
        ),
        "where": Param(
            None,
            type=["null", "string"],
            description="Only datasets for which this holds, too: proposal=12345 filters=F606W",
        ),
        "params": Param({}, type="object", description="Parameters of the workflow."),
    }


def _doc(short: str, instrument: str) -> str:
    return (
        f"One run per day puts what {instrument} observed on it into the queue (`select`), as one "
        "campaign per backfill, and ends with the true result of all its datasets (`wait`).\n\n"
        f"    airflow backfill create --dag-id repro_{short} --from-date 2026-01-01 "
        '--to-date 2026-01-31 --dag-run-conf \'{"reason": "new flats"}\'\n\n'
        "Clear `wait` to look again after rescues; clear `select` to put the day in again: all of "
        "it if all were done, else what did not succeed."
    )
