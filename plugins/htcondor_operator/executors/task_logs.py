"""Airflow's logging configuration with the jobs' logs as a source for reading.

Name it in ``[logging] logging_config_class``; a site's own remote logging goes on working for
all other tasks.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.config_templates import airflow_local_settings

LOGGING_CONFIG: dict[str, Any] = airflow_local_settings.DEFAULT_LOGGING_CONFIG


class JobLogs:
    """Reads a mirrored node's log where its job wrote it; hands everything else on."""

    def __init__(self, other: Any = None) -> None:
        self._other = other

    @property
    def processors(self) -> tuple[Any, ...]:
        """Return the other source's processors: a job's log is written by the job."""
        return tuple(self._other.processors) if self._other is not None else ()

    def upload(self, path: os.PathLike[str] | str, ti: Any = None) -> None:
        """Hand a worker task's log on to the other source, if there is one."""
        if self._other is not None:
            self._other.upload(path, ti)

    def read(self, relative_path: str, ti: Any) -> tuple[list[str], list[str] | None]:
        """Return (sources, logs) of a task instance, or of an older try of it."""
        from htcondor_operator.executors.job_logs import read_job_log, read_launch_log

        identity = getattr(ti, "task_instance_id", None) or getattr(ti, "id", None)
        sources, lines = read_job_log(str(identity)) if identity else ([], [])
        if not lines:
            sources, lines = read_launch_log(ti.dag_id, ti.run_id, ti.task_id)
        if lines:
            return sources, ["\n".join(lines)]
        if self._other is not None:
            response: tuple[list[str], list[str] | None] = self._other.read(relative_path, ti)
            return response
        return [], None


REMOTE_TASK_LOG = JobLogs(getattr(airflow_local_settings, "REMOTE_TASK_LOG", None))
