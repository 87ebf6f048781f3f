"""The two tasks of a backfill day: choose its datasets, and wait for them."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import StartTriggerArgs

from htcondor_operator.blackboard.campaign_days import day_states, part_of, summary
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.queue.campaigns.backfill_days import Day, select
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import OwlError

if TYPE_CHECKING:
    from airflow.sdk import Context


class SelectDatasets(BaseOperator):
    """Put what was observed in the run's data interval into the queue.

    Parameters
    ----------
    instrument
        As the catalogue names it.
    single, association
        Workflows for exposures and for associations.
    """

    ui_color = "#e2f0e6"

    def __init__(self, *, instrument: str, single: str, association: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instrument = instrument
        self.single = single
        self.association = association

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it in one transaction."""
        dag_run = context["dag_run"]
        start, end = dag_run.data_interval_start, dag_run.data_interval_end
        if start is None or end is None:
            raise AirflowFailException(
                "The run has no data interval. Trigger it with a logical date, or use "
                "`airflow backfill create`."
            )
        day = Day(
            dag_id=str(dag_run.dag_id),
            run_id=str(dag_run.run_id),
            start=start,
            end=end,
            instrument=self.instrument,
            workflows=(self.single, self.association),
            conf=dict(context["params"]),
        )
        settings = Settings.from_environment()
        try:
            with (
                closing(connect(settings, application="backfill")) as connection,
                connection,
                connection.cursor() as cur,
            ):
                selected = select(cur, settings.templates, day)
        except OwlError as error:
            raise AirflowFailException(f"{error.kind.value}: {error.message}") from error
        self.log.info("%s", selected)
        put = selected.put
        return {
            "campaign": selected.campaign,
            "datasets": selected.datasets,
            "added": put.added,
            "merged": put.merged,
            "joined": put.joined,
        }


class WaitForDatasets(BaseOperator):
    """Wait until all datasets of the run have ended; succeed only if all of them did.

    The scheduler starts it in the triggerer, where it also ends: it never takes a worker. Clearing
    it looks again, for instance after rescues.

    Parameters
    ----------
    poll_s
        Seconds between two looks.
    """

    ui_color = "#fbf2d0"
    start_from_trigger = True

    def __init__(self, *, poll_s: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_s = poll_s
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="htcondor_operator.triggers.campaign_day.DayTrigger",
            trigger_kwargs={"poll_s": poll_s},
            next_method="execute_complete",
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait here, where there is no triggerer to do it (``dag.test()``)."""
        dag_run = context["dag_run"]
        part = part_of(str(dag_run.dag_id), str(dag_run.run_id))
        with closing(
            connect(Settings.from_environment(), application="backfill day", autocommit=True)
        ) as connection:
            while True:
                with connection.cursor() as cur:
                    states = day_states(cur, part)
                if not any(state.is_open for state in states.values()):
                    break
                time.sleep(self.poll_s)
        told = summary(states)
        if told["not_done"]:
            raise AirflowFailException(f"Not all are done: {'; '.join(told['not_done'])}")
        return told

    def execute_complete(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002
        """Return the trigger's event (never called: the trigger ends the task itself)."""
        return event
