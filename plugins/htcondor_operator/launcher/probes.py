"""Questions to running services. Each answer is "" (healthy) or what is wrong, within seconds."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg2

from htcondor_operator.condor.pool import PersonalPool

TIMEOUT = 5
STALE = 30


def nothing(_started: float) -> str:
    """Return healthy: being alive is all that is known."""
    return ""


def database(url: str) -> Callable[[float], str]:
    """Return a probe of a PostgreSQL server."""

    def ask(_started: float) -> str:
        return _scalar(url, "SELECT ''", {})

    return ask


def pool(personal: PersonalPool) -> Callable[[float], str]:
    """Return a probe of a private pool."""

    def ask(_started: float) -> str:
        missing = personal.missing(TIMEOUT)
        return f"missing: {missing}" if missing else ""

    return ask


def http(*urls: str) -> Callable[[float], str]:
    """Return a probe of a web server: all of some addresses have to answer."""

    def ask(_started: float) -> str:
        return next(filter(None, map(_trouble, urls)), "")

    return ask


def _trouble(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310
            return "" if answer.status == 200 else f"{url} answers {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        return f"{url}: {error}"


def airflow_job(url: str, job: str) -> Callable[[float], str]:
    """Return a probe of an Airflow component: the heartbeat of its row in ``job``."""
    sql = """
        SELECT CASE WHEN max(latest_heartbeat) > now() - %(stale)s * interval '1 second' THEN ''
                    ELSE coalesce('last heartbeat ' || max(latest_heartbeat), 'no heartbeat') END
          FROM job
         WHERE job_type = %(job)s AND state = 'running' AND start_date >= %(started)s
    """

    def ask(started: float) -> str:
        return _scalar(url, sql, {"job": job, "stale": STALE, "started": _time(started)})

    return ask


def scheduler(url: str) -> Callable[[float], str]:
    """Return a probe of the scheduler that also asks how its HTCondorExecutor does."""
    alive = airflow_job(url, "SchedulerJob")
    sql = """
        SELECT coalesce(max('HTCondorExecutor: ' || coalesce(detail ->> 'error', state)), '')
          FROM owl_daemon
         WHERE name = 'executor' AND state <> 'running'
           AND beat_at > greatest(%(started)s, now() - %(stale)s * interval '1 second')
    """

    def ask(started: float) -> str:
        problem = alive(started)
        return problem or _scalar(url, sql, {"stale": STALE, "started": _time(started)})

    return ask


def heartbeat(url: str, name: str) -> Callable[[float], str]:
    """Return a probe of one of OWL's daemons: the heartbeat of its row in ``owl_daemon``."""
    sql = """
        SELECT CASE WHEN max(beat_at) > now() - %(stale)s * interval '1 second' THEN ''
                    ELSE coalesce('last heartbeat ' || max(beat_at), 'no heartbeat') END
          FROM owl_daemon
         WHERE name = %(name)s AND beat_at >= %(started)s
    """

    def ask(started: float) -> str:
        return _scalar(url, sql, {"name": name, "stale": STALE, "started": _time(started)})

    return ask


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds or time.time(), tz=UTC)


def _scalar(url: str, sql: str, parameters: dict[str, object]) -> str:
    try:
        connection = psycopg2.connect(
            url,
            connect_timeout=TIMEOUT,
            application_name="owl-probe",
            options=f"-c statement_timeout={TIMEOUT * 1000}",
        )
    except psycopg2.Error as error:
        return str(error).strip()
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            row = cursor.fetchone()
            return str(row[0]) if row else "no answer"
    except psycopg2.Error as error:
        return str(error).strip()
    finally:
        connection.close()
