"""What Airflow is told about this package (entry-point group ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata.

    The plugin is not in it: with ``[core] lazy_discover_providers = False`` Airflow would load it
    twice, from here and from the entry-point group ``airflow.plugins``, and call that an error.
    """
    name = "HTCondor"
    return {
        "package-name": "owl-for-airflow",
        "name": name,
        "description": "Run DAGMan workflows on an HTCondor pool; watch, steer and rescue them.",
        "integrations": [
            {
                "integration-name": name,
                "external-doc-url": "https://htcondor.org/",
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    "htcondor_operator.operators.dag",
                    "htcondor_operator.operators.node",
                    "htcondor_operator.operators.send_alerts",
                ],
            }
        ],
        "sensors": [
            {"integration-name": name, "python-modules": ["htcondor_operator.sensors.poll"]}
        ],
        "triggers": [
            {"integration-name": name, "python-modules": ["htcondor_operator.triggers.poll"]}
        ],
        "hooks": [
            {"integration-name": name, "python-modules": ["htcondor_operator.hooks.htcondor"]}
        ],
        "connection-types": [_connection_type()],
        "notifications": [
            "htcondor_operator.notifications.failure.HTCondorFailureNotifier",
            "htcondor_operator.notifications.webhook.WebhookNotifier",
        ],
        "executors": ["htcondor_operator.executors.htcondor.HTCondorExecutor"],
        "cli": ["htcondor_operator.provider.get_cli_commands"],
        "db-managers": ["htcondor_operator.blackboard.manager.BlackboardDBManager"],
    }


def get_cli_commands() -> list[Any]:
    """Return no commands: ours are those of ``owl``.

    A provider of executors that does not say so makes every ``airflow`` command warn and import
    the executors (3.3.2).
    """
    return []


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "htcondor",
        "hook-class-name": "htcondor_operator.hooks.htcondor.HTCondorHook",
        "hook-name": "HTCondor (OWL)",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {"schema": "Database", "host": "Database host", "port": "Database port"},
            "placeholders": {
                "host": "empty: OWL_DATABASE_URL of the process",
                "login": "the role made by `owl blackboard grant`",
            },
        },
        "conn-fields": {
            "database_conn_id": {
                "label": "Database connection",
                "description": (
                    "Id of a Postgres connection to the blackboard, instead of the fields above."
                ),
                "schema": {"type": ["string", "null"]},
            },
        },
    }
