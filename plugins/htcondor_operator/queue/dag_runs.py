"""Makes DAG runs in the transaction in which entries leave the queue.

The only INSERT into ``dag_run`` outside Airflow: one transaction is what makes a shoveled entry
exactly one DAG run, whatever dies when. The scheduler itself makes the task instances of a run
that has none when it first looks at it (``_verify_integrity_if_dag_changed``, Airflow 3.3.2).
"""

from __future__ import annotations
