"""``SendAlerts``: the task that tells people, on a worker, where notifiers may use connections."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf
from airflow.sdk import BaseOperator

from htcondor_operator.alerts.configuration import load_alerting
from htcondor_operator.alerts.sending import send_due
from htcondor_operator.blackboard.link import Link
from htcondor_operator.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

PAGE = "/plugin/owl/alerts"
"""The console's page, behind Airflow's address."""


class SendAlerts(BaseOperator):
    """Send the messages that are due.

    A channel that is down is no failure of the task: its messages stay due and the next run of the
    DAG tries again. What it says is in the log, and in ``owl alert show``.
    """

    ui_color = "#f6e0d8"

    def execute(self, context: Context) -> dict[str, Any]:
        """Send, and return how many messages went out and which channels are down."""
        settings = Settings.from_environment()
        url = conf.get("api", "base_url", fallback="").rstrip("/")
        with closing(Link(settings, "alerts")) as link:
            done = send_due(
                link,
                load_alerting(settings.alerts),
                dict(context),
                url=f"{url}{PAGE}" if url else "",
            )
        return {"sent": done.sent, "down": done.down}
