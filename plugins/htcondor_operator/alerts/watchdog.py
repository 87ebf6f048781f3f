"""Tells people when nobody looks: the callback of the DAG's deadline alert.

The scheduler notices that a run of the DAG is overdue (the triggerer is down, workers are all
busy) and calls :func:`overdue` in a process of the executor. It needs neither triggerer nor
blackboard.
"""

from __future__ import annotations

import logging
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2

from htcondor_operator.alerts.configuration import load_alerting
from htcondor_operator.alerts.couriers import tell
from htcondor_operator.alerts.rules import Severity
from htcondor_operator.alerts.words import Told
from htcondor_operator.blackboard.connection import connect
from htcondor_operator.blackboard.poller_rows import is_paused
from htcondor_operator.settings import Settings
from htcondor_operator.vocabulary import OwlError

DAG_ID = "alerts"

log = logging.getLogger(__name__)


def overdue(context: dict[str, Any]) -> None:
    """Tell every channel that hears of silent daemons.

    Raises
    ------
    Exception
        Of the last channel that did not take it, after all were tried: Airflow shows it.
    """
    settings = Settings.from_environment()
    if _is_paused(settings):
        return
    run = context.get("dag_run") or {}
    since = datetime.fromisoformat(run["queued_at"]) if run.get("queued_at") else datetime.now(UTC)
    told = Told(
        id=0,
        rule="alerts_silent",
        about=DAG_ID,
        state="open",
        severity=Severity.CRITICAL.value,
        title="Nobody looks for alerts: the DAG `alerts` is overdue",
        count=1,
        why="opened",
        opened_at=since,
        detail={"run": run.get("dag_run_id") or run.get("run_id"), "look": "owl logs triggerer"},
    )
    channels = load_alerting(settings.alerts).channels
    hear = [c for c in channels if not c.rules or "daemon_silent" in c.rules]
    down = tell([(channel, told) for channel in hear], {})
    for name, error in down.items():
        log.error("channel %s is down: %s: %s", name, type(error).__name__, error)
    if down:
        raise list(down.values())[-1]


def _is_paused(settings: Settings) -> bool:
    try:
        with closing(connect(settings, application="alerts watchdog")) as connection:
            return is_paused(connection.cursor(), DAG_ID)
    except (psycopg2.Error, OwlError):
        return False  # one more reason to tell
