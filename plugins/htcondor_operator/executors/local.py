"""A LocalExecutor for a stack whose work runs on HTCondor."""

from __future__ import annotations

import os

from airflow.executors.local_executor import LocalExecutor

WORKERS = 3


class FewWorkersExecutor(LocalExecutor):
    """LocalExecutor with few worker processes, whatever ``[core] parallelism`` says.

    ``parallelism`` bounds the task instances of all executors together and must be large here,
    but LocalExecutor forks one worker per unit of it when it starts (seen in Airflow 3.3.2).
    """

    def __init__(self, parallelism: int = WORKERS, **kwargs: object) -> None:
        workers = int(os.environ.get("OWL_LOCAL_WORKERS") or WORKERS)
        super().__init__(parallelism=min(parallelism, workers), **kwargs)
