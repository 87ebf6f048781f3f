"""Makes an Airflow DAG of every declared poller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, SyncCallback, TriggerRule

from htcondor_operator.operators.send_alerts import SendAlerts
from htcondor_operator.queue.pollers.declarations import Declaration, load_declarations
from htcondor_operator.sensors.poll import PollSensor
from htcondor_operator.vocabulary import ErrorKind, OwlError

TASK_ID = "poll"
ALERTS = "alerts"
LONGEST_LOOK_S = 900.0
LONGEST_SEND_S = 300.0
OVERDUE_S = LONGEST_LOOK_S + LONGEST_SEND_S + 300.0
_START = datetime(2024, 1, 1, tzinfo=UTC)


def make_poller_dags(declarations: Path) -> dict[str, DAG]:
    """Make the DAGs of all declarations that are right (see :func:`check_pollers`)."""
    return {d.dag_id: make_poller_dag(d) for d in load_declarations(declarations).pollers}


def check_pollers(declarations: Path) -> None:
    """Raise one :class:`OwlError` that names everything that is wrong with the declarations."""
    errors = load_declarations(declarations).errors
    if errors:
        words = "\n".join(f"- {error.message}" for error in errors)
        raise OwlError(
            ErrorKind.BAD_CONF,
            f"Some pollers are not declared right; the others are not concerned.\n{words}",
        )


def make_poller_dag(declaration: Declaration) -> DAG:
    """Make one poller's DAG: always one run, which the triggerer carries."""
    with DAG(
        dag_id=declaration.dag_id,
        description=declaration.description or f"Poller {declaration.name}",
        schedule="@continuous",
        start_date=_START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        auto_register=False,
        tags=["owl", "poller", declaration.kind],
        doc_md=_doc(declaration),
        default_args={"owner": "owl", "retries": 0},
        deadline=_deadline() if declaration.kind == ALERTS else None,
    ) as dag:
        if declaration.kind == ALERTS:
            _look_and_tell(declaration)
        else:
            PollSensor(
                task_id=TASK_ID, poller=declaration.name, poke_interval=declaration.interval_s
            )
    return dag


def _deadline() -> DeadlineAlert:
    """Who looks after the one that looks: the scheduler, by a deadline of its run."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=OVERDUE_S),
        callback=SyncCallback("htcondor_operator.alerts.watchdog.overdue"),
        name="alerts are looked for",
    )


def _look_and_tell(declaration: Declaration) -> None:
    """The poller of the alerts ends as soon as somebody is to be told, by a task on a worker."""
    look = PollSensor(
        task_id=TASK_ID,
        poller=declaration.name,
        poke_interval=declaration.interval_s,
        shortest_s=0.0,
        longest_s=LONGEST_LOOK_S,
    )
    look >> SendAlerts(
        task_id="send",
        trigger_rule=TriggerRule.ALL_DONE,
        execution_timeout=timedelta(seconds=LONGEST_SEND_S),
    )


def _doc(declaration: Declaration) -> str:
    where = f" in `{declaration.directory}`" if declaration.directory else ""
    return (
        f"{declaration.description}\n\nLooks{where} every {declaration.interval_s:g} s. "
        f"**Pause this DAG to stop the poller**, unpause it to let it go on. A run ends when "
        f"something was found, at the latest after an hour; its result is the task's XCom "
        f"`return_value`. `owl poller show {declaration.name}` shows its heartbeat."
    )
